"""Runs the REPL, and returns its exit code."""

import sys
from functools import partial
from typing import TYPE_CHECKING

from chatcli.cli.run.greeting import print_greeting
from chatcli.cli.run.request import Request
from chatcli.conversation.backend import Backend
from chatcli.conversation.compose import Composition
from chatcli.errors import ExitCode, UsageError
from chatcli.rendering.renderer import Renderer
from chatcli.repl.loop import build_repl
from chatcli.runtime.program import command, current_program

if TYPE_CHECKING:
    from chatcli.events import ChoicesOffered

PAST_MESSAGES = 6
"""Number of messages of a resumed thread that are shown."""


async def run_interactive(composed: Composition, renderer: Renderer, request: Request) -> ExitCode:
    """Ask the `request` of the run that is `composed`, then what the user types; return the exit code.

    The conversation begins once the prompt is shown, unless something is shown before it.
    """
    settings, backend = composed.settings, composed.backend
    offered = _offer_threads(backend) if request.resume else None
    resumes = composed.stored and backend.keeps_threads
    past = backend.threads().newest_messages(composed.thread_id, PAST_MESSAGES) if resumes else []
    begin = partial(composed.conversation, schema=request.schema, can_ask=True)
    repl = build_repl(settings, backend, begin, renderer, request.attachments)
    if settings.greets:
        thread = "" if request.resume else (_title(backend, composed.thread_id) if past else composed.thread_id)
        await print_greeting(composed, thread)
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
    if conversation is not None and conversation.turns and backend.keeps_threads:
        from chatcli.cli.run.resuming import resume_hint

        print(resume_hint(settings, backend, conversation.thread_id), file=sys.stderr)
    return ExitCode.INTERRUPTED if stopped else ExitCode.OK


def _title(backend: Backend, thread_id: str) -> str:
    found = backend.threads().find(thread_id)
    return found.title if found is not None and found.title else thread_id


def _offer_threads(backend: Backend) -> "ChoicesOffered":
    from chatcli.commands.threads import offer_threads

    offered = offer_threads(backend.threads().recent())
    if not offered.choices:
        raise UsageError("there is no thread to resume yet", remedy=f"Begin one: {command()}")
    return offered
