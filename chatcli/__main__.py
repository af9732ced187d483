"""The `chat` executable."""

import io
import os
import sys
from pathlib import Path
from typing import TextIO, cast

from chatcli.garbage import put_off_collections


def main() -> None:
    """Run `chat` with the process's arguments and leave with its exit code."""
    put_off_collections()
    # A stream that the caller closed (`<&-`, `>&-`) is None: what is read there is empty, what is said goes nowhere.
    sys.stdin, sys.stdout, sys.stderr = sys.stdin or _null("r"), sys.stdout or _null("w"), sys.stderr or _null("w")
    for stream in (sys.stdout, sys.stderr):
        # An ASCII terminal shows a question mark for what it lacks, instead of ending the answer.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    # Imported here: an interrupt while the imports run is an interrupt like any other.
    try:
        from chatcli.cli.main import run

        code = run([_as_text(argument) for argument in sys.argv[1:]])
    except KeyboardInterrupt:
        code = 130
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:  # else Python would try again when it exits, and complain
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    sys.exit(code)


def _null(mode: str) -> TextIO:
    return cast("TextIO", Path(os.devnull).open(mode))


def _as_text(argument: str) -> str:
    """Return `argument` as the UTF-8 that it nearly always is, whatever the locale says; what is not is replaced."""
    return os.fsencode(argument).decode("utf-8", errors="replace")


if __name__ == "__main__":
    main()
