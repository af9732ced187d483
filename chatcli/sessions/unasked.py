"""Stores a question that was not asked: the run was stopped, or failed, before the turn began."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from chatcli.attachments.attachment import Attachment
from chatcli.models.names import ModelName
from chatcli.sessions.question import build_question
from chatcli.sessions.repair import recover
from chatcli.sessions.thread import GraphThread

TIMEOUT = 2.0
"""Seconds within which the question is stored: whoever stopped the run waits for its end."""


async def keep_unasked(
    thread: GraphThread,
    name: ModelName,
    text: str,
    attachments: Sequence[Attachment],
    beside: Mapping[str, Any] | None = None,
) -> None:
    """Store the question `text` in the thread, where it is pending then, as after any other turn that was cut short.

    What is set `beside` it is stored too. While another process has a turn on the thread, wait. Where the thread waits
    for an answer, nothing is stored: the text may be that answer. Nor is it on a server, which stores what it is asked.

    Raises:
        TimeoutError: The store or the other process takes too long.

    """
    if not thread.runs_here:
        return
    async with asyncio.timeout(TIMEOUT), thread.hold():
        await recover(thread, thread.config())
        if await thread.pending():
            return
        question = await asyncio.to_thread(build_question, text, attachments, None)
        number = await thread.turn_number(new=True)
        await thread.keep_question(thread.config(name, title=question.text, turn=number), question, beside)
