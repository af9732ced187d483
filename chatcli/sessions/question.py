"""Builds a turn's question, and stores it if the turn never starts."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, cast
from uuid import uuid4

from langchain_core.messages import HumanMessage

from chatcli.attachments.attachment import Attachment
from chatcli.attachments.content import message_content
from chatcli.models.model import Model, refuse_file, takes
from chatcli.models.names import ModelName
from chatcli.sessions.repair import recover
from chatcli.sessions.thread import GraphThread

TIMEOUT = 2.0
"""Seconds within which the question is stored: whoever stopped the run waits for its end."""


def build_question(text: str, attachments: Sequence[Attachment], model: Model | None) -> HumanMessage:
    """Return the message that asks `text`, each of the `attachments` in a labelled block after it."""
    # Blocks: images are shrunk and PDFs read here. Without a `model`, of which a graph may have several, images go
    # along as they are and PDFs as their text.
    for attachment in attachments:
        if model is not None and attachment.kind == "image" and takes(model, "image") is False:
            raise refuse_file(model, attachment.name, "image")
    takes_pdf = model is not None and takes(model, "pdf") is True
    content = message_content(text, attachments, takes_pdf=takes_pdf)
    return HumanMessage(cast("Any", content), id=str(uuid4()))


async def store_unsent_question(
    thread: GraphThread,
    name: ModelName,
    text: str,
    attachments: Sequence[Attachment],
    other_input: Mapping[str, Any],
) -> None:
    """Store the question `text` in the thread, where it is pending then, as after any other turn that was cut short."""
    # `other_input`, the rest of what the graph gets, is stored too. While another process has a turn on the thread,
    # wait, and raise TimeoutError after `TIMEOUT`. Where the thread waits for an answer, or its graph stopped at a
    # breakpoint, nothing is stored: the text may be that answer.
    async with asyncio.timeout(TIMEOUT), thread.hold():
        await recover(thread, thread.config())
        if await thread.pending() or await thread.stopped_before():
            return
        question = await asyncio.to_thread(build_question, text, attachments, None)
        number = await thread.turn_number(new=True)
        await thread.keep_question(thread.config(name, title=question.text, turn=number), question, other_input)
