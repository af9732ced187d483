"""Files, images, PDFs and web pages that are sent with a question."""

from chatcli.fences import fenced, new_marker

MAX_BYTES = 256 * 1024 * 1024
"""The largest file or piped input that is read, in bytes: no model takes more, and it has to fit in memory."""
STDIN = "-"


def piped_block(text: str) -> str:
    """Return the `text` of standard input as a block of a question."""
    return fenced([("<stdin>", text)], new_marker(), "</stdin>")
