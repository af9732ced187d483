"""The prompt of a one-shot: its words, and what is piped in."""

import sys
from typing import BinaryIO

from chatcli.attachments import MAX_BYTES
from chatcli.errors import ContextError, UsageError


def prompt_text(words: list[str], piped: str | None) -> str:
    """Join the words of the command line and the piped text: the words first, the text in a labelled block.

    Raises:
        UsageError: Both are empty.

    """
    prompt = " ".join(words).strip()
    text = piped if piped is not None and piped.strip() else None
    if prompt and text:
        newline = "" if text.endswith("\n") else "\n"
        return f"{prompt}\n\n<stdin>\n{text}{newline}</stdin>"
    if text:
        return text
    if not prompt:
        raise UsageError("the prompt is empty", remedy='Give one: chat "why is the sky blue?"')
    return prompt


def read_pipe(stream: BinaryIO | None, *, quiet: bool, terminal_too: bool = False) -> str | None:
    """Read `stream` to its end as UTF-8, or return None when it is closed or a terminal; see `read_text`.

    With `terminal_too`, a terminal is read as well.
    """
    if stream is None or stream.closed:
        return None
    if stream.isatty():
        if not terminal_too:
            return None
        if not quiet:
            print("Type the prompt, and end it with Ctrl-D on a line of its own.", file=sys.stderr)
    return read_text(stream, quiet=quiet)


def read_text(stream: BinaryIO, *, quiet: bool) -> str:
    """Read `stream` to its end as UTF-8.

    Undecodable bytes are replaced, which is said on stderr unless `quiet`.

    Raises:
        ContextError: It holds more than any model takes, and more than should be kept in memory.

    """
    data = stream.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise ContextError(
            f"the input takes more than {MAX_BYTES // 4} tokens ({MAX_BYTES // 2**20} MiB),"
            " and the limit of every model is lower",
            remedy="Send a part of it.",
        )
    text = data.decode("utf-8", errors="replace")
    lost = text.count("\N{REPLACEMENT CHARACTER}") - data.count("\N{REPLACEMENT CHARACTER}".encode())
    if lost and not quiet:
        print(f"warning: the input is not all UTF-8; {lost} bytes were replaced", file=sys.stderr)
    return text
