"""Asks the user at a terminal what a one-shot is waiting for, such as whether a tool may run."""

import asyncio
import sys

from chatcli.config.settings import Settings
from chatcli.conversation.conversation import Conversation
from chatcli.errors import UsageError
from chatcli.events import WAITING, ApprovalRequested, Event, TurnFailed, TurnFinished
from chatcli.rendering.renderer import Renderer, consume
from chatcli.runtime.signals import take_signals


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
