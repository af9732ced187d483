"""Who is running a turn on which thread, across processes: byte-range locks on one file beside the store.

The kernel gives them up with the process, however it ends. POSIX record locks belong to the process and are lost when
it closes any descriptor of the file, so a process opens the file once.
"""

import fcntl
import hashlib
import os
from pathlib import Path

from chatcli import paths


class SqliteLocks:
    """The locks of the store at `path`; threads are told apart by a hash of their ID."""

    def __init__(self, path: Path) -> None:
        self._path = path.with_name(f"{path.name}-lock")
        self._descriptor: int | None = None

    def try_lock(self, thread_id: str) -> bool:
        """See `TurnLocks.try_lock`."""
        if self._descriptor is None:
            self._descriptor = paths.private_opener(str(self._path), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC)
        try:
            fcntl.lockf(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _offset(thread_id))
        except (BlockingIOError, PermissionError):  # POSIX allows either errno
            return False
        return True

    def unlock(self, thread_id: str) -> None:
        """See `TurnLocks.unlock`."""
        if self._descriptor is not None:
            fcntl.lockf(self._descriptor, fcntl.LOCK_UN, 1, _offset(thread_id))


def _offset(thread_id: str) -> int:
    digest = hashlib.blake2b(thread_id.encode(), digest_size=7).digest()
    return int.from_bytes(digest)
