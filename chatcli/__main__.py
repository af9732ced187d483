"""The `chat` executable."""

import gc
import io
import os
import sys
from pathlib import Path
from typing import TextIO, cast

from chatcli.tracing import finish_tracing

_COLLECTED_AFTER = 50_000
"""Objects; by Python's own 700, hundreds of collections look through all that was imported, and find nothing: a quarter
of the time to the first request, for the same peak of memory."""


def main() -> None:
    """Run `chat` with the process's arguments and leave with its exit code."""
    gc.set_threshold(_COLLECTED_AFTER)
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
    _flush()
    if not finish_tracing():
        sys.stderr.write("LangSmith did not take the whole trace in time; what is missing of it is lost\n")
        _flush()
        os._exit(code)
    sys.exit(code)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:  # else Python would try again when it exits, and complain
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _null(mode: str) -> TextIO:
    return cast("TextIO", Path(os.devnull).open(mode))


def _as_text(argument: str) -> str:
    """Return `argument` as the UTF-8 that it nearly always is, whatever the locale says; what is not is replaced."""
    return os.fsencode(argument).decode("utf-8", errors="replace")


if __name__ == "__main__":
    main()
