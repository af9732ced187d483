"""Starts the helper, after a run that the helper could have done, and reports whether one is there."""

import fcntl
import os
import socket
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from chatcli.config.secrets import names_secret, redact
from chatcli.helper import kernel, wire
from chatcli.helper.client import HELPER_ANSWER_SECONDS
from chatcli.helper.eligible import is_supported
from chatcli.paths import runtime_dir


def spawn_helper() -> None:
    """Start the helper of this installation in its own session, unless it runs already; ignore a failure."""
    if not is_supported() or not sys.executable:  # an embedded interpreter has no file
        return
    with suppress(OSError):
        # Released at once: the helper locks it itself. Here it avoids a start while another helper is starting.
        os.close(lock_start())
        if not is_there():
            nowhere = [(os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_RDWR, 0) for number in (0, 1, 2)]
            # The waiting process keeps no key and no store's password: each run brings its own environment.
            environment = {name: value for name, value in os.environ.items() if not _is_left_out(name, value)}
            # -P: a file in the current folder must not be imported instead of chatcli.
            command = [sys.executable, "-P", "-m", "chatcli.cli.helper_main"]
            os.posix_spawn(sys.executable, command, environment, file_actions=nowhere, setsid=True)


def lock_start() -> int:
    """Return the descriptor of the lock that only one helper holds. Raises `OSError` if another process holds it."""
    folder = os.open(runtime_dir(create=True), os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(folder)
        raise
    return folder


def is_there() -> bool:
    """Return whether a helper of this installation listens. Raises as `find_helper` does."""
    try:
        wire.connect(wire.socket_path(), HELPER_ANSWER_SECONDS).close()
    except (FileNotFoundError, ConnectionRefusedError):
        return False
    return True


def _is_left_out(name: str, value: str) -> bool:
    ours = name.startswith("CHATCLI_") and name != wire.IDLE_VARIABLE
    return ours or names_secret(name) or redact(value, []) != value  # a proxy's or a database's password


@dataclass(frozen=True, slots=True)
class HelperState:
    """A helper that listens: its process ID, its private memory in bytes, and whether it answers."""

    pid: int
    memory: int
    answers: bool


def find_helper(path: Path | None = None) -> HelperState | None:
    """Return the helper that listens at `path`, by default this installation's; None when none listens.

    Raises `OSError` if the folder of its socket, or the process behind it, is not this user's.
    """
    try:
        with wire.connect(path or wire.socket_path(), HELPER_ANSWER_SECONDS) as connection:
            pid, _ = kernel.peer(connection)
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
            sizes = [int(line.split()[1]) for line in lines if line.startswith(("Private_", "Shared_Dirty"))]
            return HelperState(pid, sum(sizes) * 1024, _answers(connection))
    except (FileNotFoundError, ConnectionRefusedError):
        return None


def _answers(connection: socket.socket) -> bool:
    """Return whether it refuses a request that is none."""
    try:
        connection.send(b"{}")
        connection.recv(wire.MAX_REPLY)
    except OSError:
        return False
    return True
