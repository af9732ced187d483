"""Handles signals before a turn can: the run ends at once, and reports it in the requested format; dead terminals."""

import errno
import os
import signal
import sys
import termios
from collections.abc import Callable, Sequence
from types import FrameType
from typing import TYPE_CHECKING, TextIO

from chatcli.runtime.options import split

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop


STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""The signals that ask a run to stop."""
# ExitCode.INTERRUPTED, which is not imported: this module comes first of all, and imports little of ours.
_INTERRUPTED = 130
# Literal text: a handler that imports `json` may find it half imported.
_REPORTS = {
    "json": (
        '{"thread_id": null, "error": {"code": "interrupted", "message": "interrupted", "retryable": false}}\n',
        "error: interrupted\n",
    ),
    "jsonl": (
        '{"type": "turn_interrupted", "thread_id": null, "checkpoint_id": "", "model": "", "content": "", '
        '"elapsed_ms": 0}\n',
        "",
    ),
}


def is_survived(number: int) -> bool:
    """Return whether `number` is a hang-up that this process ignores, since it was started by nohup."""
    # An interrupt is handled all the same: shells let background jobs ignore it, but `kill -INT` is meant for them.
    return number == signal.SIGHUP and signal.getsignal(number) is signal.SIG_IGN


def end_on_signals(on_end: Callable[[int], None] = lambda code: None) -> None:
    """Let the signals that ask to stop end the process at once, until an event loop handles them; unblock them."""

    # `on_end` is called with the exit code before the end. An exception would not do: in the middle of an import, or
    # while asyncio makes its loop, it may be lost or become another one. Nothing needs to be cleaned up yet.
    def end(number: int, frame: FrameType | None) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)  # it is reported once
        for stream, text in zip((sys.stdout, sys.stderr), _REPORTS.get(wanted_format(sys.argv[1:]), ()), strict=False):
            try:
                if stream is not None:  # closed by the caller
                    os.write(stream.fileno(), text.encode())
            except (OSError, ValueError):  # then only the exit code reports it
                pass
        on_end(_INTERRUPTED)
        os._exit(_INTERRUPTED)

    for number in STOPPING:
        if not is_survived(number):
            signal.signal(number, end)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)


def leave_signals_to_python() -> None:
    """Give the signals their usual effect in Python, for code that has to clean up, such as the terminal's state."""
    for number in STOPPING:
        if not is_survived(number):
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)


def take_signals(
    loop: "AbstractEventLoop", callback: Callable[[], None], numbers: Sequence[signal.Signals] = STOPPING
) -> None:
    """Let `loop` call `callback` for each signal of `numbers`."""
    for number in numbers:
        if not is_survived(number):
            loop.add_signal_handler(number, callback)


def ignore_signals() -> None:
    """Ignore the signals, so that the last report is complete and comes once."""
    for number in STOPPING:
        signal.signal(number, signal.SIG_IGN)


def wanted_format(arguments: list[str]) -> str:
    """Return the requested format, empty for none; the rest of the command line may be wrong."""
    options = list(split(arguments))
    if ("--json", None) in options:
        return "json"
    chosen = [value for option, value in options if option == "--format" and value is not None]
    return chosen[-1] if chosen else os.environ.get("CHATCLI_FORMAT", "")


def point_at_devnull(stream: TextIO) -> None:
    """Discard what is still written to `stream`, so that Python's last flush of it does not fail."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def silence_dead_terminal() -> None:
    """Discard what is still written to a terminal that was closed: an error would hide why the program ends."""
    for stream in (sys.stdout, sys.stderr):
        try:
            termios.tcgetattr(stream.fileno())
        except termios.error as error:
            if error.args[0] == errno.EIO:  # a pipe or a file is no terminal: ENOTTY
                point_at_devnull(stream)
