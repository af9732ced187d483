"""File locks that the kernel releases when the process that holds them ends in any way."""

import os
import sys
from pathlib import Path

from chatcli.errors import UsageError

if sys.platform != "win32":
    import fcntl


class FileLock:
    """An advisory `flock` on a file that has no other purpose; it is created (0600) if missing and never deleted.

    The lock belongs to the open file, not to the process: a child that inherits the descriptor holds it too.

    Raises:
        OSError: The file can't be opened.

    """

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)

    def fileno(self) -> int:
        """Return the descriptor that carries the lock."""
        return self._descriptor

    def try_take(self, *, shared: bool = False) -> bool:
        """Take the lock if it is free, without waiting, and return whether it is held now.

        Raises:
            UsageError: This is Windows, which has no such lock.

        """
        if sys.platform == "win32":
            raise UsageError(
                "The embedded local model runs on Linux and macOS only",
                remedy="On Windows, install Ollama and give its address with --base-url.",
            )
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
        if sys.platform != "win32":
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def close(self) -> None:
        """Close this process's descriptor; this releases the lock unless another process inherited it."""
        os.close(self._descriptor)
