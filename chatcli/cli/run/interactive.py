"""Runs the REPL, and returns its exit code."""

import sys
from typing import TYPE_CHECKING

from chatcli.cli.run.request import Request
from chatcli.config.settings import Settings
from chatcli.conversation.place import Place, keeps_threads, open_threads
from chatcli.errors import ExitCode, UsageError
from chatcli.rendering.renderer import Renderer
from chatcli.repl.loop import build_repl
from chatcli.runtime.program import command, current_program

if TYPE_CHECKING:
    from collections.abc import Callable

    from chatcli.conversation.conversation import Conversation
    from chatcli.events import ChoicesOffered

PAST_MESSAGES = 6
"""Number of messages of a resumed thread that are shown."""


async def run_interactive(
    settings: Settings,
    place: Place,
    begin: "Callable[[], Conversation]",
    renderer: Renderer,
    request: Request,
    *,
    stored: str | None,
) -> ExitCode:
    """Ask the `request`, then what the user types; return the exit code.

    Args:
        settings: The user's choices.
        place: Where the threads are kept.
        begin: Begins the conversation; called once the prompt is shown, unless something is shown before it.
        renderer: Shows what happens.
        request: What the command line asks.
        stored: The thread that was named, which may exist; None for a new one.

    """
    offered = _offer_threads(place) if request.resume else None
    past = open_threads(place).newest_messages(stored, PAST_MESSAGES) if stored and keeps_threads(place) else []
    repl = build_repl(settings, place, begin, renderer, request.attachments)
    try:
        if current_program().eager:
            await (await repl.handler()).conversation.open()
        decides = False
        if past:
            from chatcli.cli.run.resuming import show_history

            opened = (await repl.handler()).conversation
            decides = await show_history(settings, opened, renderer, past, waits=request.prompt is None)
        stopped = await repl.run(request.prompt, resources=request.resources, offered=offered, decides=decides)
    finally:
        await repl.close()
    conversation = repl.conversation
    if conversation is not None and conversation.turns and keeps_threads(place):
        from chatcli.cli.run.resuming import resume_hint

        print(resume_hint(settings, place, conversation.thread_id), file=sys.stderr)
    return ExitCode.INTERRUPTED if stopped else ExitCode.OK


def _offer_threads(place: Place) -> "ChoicesOffered":
    from chatcli.commands.threads import offer_threads

    offered = offer_threads(open_threads(place).recent())
    if not offered.choices:
        raise UsageError("there is no thread to resume yet", remedy=f"Begin one: {command()}")
    return offered
