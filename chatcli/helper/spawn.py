"""Starts the helper, once something was run that it could have run."""

import fcntl
import os
import sys
from contextlib import suppress

from chatcli.config.secrets import names_secret, redact
from chatcli.helper import wire
from chatcli.helper.client import HEARD_WITHIN
from chatcli.paths import runtime_dir


def spawn_helper() -> None:
    """Start the helper of this installation in a session of its own, unless it runs; a failure is of no importance."""
    if sys.platform != "linux" or not sys.executable:  # an embedded interpreter has no file
        return
    with suppress(OSError):
        # Given up again at once: the helper takes it itself. Here it spares a start when another one is being made.
        os.close(lock_start())
        if not is_there():
            _spawn()


def lock_start() -> int:
    """Keep other helpers from starting: of many one-shots that end together, only one shall leave one behind.

    Returns:
        The descriptor of the lock, which is given up when it is closed.

    Raises:
        OSError: Somebody else holds it, or no folder can be had that is this user's alone.

    """
    folder = os.open(runtime_dir(create=True), os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(folder)
        raise
    return folder


def is_there() -> bool:
    """Return whether a helper of this installation listens, whoever made it.

    Raises:
        OSError: The folder of its socket, or the process behind it, is not this user's.

    """
    try:
        wire.connect(wire.socket_path(), HEARD_WITHIN).close()
    except (FileNotFoundError, ConnectionRefusedError):
        return False
    return True


def _spawn() -> None:
    nowhere = [(os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_RDWR, 0) for number in (0, 1, 2)]
    # No key, and no store's password, stays with a process that waits: each run brings its own environment.
    environment = {name: value for name, value in os.environ.items() if not _is_left_out(name, value)}
    # -P: a file in the current folder must not be imported instead of chatcli.
    command = [sys.executable, "-P", "-m", "chatcli.cli.helper_main"]
    os.posix_spawn(sys.executable, command, environment, file_actions=nowhere, setsid=True)


def _is_left_out(name: str, value: str) -> bool:
    ours = name.startswith("CHATCLI_") and name != wire.IDLE_VARIABLE
    return ours or names_secret(name) or redact(value, []) != value  # a proxy's or a database's password
