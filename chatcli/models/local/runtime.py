"""The files and locks through which the clients and the server of a user find each other."""

import fcntl
import json
import os
from contextlib import closing
from dataclasses import asdict, dataclass, field
from pathlib import Path

from chatcli import paths
from chatcli.models.local.weights import Weights
from chatcli.runtime.files import replace_privately
from chatcli.runtime.parse import read_json

_LOOPBACK = "http://127.0.0.1:"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A running server: its OpenAI-compatible `base_url`, the key that it requires and its process ID."""

    base_url: str
    api_key: str = field(repr=False)
    pid: int


@dataclass(frozen=True, slots=True)
class Runtime:
    """The folder and the name that one server and its clients share.

    - `server_lock` is held by the server for its whole life, and before that by the client that starts it. A process
      that gets it knows that no server is running.
    - `clients_lock` is held, shared, by every client. If the server can take it alone, it has no clients.
    - `state_file` has the server's address. It may be out of date; `server_lock` shows whether a server is running.
    """

    folder: Path
    name: str

    @classmethod
    def of(cls, weights: Weights) -> "Runtime":
        """Return the runtime files of the server for `weights`; create their folder (0700)."""
        folder = paths.private_dir(paths.private_dir(paths.state_dir()) / "local")
        # The name has the hash, as another release of chatcli may have other weights of that name.
        return cls(folder, f"{weights.name}-{weights.sha256[:8]}")

    @property
    def server_lock(self) -> Path:
        """The file that is locked while a server starts or runs."""
        return self.folder / f"{self.name}.server.lock"

    @property
    def clients_lock(self) -> Path:
        """The file that is locked while a client needs the server."""
        return self.folder / f"{self.name}.clients.lock"

    @property
    def state_file(self) -> Path:
        """The file that holds the `Endpoint`."""
        return self.folder / f"{self.name}.state.json"

    @property
    def log_file(self) -> Path:
        """The file with the server's output."""
        return self.folder / f"{self.name}.log"

    def read_endpoint(self) -> Endpoint | None:
        """Return the endpoint in the state file, or None if it is missing or invalid."""
        try:
            state = read_json(self.state_file.read_bytes())
            endpoint = Endpoint(str(state["base_url"]), str(state["api_key"]), int(state["pid"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return endpoint if endpoint.base_url.startswith(_LOOPBACK) else None

    def write_endpoint(self, endpoint: Endpoint) -> None:
        """Write the state file (0600) in one step, so that no reader sees a part of it."""
        replace_privately(self.state_file, [json.dumps(asdict(endpoint))])

    def forget_endpoint(self, endpoint: Endpoint | None = None) -> None:
        """Delete the state file; with an `endpoint`, only if the file has that one."""
        if endpoint is None or self.read_endpoint() == endpoint:
            self.state_file.unlink(missing_ok=True)


class FileLock:
    """An advisory `flock` on a file that has no other purpose; it is created (0600) if missing and never deleted.

    The lock belongs to the open file, not to the process: a child that inherits the descriptor holds it too. Raises
    `OSError` if the file can't be opened.
    """

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)

    def fileno(self) -> int:
        """Return the descriptor that carries the lock."""
        return self._descriptor

    def try_take(self, *, shared: bool = False) -> bool:
        """Take the lock if it is free, without waiting, and return whether it is held now."""
        try:
            fcntl.flock(self._descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def touch(self) -> None:
        """Set the file's modification time to now: this can be seen after the lock is released."""
        os.utime(self._descriptor)

    def modified_ns(self) -> int:
        """Return the file's modification time in nanoseconds, which `touch` changes."""
        return os.fstat(self._descriptor).st_mtime_ns

    def release(self) -> None:
        """Release the lock, and keep the file open for another `try_take`."""
        fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def close(self) -> None:
        """Close this process's descriptor; this releases the lock unless another process inherited it."""
        os.close(self._descriptor)


def is_taken(path: Path) -> bool:
    """Return whether a process holds the lock on `path`."""
    with closing(FileLock(path)) as lock:
        return not lock.try_take()
