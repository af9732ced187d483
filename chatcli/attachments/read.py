"""From what the user named to an attachment."""

from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from chatcli.attachments import MAX_BYTES, STDIN
from chatcli.attachments.attachment import STDIN_NAME, Attachment
from chatcli.attachments.sniff import image_type, is_pdf
from chatcli.attachments.text import decode
from chatcli.errors import ContextError, RefusedError, UsageError

_URL = ("http://", "https://")


def read_attachment(
    source: str, *, stdin: BinaryIO | None = None, allow_private: bool = False, timeout: float | None = None
) -> Attachment:
    """Read what `source` names.

    Args:
        source: A path, an http or https URL, or "-" for `stdin`.
        stdin: What "-" means; None when there is nothing.
        allow_private: Whether a URL may lead on to a private address.
        timeout: Seconds that a URL may take, None for the default.

    Raises:
        UsageError: There is no such file, or it can't be read.
        RefusedError: It is nothing that a model takes.
        ContextError: It is larger than any model takes.
        NetworkError: The URL's server does not deliver.

    """
    if source == STDIN:
        if stdin is None or stdin.closed or stdin.isatty():
            raise UsageError("-f - needs something on standard input", remedy="Pipe it in.")
        return _identify(STDIN_NAME, _read_all(STDIN_NAME, stdin))
    if source.startswith(_URL):
        from chatcli.attachments.web import fetch

        return _readable(_identify(source, fetch(source, allow_private=allow_private, timeout=timeout)))
    path = Path(source).expanduser()
    try:
        with path.open("rb") as file:
            return _identify(source, _read_all(source, file))
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UsageError(f"{source} can't be attached: {reason}", remedy="Check the path.") from None


def _readable(page: Attachment) -> Attachment:
    """Return a web page as its text; a local HTML file stays as it is, since it may be what is asked about."""
    from chatcli.attachments.html import html_text, is_html

    return replace(page, text=html_text(page.text)) if is_html(page.text) else page


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
