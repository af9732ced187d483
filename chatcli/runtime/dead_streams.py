"""Output streams that nobody can read any more."""

import errno
import os
import sys
import termios
from typing import TextIO


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
