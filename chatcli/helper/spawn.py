"""Starts the helper, once something was run that it could have run."""

import os
import sys

from chatcli.helper import wire
from chatcli.helper.client import HEARD_WITHIN


def spawn_helper() -> None:
    """Start the helper of this installation in a session of its own, unless it runs; a failure is of no importance."""
    try:
        try:
            wire.connect(wire.socket_path(), HEARD_WITHIN).close()
        except (FileNotFoundError, ConnectionRefusedError):
            nowhere = [(os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_RDWR, 0) for number in (0, 1, 2)]
            # -P: a file in the current folder must not be imported instead of chatcli.
            command = [sys.executable, "-P", "-m", "chatcli.helper_process"]
            os.posix_spawn(sys.executable, command, os.environ, file_actions=nowhere, setsid=True)
    except OSError:
        pass
