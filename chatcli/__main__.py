"""The `chat` executable."""

import io
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn, TextIO, cast

from chatcli.garbage import put_off_collections
from chatcli.tracing import finish_tracing, trace_failure

MAX_REASON = 300
"""Characters of LangSmith's own words that are repeated."""


def main() -> None:
    """Run `chat` with the process's arguments and leave with its exit code."""
    try:
        code = _run_by_helper(_arguments())
    except KeyboardInterrupt:
        code = 130
    if code is not None:
        sys.exit(code)
    run_here()


def run_here(on_end: Callable[[int], None] = lambda code: None) -> NoReturn:
    """Do the same without asking the helper; `on_end` is told the exit code before Python ends."""
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

        code = run(_arguments())
    except KeyboardInterrupt:
        code = 130
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # one that comes while Python ends would show as a traceback
    _flush()
    traced = finish_tracing()
    if not traced or trace_failure():
        _tell_untraced(trace_failure() or "it did not answer in time")
    on_end(code)
    if not traced:
        os._exit(code)
    sys.exit(code)


def _tell_untraced(reason: str) -> None:
    from chatcli.secret import redact, secrets_of

    reason = redact(reason, secrets_of(os.environ))[:MAX_REASON]
    sys.stderr.write(f"LangSmith did not take the whole trace: {reason}\n")
    _flush()


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:  # else Python would try again when it exits, and complain
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _run_by_helper(arguments: list[str]) -> int | None:
    """Return the exit code of the helper's child; None when this process has to do it itself, as it mostly has."""
    from chatcli.helper.asking import may_ask

    if not may_ask(arguments):
        return None
    from chatcli.helper.client import run_by_helper

    return run_by_helper(arguments)


def _null(mode: str) -> TextIO:
    return cast("TextIO", Path(os.devnull).open(mode))


def _arguments() -> list[str]:
    """Return the arguments as the UTF-8 that they nearly always are, whatever the locale says; else replaced."""
    return [os.fsencode(argument).decode("utf-8", errors="replace") for argument in sys.argv[1:]]


if __name__ == "__main__":
    main()
