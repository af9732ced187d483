"""This process's standard input and output, kept for messages alone."""

import os
from collections.abc import Iterator
from typing import Any

from chatcli.errors import UsageError

_READ_AT_ONCE = 65536


def take_streams() -> tuple[int, int]:
    """Return descriptors for standard input and output; from now on, input is empty and output goes to stderr.

    So nothing that a graph, a library or a child process prints gets between the messages.
    """
    try:
        reading, writing = os.dup(0), os.dup(1)
    except OSError:
        raise UsageError("a server speaks on its standard input and output, and one is closed") from None
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    try:
        os.dup2(2, 1)
    except OSError:  # the caller closed stderr
        os.dup2(nothing, 1)
    os.close(nothing)
    return reading, writing


def read_lines(descriptor: int) -> Iterator[bytes]:
    """Yield the lines that `descriptor` brings, without newlines and blank ones; raise OSError if it can't be read."""
    with open(descriptor, "rb", _READ_AT_ONCE) as lines:
        for line in lines:
            if line.strip():
                yield line.removesuffix(b"\n")


def write_whole(descriptor: int, data: bytes) -> None:
    """Write all of `data` to `descriptor`; raise OSError if nobody reads it any more."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def rpc_error(code: int, message: str, number: int | str | None = None) -> dict[str, Any]:
    """Return the answer of JSON-RPC 2.0 to the request `number`, or to what is none, that it failed."""
    return {"jsonrpc": "2.0", "id": number, "error": {"code": code, "message": message}}
