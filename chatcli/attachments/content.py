"""A question and its attachments as the content of one message, and the line that describes an attachment."""

import base64
from collections.abc import Sequence
from xml.sax.saxutils import quoteattr

from chatcli.attachments.attachment import STDIN_NAME, Attachment
from chatcli.attachments.image import fit_image, pixels
from chatcli.attachments.pdf import count_pages, pdf_text
from chatcli.events import size

Block = dict[str, object]


def message_content(text: str, attachments: Sequence[Attachment], *, takes_pdf: bool) -> str | list[Block]:
    """Return the content of the message that asks `text`: the text first, then each attachment in a labelled block.

    Without images and PDF parts it is one string, which every model takes.

    Raises:
        UsageError: An image or a PDF can't be read.
        RefusedError: A PDF without text, for a model that takes no PDF.

    """
    blocks: list[Block] = []
    for attachment in attachments:
        label, block = _labelled(attachment, takes_pdf=takes_pdf)
        text += f"\n\n{label}"
        if block is not None:
            blocks += [{"type": "text", "text": text}, block]
            text = ""
    if not blocks:
        return text
    return [*blocks, {"type": "text", "text": text}] if text else blocks


def _labelled(attachment: Attachment, *, takes_pdf: bool) -> tuple[str, Block | None]:
    """Return the attachment's label, with its text inside, and the block that follows it unless it is text."""
    name = attachment.name
    if attachment.kind == "image":
        data, media_type = fit_image(name, attachment.data, attachment.media_type)
        return _reference(name, media_type), {"type": "image", "base64": _base64(data), "mime_type": media_type}
    if attachment.kind == "pdf" and takes_pdf:
        # The number of pages is for the token counter, which would take the base64 data for a long text.
        pages = count_pages(name, attachment.data)
        block: dict[str, object] = {"type": "file", "base64": _base64(attachment.data), "filename": name}
        return _reference(name, attachment.media_type), {
            **block,
            "mime_type": attachment.media_type,
            "extras": {"pages": pages},
        }
    body = pdf_text(name, attachment.data) if attachment.kind == "pdf" else attachment.text
    newline = "" if body.endswith("\n") else "\n"
    if name == STDIN_NAME:
        return f"<stdin>\n{body}{newline}</stdin>", None
    return f"<file name={quoteattr(name)}>\n{body}{newline}</file>", None


def _reference(name: str, media_type: str) -> str:
    return f"<file name={quoteattr(name)} type={quoteattr(media_type)}/>"


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def describe_attachment(attachment: Attachment) -> str:
    """Return one line about `attachment`: its name, its size and what it holds.

    Raises:
        UsageError: It can't be read.

    """
    name, data = attachment.name, attachment.data
    match attachment.kind:
        case "image":
            holds = "{} x {} pixels".format(*pixels(name, data))
        case "pdf":
            pages = count_pages(name, data)
            holds = f"{pages} page{'' if pages == 1 else 's'}"
        case "text":
            tokens = max(len(attachment.text) // 4, 1)  # the approximation that the token counter uses
            holds = f"about {tokens:,} token{'' if tokens == 1 else 's'}"
    return f"attached {name}: {size(attachment.size)}, {holds}"
