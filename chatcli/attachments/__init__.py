"""Files, images, PDFs and web pages that are sent with a question."""

from typing import BinaryIO

from chatcli.errors import ContextError
from chatcli.fences import fenced, new_marker

MAX_BYTES = 256 * 1024 * 1024
"""The largest file or piped input that is read, in bytes: no model takes more, and it has to fit in memory."""
STDIN = "-"


def read_all(name: str, stream: BinaryIO) -> bytes:
    """Return the whole of `stream`, which messages call `name`; refuse one that is longer than any model accepts."""
    data = stream.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        size = f"{MAX_BYTES // 2**20} MiB, some {MAX_BYTES // 4} tokens"
        problem = f"{name} is larger than {size}: the limit of every model is lower"
        raise ContextError(problem, remedy="Send a part of it.")
    return data


def piped_block(text: str) -> str:
    """Return the `text` of standard input as a block of a question."""
    return fenced([("<stdin>", text)], new_marker(), "</stdin>")
