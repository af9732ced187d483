"""The message that a turn asks, made of its text and its attachments, and what its files mean to the model."""

from collections.abc import Sequence
from typing import Any, cast
from uuid import uuid4

from langchain_core.messages import BaseMessage, HumanMessage

from chatcli.attachments.attachment import Attachment
from chatcli.attachments.content import message_content
from chatcli.models.file_inputs import FileKind, refuse_file, takes
from chatcli.models.model import Model

TOKENS_A_PAGE = 1500
"""What a page of a PDF costs: its text, and its picture, which providers send along."""
_KINDS: dict[str, FileKind] = {"image": "image", "file": "pdf"}


def build_question(text: str, attachments: Sequence[Attachment], model: Model | None) -> HumanMessage:
    """Return the message that asks `text`, each of the `attachments` in a labelled block after it.

    Blocks: images are shrunk and PDFs read here. Without a `model`, of which a graph may have several, images go
    along as they are and PDFs as their text.

    Raises:
        RefusedError: The model can't take a file.
        UsageError: A file can't be read as what it is.

    """
    for attachment in attachments:
        if model is not None and attachment.kind == "image" and takes(model, "image") is False:
            raise refuse_file(model, attachment.name, "image")
    takes_pdf = model is not None and takes(model, "pdf") is True
    content = message_content(text, attachments, takes_pdf=takes_pdf)
    return HumanMessage(cast("Any", content), id=str(uuid4()))


def without_files(messages: list[BaseMessage], model: Model) -> list[BaseMessage]:
    """Return `messages` without the files that `model` does not take: their labels stay.

    A thread may have been begun with another model.
    """
    return [_without_files(message, model) if isinstance(message.content, list) else message for message in messages]


def _without_files(message: BaseMessage, model: Model) -> BaseMessage:
    kept = [
        block
        for block in message.content
        if isinstance(block, str) or (kind := _KINDS.get(block["type"])) is None or takes(model, kind) is not False
    ]
    return message if len(kept) == len(message.content) else message.model_copy(update={"content": kept})


def countable(messages: list[BaseMessage]) -> list[BaseMessage]:
    """Return `messages` with each PDF in them replaced by text of the size that it counts for.

    langchain's counter would take the base64 text of a file for words.
    """
    return [_countable(message) if isinstance(message.content, list) else message for message in messages]


def _countable(message: BaseMessage) -> BaseMessage:
    blocks = [
        {"type": "text", "text": " " * (4 * TOKENS_A_PAGE * block.get("extras", {}).get("pages", 1))}
        if isinstance(block, dict) and block["type"] == "file"
        else block
        for block in message.content
    ]
    return message.model_copy(update={"content": blocks})
