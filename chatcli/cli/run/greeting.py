"""The first screen: who answers, where, and on which thread."""

import os
import sys
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from chatcli import __version__
from chatcli.config.grants import has_named_servers
from chatcli.config.providers import LOCAL, OLLAMA, PROVIDERS
from chatcli.errors import ChatcliError
from chatcli.runtime.program import CHAT, current_program
from chatcli.sanitize import sanitize_line
from chatcli.text import truncate

if TYPE_CHECKING:
    from chatcli.conversation.compose import Composition
    from chatcli.models.names import ModelName

_HELP = "/help shows the commands · Ctrl-D leaves"


async def print_greeting(composed: "Composition", thread: str) -> None:
    """Print the first screen of the run that is `composed`; `thread` is a title or an ID, empty if it is not chosen.

    A thread that is not chosen yet may have another model, so none is named.
    """
    settings, program = composed.settings, current_program()
    plain = settings.plain or settings.color == "never" or os.environ.get("TERM") == "dumb"
    columns = os.get_terminal_size(sys.stdout.fileno()).columns
    parts = [f"{program.name} {__version__ if program is CHAT else program.version}".strip()]
    if thread:
        parts += [await _answerer(composed), f"thread {thread}"]
    for line in (sanitize_line(" · ".join(filter(None, parts))), _HELP):
        shown = truncate(line, columns) if columns else line
        print(shown if plain else f"\x1b[2m{shown}\x1b[0m")
    sys.stdout.flush()


async def _answerer(composed: "Composition") -> str:
    """Return who answers and where, as far as it is known before the thread is opened."""
    settings, name = composed.settings, composed.name
    if composed.graph is not None:  # its code asks whom it likes
        from chatcli.rendering.plain import short_name  # the events, which other prompts do without

        return short_name(str(name))
    if not composed.backend.runs_here:
        return f"{name} at {_host_of(settings.url or '')}"
    url = settings.credentials.server_url(name.provider)
    may_be_remembered = not url and name.provider != LOCAL and has_named_servers()
    if composed.recorded() and (may_be_remembered or settings.is_option("base_url")):
        try:
            name = await _remembered_model(composed)
        except ChatcliError:
            return str(name)  # the first question reports why the thread can't be read
        url = name.base_url or settings.credentials.server_url(name.provider)
    if name.provider == LOCAL:
        return f"{name} on this machine"
    provider = PROVIDERS[name.provider]
    if not url and provider.prefix == OLLAMA:
        url = os.environ.get("OLLAMA_HOST")
    return f"{name} at {_host_of(url) if url else provider.host or provider.title}"


async def _remembered_model(composed: "Composition") -> "ModelName":
    """Return the model of a stored thread with its server, which only the thread's state has; it takes LangGraph."""
    from chatcli.roles import Setup, opening_model

    setup = await composed.backend.reader().setup(composed.thread_id)
    return opening_model(composed.settings, setup or Setup())


def _host_of(url: str) -> str:
    """Return the host and the port in `url`, without a password."""
    return urlsplit(url if "://" in url else f"//{url}").netloc.rpartition("@")[2]
