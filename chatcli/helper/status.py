"""Describes the helper that runs, without sending it a request."""

import socket
from dataclasses import dataclass
from pathlib import Path

from chatcli.helper import wire
from chatcli.helper.client import HEARD_SECONDS


@dataclass(frozen=True, slots=True)
class HelperState:
    """A helper that listens: its process ID, its private memory in bytes, and whether it answers."""

    pid: int
    memory: int
    answers: bool


def find_helper(path: Path | None = None) -> HelperState | None:
    """Return the helper that listens at `path`, by default this installation's; None when none listens.

    Raises:
        OSError: The folder of its socket, or the process behind it, is not this user's.

    """
    try:
        with wire.connect(path or wire.socket_path(), HEARD_SECONDS) as connection:
            pid, _ = wire.peer(connection)
            return HelperState(pid, _private_memory(pid), _answers(connection))
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


def _private_memory(pid: int) -> int:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    sizes = [int(line.split()[1]) for line in lines if line.startswith(("Private_", "Shared_Dirty"))]
    return sum(sizes) * 1024
