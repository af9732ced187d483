"""Runs a one-shot or a script, and returns its exit code."""

import asyncio
import sys
from collections.abc import Sequence

from chatcli.attachments.attachment import Attachment
from chatcli.cli.report import report_traceback
from chatcli.cli.run.request import Question, Request
from chatcli.cli.run.resuming import print_waiting_hint
from chatcli.config.settings import Settings
from chatcli.conversation.conversation import Conversation
from chatcli.errors import ExitCode, InternalError, UnansweredRequestError, UsageError
from chatcli.events import WAITING, ApprovalRequested, Event, TurnFailed, TurnFinished, TurnInterrupted
from chatcli.message import MessageShown
from chatcli.rendering.renderer import Renderer, consume
from chatcli.runtime.program import current_program
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
        if current_program().eager:
            await conversation.open()
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


async def play(
    conversation: Conversation, renderer: Renderer, questions: Sequence[Question], attachments: Sequence[Attachment]
) -> Event | None:
    """Ask the questions in order, the first with `attachments`; stop at a turn that does not finish.

    Returns:
        The last event of the last turn.

    """
    stopped = False

    def stop() -> None:
        nonlocal stopped
        stopped = True
        conversation.interrupt()

    take_signals(asyncio.get_running_loop(), stop)
    last: Event | None = None
    try:
        for line, text in questions:
            if stopped:  # between two turns
                return TurnInterrupted(conversation.thread_id, "", str(conversation.model_name), "", 0)
            renderer.render(MessageShown("user", text))
            last = await consume(conversation.run_turn(text, attachments), renderer)
            attachments = ()
            if not isinstance(last, TurnFinished) or (last.finish_reason == WAITING and line != questions[-1][0]):
                _print_line(line, conversation.thread_id)
                break
    finally:
        await conversation.close()
    return last


def _print_line(line: int, thread_id: str) -> None:
    print(f"the script stopped at line {line}; its thread is {thread_id}", file=sys.stderr)


def has_user(settings: Settings) -> bool:
    """Return whether a user can be asked: at a terminal, without a script and without output for a program."""
    machine = settings.format in ("json", "jsonl") or settings.script is not None
    return not machine and sys.stdin.isatty() and sys.stderr.isatty()


async def answer_waiting(conversation: Conversation, renderer: Renderer, last: Event | None) -> Event | None:
    """Ask what the turn that ended with `last` is waiting for, until it is complete; return its last event.

    After Ctrl-C or Ctrl-D it stays waiting.
    """
    while isinstance(last, ApprovalRequested) or (isinstance(last, TurnFinished) and last.finish_reason == WAITING):
        text = await _read_line(conversation)
        if not text:
            return last
        now = await consume(conversation.ask_or_answer(text), renderer)
        if not (isinstance(now, TurnFailed) and isinstance(now.error, UsageError)):  # it was no answer: ask again
            last = now
    return last


async def _read_line(conversation: Conversation) -> str:
    """Return the typed line, empty for Ctrl-C and Ctrl-D; then let signals interrupt the conversation again."""
    loop = asyncio.get_running_loop()
    typed: asyncio.Future[str] = loop.create_future()

    def give_up() -> None:
        if not typed.done():
            typed.set_result("")

    def read() -> None:
        line = sys.stdin.readline().strip()
        if not typed.done():
            typed.set_result(line)

    sys.stderr.write("> ")
    sys.stderr.flush()
    take_signals(loop, give_up)
    loop.add_reader(sys.stdin, read)
    try:
        return await typed
    finally:
        loop.remove_reader(sys.stdin)
        take_signals(loop, conversation.interrupt)
