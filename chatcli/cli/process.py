"""The process that a run of `chat` has for itself: its streams, its signals and its end."""

import io
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NoReturn, TextIO, cast

from chatcli.runtime.dead_streams import point_at_devnull
from chatcli.runtime.garbage import put_off_collections
from chatcli.runtime.signals import end_on_signals
from chatcli.runtime.tracing import finish_tracing, trace_failure

MAX_REASON = 300
"""Characters of LangSmith's own words that are repeated."""


class _Aside(io.TextIOWrapper):
    """Standard error, on which nothing depends: what can't be written there (a full disk, no reader) is lost."""

    def write(self, text: str) -> int:
        try:
            return super().write(text)
        except OSError:
            return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            super().flush()


class _Closed(io.TextIOWrapper):
    """Standard output that the caller closed (`>&-`): what is written there is lost, which is noted."""

    lost = False

    def write(self, text: str) -> int:
        self.lost = self.lost or bool(text)
        return super().write(text)


def run_here(on_end: Callable[[int], None] = lambda code: None) -> NoReturn:
    """Run `chat` with the process's arguments and leave with its exit code, which `on_end` is told before."""
    end_on_signals(on_end)
    put_off_collections()
    # A stream that the caller closed (`<&-`, `>&-`) is None: what is read there is empty, what is said goes nowhere.
    closed = None if sys.stdout else _Closed(io.BufferedWriter(io.FileIO(os.devnull, "w")))
    sys.stdin, sys.stdout, sys.stderr = sys.stdin or _null("r"), closed or sys.stdout, sys.stderr or _null("w")
    # An ASCII terminal shows a question mark for what it lacks, instead of ending the answer.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    if isinstance(sys.stderr, io.TextIOWrapper):
        encoding = sys.stderr.encoding
        sys.stderr = _Aside(sys.stderr.detach(), encoding, errors="replace", line_buffering=True)
    try:
        from chatcli.cli.main import run

        code = run(arguments())
    except KeyboardInterrupt:
        code = 130
    if closed is not None and closed.lost and code == 0:
        sys.stderr.write("error: the output can't be written: standard output is closed\n")
        code = 1
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


def arguments() -> list[str]:
    """Return the arguments as the UTF-8 that they nearly always are, whatever the locale says; else replaced."""
    return [os.fsencode(argument).decode("utf-8", errors="replace") for argument in sys.argv[1:]]


def _tell_untraced(reason: str) -> None:
    from chatcli.config.secrets import redact, secrets_of
    from chatcli.sanitize import sanitize

    reason = sanitize(redact(reason, secrets_of(os.environ))[:MAX_REASON])
    sys.stderr.write(f"LangSmith did not take the whole trace: {reason}\n")
    _flush()


def _flush() -> None:
    sys.stderr.flush()
    try:
        sys.stdout.flush()
    except OSError:  # otherwise Python would try again when it exits, and print an error
        point_at_devnull(sys.stdout)


def _null(mode: str) -> TextIO:
    return cast("TextIO", Path(os.devnull).open(mode))
