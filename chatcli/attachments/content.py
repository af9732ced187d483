"""A question and its attachments as the content of one message. Large images are reduced; the text of a PDF is read."""

import base64
import io
import logging
import warnings
import zlib
from collections.abc import Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING
from xml.sax.saxutils import quoteattr

from chatcli.attachments import piped_block
from chatcli.attachments.attachment import STDIN_NAME, Attachment
from chatcli.errors import RefusedError, UsageError
from chatcli.fences import fenced, new_marker
from chatcli.text import format_size, one_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from PIL import Image
    from pypdf import PdfReader

MAX_IMAGE_BYTES = 3_750_000
"""The strictest provider takes 5 MB, counted in base64, which needs four bytes for three."""
MAX_SIDE = 8000
"""The largest width or height, in pixels, that the strictest provider takes."""
REDUCED_SIDE = 2048
"""The longer side after the reduction, in pixels; providers reduce images to this size or below themselves."""
_QUALITY = 85
MAX_WORDS = 60
"""Characters of what was searched for that a line repeats."""
_PNG = b"\x89PNG\r\n\x1a\n"


Block = dict[str, object]


def fit_image(name: str, data: bytes, media_type: str) -> tuple[bytes, str]:
    """Return the image and its media type, reduced if providers would refuse it."""
    data = _without_broken_chunks(data)
    with _open_image(name, data) as image:
        if len(data) <= MAX_IMAGE_BYTES and max(image.size) <= MAX_SIDE:
            return data, media_type
        return _reduce(image)


def image_block(data: bytes, media_type: str) -> Block:
    """Return the part of a message that is this image."""
    return {"type": "image", "base64": _base64(data), "mime_type": media_type}


def pixels(name: str, data: bytes) -> tuple[int, int]:
    """Return the width and the height."""
    with _open_image(name, _without_broken_chunks(data)) as image:
        return image.size


def _without_broken_chunks(data: bytes) -> bytes:
    """Return a PNG without the auxiliary chunks of a wrong checksum, which browsers ignore and Pillow refuses."""
    if not data.startswith(_PNG):
        return data
    kept, start = [_PNG], len(_PNG)
    while start + 12 <= len(data):
        end = start + 12 + int.from_bytes(data[start : start + 4], "big")
        chunk = data[start:end]
        auxiliary = chunk[4:5].islower()
        if not auxiliary or zlib.crc32(chunk[4:-4]) == int.from_bytes(chunk[-4:], "big"):
            kept.append(chunk)
        start = end
    kept.append(data[start:])
    mended = b"".join(kept)
    return mended if len(mended) < len(data) else data


@contextmanager
def _open_image(name: str, data: bytes) -> "Iterator[Image.Image]":
    try:
        from PIL import Image
    except ImportError:
        from chatcli.config.installation import install_command  # late: few need it

        remedy = f"Install it: {install_command('images')}"
        raise UsageError(f"{name}: images need the extra images", remedy=remedy) from None
    try:
        with warnings.catch_warnings():
            # An image that is dangerously large is an error here, not a warning.
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data)) as image:
                yield image
    except Image.DecompressionBombWarning as error:
        raise UsageError(f"{name} has too many pixels: {error}") from None
    except Exception as error:  # noqa: BLE001 - the decoders may raise anything for a damaged image
        raise UsageError(f"{name} can't be read as an image: {' '.join(str(error).split())}") from None


def _reduce(image: "Image.Image") -> tuple[bytes, str]:
    from PIL import Image, ImageOps

    upright = ImageOps.exif_transpose(image)  # the new file has no EXIF data that would rotate it
    upright.thumbnail((REDUCED_SIDE, REDUCED_SIDE), Image.Resampling.LANCZOS)
    reduced = io.BytesIO()
    if upright.has_transparency_data:
        upright.convert("RGBA").save(reduced, "PNG", optimize=True)
        if reduced.tell() <= MAX_IMAGE_BYTES:
            return reduced.getvalue(), "image/png"
        reduced = io.BytesIO()
    upright.convert("RGB").save(reduced, "JPEG", quality=_QUALITY)
    return reduced.getvalue(), "image/jpeg"


def count_pages(name: str, data: bytes) -> int:
    """Return the number of pages."""
    with _opened(name, data) as reader:
        return len(reader.pages)


def pdf_text(name: str, data: bytes) -> str:
    """Return the text, a blank line between two pages."""
    with _opened(name, data) as reader:
        pages = [page.extract_text().strip() for page in reader.pages]
    text = "\n\n".join(page for page in pages if page)
    if not text:
        remedy = "Use a model that does, such as openai:gpt-5-mini, or run text recognition (OCR) on it first."
        raise RefusedError(f"{name} has no text, and the model does not take PDF files", remedy=remedy)
    return text


@contextmanager
def _opened(name: str, data: bytes) -> "Iterator[PdfReader]":
    from pypdf import PdfReader

    logging.getLogger("pypdf").setLevel(logging.CRITICAL)  # it writes a line to stderr for each fault that it repairs
    try:
        yield PdfReader(io.BytesIO(data))
    except Exception as error:  # noqa: BLE001 - the parser may raise anything for a damaged file
        reason, remedy = one_line(str(error))[:200], "Check that it is complete and has no password."
        raise UsageError(f"{name} can't be read as a PDF: {reason or type(error).__name__}", remedy=remedy) from None


def message_content(text: str, attachments: Sequence[Attachment], *, takes_pdf: bool) -> str | list[Block]:
    """Return the content of the message that asks `text`: the text first, then each attachment in a labelled block.

    Without images and PDF parts it is one string, which every model takes.
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
        return _reference(name, media_type), image_block(data, media_type)
    if attachment.kind == "pdf" and takes_pdf:
        # The number of pages is for the token counter, which would take the base64 data for a long text.
        extras, media_type = {"pages": count_pages(name, attachment.data)}, attachment.media_type
        block: Block = {"type": "file", "base64": _base64(attachment.data), "filename": name}
        return _reference(name, media_type), {**block, "mime_type": media_type, "extras": extras}
    if attachment.kind == "recalled":
        return attachment.text, None
    body = pdf_text(name, attachment.data) if attachment.kind == "pdf" else attachment.text
    if name == STDIN_NAME:
        return piped_block(body), None
    return fenced([(f"<file name={quoteattr(name)}>", body)], new_marker(), "</file>"), None


def _reference(name: str, media_type: str) -> str:
    return f"<file name={quoteattr(name)} type={quoteattr(media_type)}/>"


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _tokens(text: str) -> str:
    tokens = max(len(text) // 4, 1)  # the approximation that the token counter uses
    return f"about {tokens:,} token{'' if tokens == 1 else 's'}"


def describe_attachment(attachment: Attachment) -> str:
    """Return one line about `attachment`: its name, its size and what it holds."""
    name, data = attachment.name, attachment.data
    match attachment.kind:
        case "image":
            holds = "{} x {} pixels".format(*pixels(name, data))
        case "pdf":
            pages = count_pages(name, data)
            holds = f"{pages} page{'' if pages == 1 else 's'}"
        case "text":
            holds = _tokens(attachment.text)
        case "recalled":
            return f"sent with what past threads say about {one_line(name, MAX_WORDS)}: {_tokens(attachment.text)}"
    return f"attached {name}: {format_size(attachment.size)}, {holds}"
