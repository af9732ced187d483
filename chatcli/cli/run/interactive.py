"""Runs the REPL, and returns its exit code."""

import asyncio
import sys
from typing import TYPE_CHECKING

from chatcli.cli.run.request import Request
from chatcli.config.settings import Settings
from chatcli.conversation.place import choose_store, open_threads
from chatcli.errors import ExitCode, UsageError
from chatcli.rendering.renderer import Renderer
from chatcli.repl.build import build_repl

if TYPE_CHECKING:
    from collections.abc import Callable

    from chatcli.conversation.conversation import Conversation
    from chatcli.events import ThreadChoice

PAST_MESSAGES = 6
"""Number of messages of a resumed thread that are shown."""


def run_interactive(
    settings: Settings,
    begin: "Callable[[], Conversation]",
    renderer: Renderer,
    request: Request,
    *,
    stored: str | None,
    resume: bool,
) -> ExitCode:
    """Ask the `request`, then what the user types; return the exit code.

    Args:
        settings: The user's choices.
        begin: Begins the conversation; called once the prompt is shown, unless something is shown before it.
        renderer: Shows the events; closed at the end.
        request: What the command line asks.
        stored: The thread that was named, which may exist; None for a new one.
        resume: Whether the user chooses a thread first.

    """
    try:
        return asyncio.run(_stay(settings, begin, renderer, request, stored=stored, resume=resume))
    finally:
        renderer.close()


async def _stay(
    settings: Settings,
    begin: "Callable[[], Conversation]",
    renderer: Renderer,
    request: Request,
    *,
    stored: str | None,
    resume: bool,
) -> ExitCode:
    location = choose_store(settings)
    choices = _thread_choices(settings) if resume else ()
    past = open_threads(location).newest_messages(stored, PAST_MESSAGES) if stored and not location.in_memory else []
    repl = build_repl(settings, begin, renderer, request.attachments)
    try:
        if past:
            from chatcli.cli.run.resuming import show_history

            await show_history(
                settings, (await repl.handler()).conversation, renderer, past, waits=request.prompt is None
            )
        stopped = await repl.run(request.prompt, choices=choices)
    finally:
        await repl.close()
    conversation = repl.conversation
    if conversation is not None and conversation.turns and not location.in_memory:
        from chatcli.cli.run.resuming import resume_command

        print(f"Resume this conversation with: {resume_command(settings, conversation.thread_id)}", file=sys.stderr)
    return ExitCode.INTERRUPTED if stopped else ExitCode.OK


def _thread_choices(settings: Settings) -> "tuple[ThreadChoice, ...]":
    from chatcli.commands.thread_choices import thread_choices

    choices = thread_choices(open_threads(choose_store(settings)).recent())
    if not choices:
        raise UsageError("there is no thread to resume yet", remedy="Begin one: chat")
    return choices
