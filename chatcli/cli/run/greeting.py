"""The first screen: who answers, where, and on which thread."""

import os
import sys
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from chatcli import __version__
from chatcli.config.providers import LOCAL, OLLAMA, PROVIDERS
from chatcli.runtime.program import CHAT, current_program
from chatcli.sanitize import sanitize_line
from chatcli.text import truncate

if TYPE_CHECKING:
    from chatcli.conversation.compose import Composition

_HELP = "/help shows the commands · Ctrl-D leaves"


def print_greeting(composed: "Composition", thread: str) -> None:
    """Print the first screen of the run that is `composed`; `thread` is a title or an ID, empty if it is not chosen."""
    settings = composed.settings
    plain = settings.plain or settings.color == "never" or os.environ.get("TERM") == "dumb"
    columns = os.get_terminal_size(sys.stdout.fileno()).columns
    for line in (first_line(composed, thread), _HELP):
        shown = truncate(line, columns) if columns else line
        print(shown if plain else f"\x1b[2m{shown}\x1b[0m")
    sys.stdout.flush()


def first_line(composed: "Composition", thread: str) -> str:
    """Return the program and its version, who answers and where, and the `thread`.

    A thread that is not chosen yet may have another model, so none is named.
    """
    program = current_program()
    version = __version__ if program is CHAT else program.version
    parts = [f"{program.name} {version}".strip()]
    if thread:
        parts += [f"{_name(composed)} {_place(composed)}".strip(), f"thread {thread}"]
    return sanitize_line(" · ".join(filter(None, parts)))


def _name(composed: "Composition") -> str:
    if composed.graph is None:
        return str(composed.name)
    from chatcli.rendering.plain import short_name  # the events, which other prompts do without

    return short_name(str(composed.name))


def _place(composed: "Composition") -> str:
    """Return where the answers come from, as far as it is known before the thread is read."""
    if composed.graph is not None:
        return ""  # its code asks whom it likes
    if composed.name.provider == LOCAL:
        return "on this machine"
    host = _host(composed)
    return f"at {host}" if host else ""


def _host(composed: "Composition") -> str:
    settings = composed.settings
    if not composed.backend.runs_here:
        return _host_of(settings.url or "")
    if composed.recorded() and not settings.is_option("base_url"):
        return ""  # the thread may remember a server, which only its state has
    provider = PROVIDERS[composed.name.provider]
    url = settings.credentials.server_url(provider.prefix)
    if not url and provider.prefix == OLLAMA:
        url = os.environ.get("OLLAMA_HOST")
    return _host_of(url) if url else provider.host or provider.title


def _host_of(url: str) -> str:
    """Return the host and the port in `url`, without a password."""
    return urlsplit(url if "://" in url else f"//{url}").netloc.rpartition("@")[2]
