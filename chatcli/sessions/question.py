"""The message that a turn asks, made of its text and its attachments, and what its files mean to the model."""

from collections.abc import Sequence
from typing import Any, cast
from uuid import uuid4

from langchain_core.messages import HumanMessage

from chatcli.attachments.attachment import Attachment
from chatcli.attachments.content import message_content
from chatcli.models.model import Model, refuse_file, takes


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
