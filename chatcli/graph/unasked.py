"""Stores a question that was not asked: the run was stopped, or failed, before the turn began."""

from collections.abc import Sequence

from chatcli.attachments.attachment import Attachment
from chatcli.graph.question import build_question
from chatcli.graph.repair import recover
from chatcli.graph.thread import GraphThread
from chatcli.models.names import ModelName


async def keep_unasked(thread: GraphThread, name: ModelName, text: str, attachments: Sequence[Attachment]) -> None:
    """Store the question `text` in the thread, where it is pending then, as after any other turn that was cut short.

    While another process has a turn on the thread, wait. Where the thread waits for an answer, nothing is stored: the
    text may be that answer.
    """
    async with thread.hold():
        await recover(thread, thread.config())
        if await thread.pending():
            return
        question = build_question(text, attachments, None)
        number = await thread.turn_number(new=True)
        await thread.keep_question(thread.config(name, title=question.text, turn=number), question)
