"""PDFs: the number of their pages, and their text for models that take no PDF."""

import io
import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING

from chatcli.errors import RefusedError, UsageError
from chatcli.text_lines import one_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pypdf import PdfReader


def count_pages(name: str, data: bytes) -> int:
    """Return the number of pages.

    Raises:
        UsageError: It can't be read.

    """
    with _opened(name, data) as reader:
        return len(reader.pages)


def pdf_text(name: str, data: bytes) -> str:
    """Return the text, a blank line between two pages.

    Raises:
        UsageError: It can't be read.
        RefusedError: It holds no text, as a scan does not.

    """
    with _opened(name, data) as reader:
        pages = [page.extract_text().strip() for page in reader.pages]
    text = "\n\n".join(page for page in pages if page)
    if not text:
        raise RefusedError(
            f"{name} holds no text, and the model takes no PDF",
            remedy="Use a model that does, such as openai:gpt-5-mini, or run text recognition (OCR) on it first.",
        )
    return text


@contextmanager
def _opened(name: str, data: bytes) -> "Iterator[PdfReader]":
    from pypdf import PdfReader

    logging.getLogger("pypdf").setLevel(logging.CRITICAL)  # it writes a line to stderr for each fault that it repairs
    try:
        yield PdfReader(io.BytesIO(data))
    except Exception as error:  # noqa: BLE001 - the parser raises anything on a damaged file
        raise _unreadable(name, error) from None


def _unreadable(name: str, error: Exception) -> UsageError:
    reason = one_line(str(error))[:200] or type(error).__name__
    return UsageError(
        f"{name} can't be read as a PDF: {reason}", remedy="Check that it is complete and has no password."
    )
