"""Runs the questions of `--script`, one a line."""

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

from chatcli.attachments import STDIN
from chatcli.attachments.attachment import Attachment
from chatcli.cli.run.request import read_text
from chatcli.conversation.conversation import Conversation
from chatcli.errors import UsageError
from chatcli.events import WAITING, Event, TurnFinished, TurnInterrupted
from chatcli.message import MessageShown
from chatcli.rendering.renderer import Renderer, consume
from chatcli.runtime.signals import take_signals

Question = tuple[int, str]
"""The number of its line, from 1 on, and its text."""


def read_script(source: str, *, quiet: bool) -> list[Question]:
    """Return the questions of the script `source`, a path or "-" for stdin; empty lines do not count.

    Raises:
        UsageError: The script can't be read, or holds no question.

    """
    try:
        if source == STDIN:
            text = read_text(sys.stdin.buffer, quiet=quiet) if sys.stdin is not None else ""
        else:
            with Path(source).expanduser().open("rb") as file:
                text = read_text(file, quiet=quiet)
    except OSError as error:
        raise UsageError(f"the script {source} can't be read: {(error.strerror or str(error)).lower()}") from None
    questions = [(number, line.strip()) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    if not questions:
        raise UsageError(f"the script {source} holds no question", remedy="Write one a line.")
    return questions


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
