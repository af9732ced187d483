"""Runs the REPL after its first screen: who answers, where, and on which thread."""

import os
import sys
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from chatcli import __version__
from chatcli.cli.run.dispatch import Request
from chatcli.config.grants import has_named_servers
from chatcli.config.providers import LOCAL, OLLAMA, PROVIDERS
from chatcli.conversation.backend import Backend
from chatcli.conversation.compose import Composition
from chatcli.errors import ChatcliError, ExitCode, UsageError
from chatcli.rendering.renderer import Renderer
from chatcli.repl.loop import build_repl
from chatcli.runtime.program import CHAT, command, current_program
from chatcli.sanitize import sanitize_line
from chatcli.text import truncate

if TYPE_CHECKING:
    from chatcli.commands.registry import Choice

PAST_MESSAGES = 6
"""Number of messages of a resumed thread that are shown."""
_HELP = "/help shows the commands · Ctrl-D leaves"


async def run_interactive(composed: Composition, renderer: Renderer, request: Request) -> ExitCode:
    """Ask the `request` of the run that is `composed`, then what the user types; return the exit code.

    The conversation begins once the prompt is shown, unless something is shown before it.
    """
    settings, backend = composed.settings, composed.backend
    threads = _thread_choices(backend) if request.resume else []
    resumes = composed.stored and backend.keeps_threads
    past = backend.threads().newest_messages(composed.thread_id, PAST_MESSAGES) if resumes else []
    begin = replace(composed, schema=request.schema, can_ask=True).conversation
    repl = build_repl(settings, backend, begin, renderer, request.attachments)
    if settings.greeting and not settings.quiet and settings.format not in ("json", "jsonl"):
        found = backend.threads().find(composed.thread_id) if past else None
        title = found.title if found is not None and found.title else composed.thread_id
        await _print_greeting(composed, "" if request.resume else title)
    try:
        if current_program().eager:
            await (await repl.handler()).conversation.open()
        decides = False
        if past:
            from chatcli.cli.run.resuming import show_history

            opened = (await repl.handler()).conversation
            decides = await show_history(settings, opened, renderer, past, waits=request.prompt is None)
        stopped = await repl.run(request.prompt, resources=request.resources, threads=threads, decides=decides)
    finally:
        await repl.close()
    conversation = repl.conversation
    if conversation is not None and conversation.turns and conversation.keeps_threads:
        from chatcli.cli.run.resuming import resume_hint

        print(resume_hint(settings, backend, conversation.thread_id), file=sys.stderr)
    return ExitCode.INTERRUPTED if stopped else ExitCode.OK


def _thread_choices(backend: Backend) -> "list[Choice]":
    from chatcli.commands.threads import thread_choices

    if not (choices := thread_choices(backend.threads().recent())):
        raise UsageError("there is no thread to resume yet", remedy=f"Begin one: {command()}")
    return choices


async def _print_greeting(composed: "Composition", thread: str) -> None:
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
        from chatcli.roles import Setup, opening_model

        try:  # only the thread's state has the server; to read it takes LangGraph
            setup = await composed.backend.reader().setup(composed.thread_id)
            name = opening_model(settings, setup or Setup())
        except ChatcliError:
            return str(name)  # the first question reports why the thread can't be read
        url = name.base_url or settings.credentials.server_url(name.provider)
    if name.provider == LOCAL:
        return f"{name} on this machine"
    provider = PROVIDERS[name.provider]
    if not url and provider.prefix == OLLAMA:
        url = os.environ.get("OLLAMA_HOST")
    return f"{name} at {_host_of(url or provider.openai_url or provider.host) or provider.title}"


def _host_of(url: str) -> str:
    """Return the host and the port in `url`, without a password."""
    return urlsplit(url if "://" in url else f"//{url}").netloc.rpartition("@")[2]
