"""Starts the helper, once something was run that it could have run."""

import os
import sys
from contextlib import suppress

from chatcli.helper import wire
from chatcli.helper.client import HEARD_WITHIN
from chatcli.secret import names_secret


def spawn_helper() -> None:
    """Start the helper of this installation in a session of its own, unless it runs; a failure is of no importance."""
    if sys.platform != "linux" or not sys.executable:  # an embedded interpreter has no file
        return
    with suppress(OSError):
        try:
            wire.connect(wire.socket_path(), HEARD_WITHIN).close()
        except (FileNotFoundError, ConnectionRefusedError):
            _spawn()


def _spawn() -> None:
    nowhere = [(os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_RDWR, 0) for number in (0, 1, 2)]
    # No key, and no store's password, stays with a process that waits: each run brings its own environment.
    environment = {name: value for name, value in os.environ.items() if not (names_secret(name) or _is_ours(name))}
    # -P: a file in the current folder must not be imported instead of chatcli.
    command = [sys.executable, "-P", "-m", "chatcli.helper_process"]
    os.posix_spawn(sys.executable, command, environment, file_actions=nowhere, setsid=True)


def _is_ours(name: str) -> bool:
    return name.startswith("CHATCLI_") and name != wire.IDLE_VARIABLE
