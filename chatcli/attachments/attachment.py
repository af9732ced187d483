"""Attachments of a question: read from a path, a URL or standard input, and recognised by their content."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO, Literal

from chatcli.attachments import MAX_BYTES, STDIN
from chatcli.attachments.text import decode
from chatcli.errors import ContextError, RefusedError, UsageError

Kind = Literal["text", "image", "pdf"]

STDIN_NAME = "stdin"
"""The name of standard input in a question."""
_URL = ("http://", "https://")
_IMAGES = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
)
_PDF = b"%PDF-"
_PDF_WITHIN = 1024  # bytes: readers accept that much rubbish before the header


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file as it was read: a text file has `text`, any other `data`; `name` is what the user called it."""

    name: str
    kind: Kind
    media_type: str
    text: str = field(default="", repr=False)
    data: bytes = field(default=b"", repr=False)
    encoding: str = "utf-8"
    """The encoding that `text` was decoded from."""
    size: int = 0
    """Number of bytes that were read."""


def read_attachment(
    source: str, *, stdin: BinaryIO | None = None, allow_private: bool = False, timeout: float | None = None
) -> Attachment:
    """Read what `source` names.

    Args:
        source: A path, an http or https URL, or "-" for `stdin`.
        stdin: The stream that "-" stands for; None when there is none.
        allow_private: Whether a URL may redirect to a private address.
        timeout: Seconds that a URL may take, None for the default.

    Raises:
        UsageError: The file does not exist or can't be read.
        RefusedError: No model takes a file of this type.
        ContextError: It is larger than any model takes.
        NetworkError: The server of the URL can't be reached or fails.

    """
    if source == STDIN:
        if stdin is None or stdin.closed or stdin.isatty():
            raise UsageError("-f - needs something on standard input", remedy="Pipe it in.")
        return _identify(STDIN_NAME, _read_all(STDIN_NAME, stdin))
    if source.startswith(_URL):
        # Imported here: most runs fetch nothing, and the HTTP client is large.
        from chatcli.attachments.web import fetch, readable

        page = _identify(source, fetch(source, allow_private=allow_private, timeout=timeout))
        return replace(page, text=readable(page.text))  # a local HTML file stays as it is: it may be the topic
    path = Path(source).expanduser()
    try:
        with path.open("rb") as file:
            return _identify(source, _read_all(source, file))
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UsageError(f"{source} can't be attached: {reason}", remedy="Check the path.") from None


def _read_all(name: str, stream: BinaryIO) -> bytes:
    data = stream.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise ContextError(
            f"{name} is larger than {MAX_BYTES // 2**20} MiB, some {MAX_BYTES // 4} tokens:"
            " the limit of every model is lower",
            remedy="Send a part of it.",
        )
    return data


def _identify(name: str, data: bytes) -> Attachment:
    if media_type := image_type(data):
        return Attachment(name, "image", media_type, data=data, size=len(data))
    if is_pdf(data):
        return Attachment(name, "pdf", "application/pdf", data=data, size=len(data))
    decoded = decode(data)
    if decoded is None:
        raise RefusedError(
            f"{name} is neither text nor an image nor a PDF: no model takes it",
            remedy="Models take text, PNG, JPEG, WebP and GIF images, and PDF.",
        )
    text, encoding = decoded
    return Attachment(name, "text", "text/plain", text=text, encoding=encoding, size=len(data))


def image_type(data: bytes) -> str | None:
    """Return the media type of a PNG, JPEG, GIF or WebP image, None of anything else."""
    for magic, media_type in _IMAGES:
        if data.startswith(magic):
            return media_type
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "image/webp"
    return None


def is_pdf(data: bytes) -> bool:
    """Return whether `data` is a PDF."""
    return _PDF in data[:_PDF_WITHIN]
