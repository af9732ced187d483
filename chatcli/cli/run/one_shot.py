"""Runs a one-shot or a script, and returns its exit code."""

import asyncio

from chatcli.cli.report import report_traceback
from chatcli.cli.run.ask_approval import answer_waiting, has_user
from chatcli.cli.run.request import Request
from chatcli.cli.run.resuming import print_waiting_hint
from chatcli.cli.run.script import play
from chatcli.config.settings import Settings
from chatcli.conversation.conversation import Conversation
from chatcli.errors import ExitCode, InternalError, UnansweredRequestError
from chatcli.events import WAITING, Event, TurnFailed, TurnFinished, TurnInterrupted
from chatcli.rendering.renderer import Renderer, consume
from chatcli.runtime.signals import take_signals


def run_once(settings: Settings, conversation: Conversation, renderer: Renderer, request: Request) -> ExitCode:
    """Ask the `request`, show the answer with `renderer`, close it, and return the exit code."""
    try:
        if request.script:
            last = asyncio.run(play(conversation, renderer, request.script, request.attachments))
        else:
            last = asyncio.run(_answer(settings, conversation, renderer, request))
    finally:
        renderer.close()
    finished = isinstance(last, TurnFinished) and last.finish_reason == WAITING
    if finished or (isinstance(last, TurnFailed) and isinstance(last.error, UnansweredRequestError)):
        print_waiting_hint(settings, conversation.place, conversation.thread_id)
    if isinstance(last, TurnFailed) and settings.debug:
        report_traceback(last.error, settings.credentials.redact)
    return _exit_code(last)


async def _answer(settings: Settings, conversation: Conversation, renderer: Renderer, request: Request) -> Event | None:
    take_signals(asyncio.get_running_loop(), conversation.interrupt)
    try:
        if request.answer is not None:
            events = conversation.answer(request.answer)
        else:
            assert request.prompt is not None
            events = conversation.run_turn(request.prompt, request.attachments)
        last = await consume(events, renderer)
        return await answer_waiting(conversation, renderer, last) if has_user(settings) else last
    finally:
        await conversation.close()


def _exit_code(last: Event | None) -> ExitCode:
    match last:
        case TurnFinished():
            return ExitCode.OK
        case TurnInterrupted():
            return ExitCode.INTERRUPTED
        case TurnFailed(error=error):
            return error.exit_code
        case _:
            raise InternalError("the turn ended without a terminal event")
