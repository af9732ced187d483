"""A terminal that went away under the program."""

import errno
import os
import sys
import termios


def silence_dead_terminal() -> None:
    """Let what is still written to a terminal that was closed go nowhere: it would fail, and hide why we leave."""
    for stream in (sys.stdout, sys.stderr):
        try:
            termios.tcgetattr(stream.fileno())
        except termios.error as error:
            if error.args[0] == errno.EIO:  # a pipe or a file is no terminal: ENOTTY
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, stream.fileno())
                os.close(nowhere)
