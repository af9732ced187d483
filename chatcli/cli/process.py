"""Prepares the process of a run: its streams, its signals and its end."""

import io
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NoReturn, TextIO, cast

from chatcli.runtime.deferred_packages import defer_packages, put_off_collections
from chatcli.runtime.signals import end_on_signals, point_at_devnull
from chatcli.runtime.tracing import finish_tracing, trace_failure


class _Lossy(io.TextIOWrapper):
    """Standard error, on which nothing depends: text that can't be written (a full disk, no reader) is lost."""

    def write(self, text: str) -> int:
        try:
            return super().write(text)
        except OSError:
            return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            super().flush()


class _Closed(io.TextIOWrapper):
    """Standard output that the caller closed (`>&-`): the text is lost; `lost` is whether there was any."""

    lost = False

    def write(self, text: str) -> int:
        self.lost = self.lost or bool(text)
        return super().write(text)


def run_here(on_end: Callable[[int], None] = lambda code: None) -> NoReturn:
    """Run `chat` with the process's arguments, call `on_end` with the exit code, and exit with it."""
    end_on_signals(on_end)
    put_off_collections()
    defer_packages()
    # A stream that the caller closed (`<&-`, `>&-`) is None: replace it by an empty input, or an output that is lost.
    closed = None if sys.stdout else _Closed(io.BufferedWriter(io.FileIO(os.devnull, "w")))
    sys.stdin, sys.stdout, sys.stderr = sys.stdin or _null("r"), closed or sys.stdout, sys.stderr or _null("w")
    # An ASCII terminal shows a question mark for other characters, instead of ending the answer.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    if isinstance(sys.stderr, io.TextIOWrapper):
        encoding = sys.stderr.encoding
        sys.stderr = _Lossy(sys.stderr.detach(), encoding, errors="replace", line_buffering=True)
    try:
        from chatcli.cli.main import run

        code = run(arguments())
    except KeyboardInterrupt:
        code = 130
    if closed is not None and closed.lost and code == 0:
        sys.stderr.write("error: the output can't be written: standard output is closed\n")
        code = 1
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # a signal while Python ends would show a traceback
    _flush()
    traced = finish_tracing()
    if not traced or trace_failure():
        from chatcli.cli.report import report_incomplete_trace

        report_incomplete_trace(trace_failure() or "it did not answer in time")
        _flush()
    on_end(code)
    if not traced:
        os._exit(code)
    sys.exit(code)


def arguments() -> list[str]:
    """Return the arguments read as UTF-8, whatever the locale is; undecodable bytes are replaced."""
    return [os.fsencode(argument).decode("utf-8", errors="replace") for argument in sys.argv[1:]]


def _flush() -> None:
    sys.stderr.flush()
    try:
        sys.stdout.flush()
    except OSError:  # otherwise Python would try again when it exits, and print an error
        point_at_devnull(sys.stdout)


def _null(mode: str) -> TextIO:
    return cast("TextIO", Path(os.devnull).open(mode))
