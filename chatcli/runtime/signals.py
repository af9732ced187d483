"""What a signal does before a turn can take it: the run ends at once, and says so in the format that was asked for."""

import os
import signal
import sys
from collections.abc import Callable, Sequence
from types import FrameType
from typing import TYPE_CHECKING

from chatcli.runtime.command_line import split

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""The signals that ask a run to stop."""
_INTERRUPTED = 130  # ExitCode.INTERRUPTED; this module is imported first of all, so it imports next to nothing of ours
# Written out: a handler that imports `json` may find it half imported.
_SAID = {
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
    """Return whether `number` is a hang-up that this process was started to ignore, by nohup.

    An interrupt is taken all the same: shells let background jobs ignore it, and a `kill -INT` means them.
    """
    return number == signal.SIGHUP and signal.getsignal(number) is signal.SIG_IGN


def end_on_signals(on_end: Callable[[int], None] = lambda code: None) -> None:
    """Let the signals that ask to stop end the process at once, until an event loop takes them; blocked ones come now.

    An exception would not do: one in the middle of an import, or while asyncio makes its loop, may be lost, or become
    another. Nothing is to be unwound yet.

    Args:
        on_end: Told the exit code before that.

    """

    def end(number: int, frame: FrameType | None) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)  # it is told once
        for stream, text in zip((sys.stdout, sys.stderr), _SAID.get(wanted_format(sys.argv[1:]), ()), strict=False):
            try:
                if stream is not None:  # closed by the caller
                    os.write(stream.fileno(), text.encode())
            except (OSError, ValueError):  # nobody can be told, but for the exit code
                pass
        on_end(_INTERRUPTED)
        os._exit(_INTERRUPTED)

    for number in STOPPING:
        if not is_survived(number):
            signal.signal(number, end)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)


def leave_signals_to_python() -> None:
    """Let the signals do what they do in any Python program, for what has something to unwind: the terminal, say."""
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
    """Let what is told at the end be told whole, and once."""
    for number in STOPPING:
        signal.signal(number, signal.SIG_IGN)


def wanted_format(arguments: list[str]) -> str:
    """Return the format that was asked for, even when the command line can't be read as a whole; empty for none."""
    options = list(split(arguments))
    if ("--json", None) in options:
        return "json"
    chosen = [value for option, value in options if option == "--format" and value is not None]
    return chosen[-1] if chosen else os.environ.get("CHATCLI_FORMAT", "")
