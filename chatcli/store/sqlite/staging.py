"""A temporary store: threads are written there first, then copied into the real store, all of them or none."""

import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from chatcli import paths
from chatcli.runtime.files import lock_folder, put_in_place
from chatcli.runtime.sqlite import connect as connect_file
from chatcli.runtime.sqlite import unchecked
from chatcli.store.errors import sqlite_failures
from chatcli.store.sqlite.threads import BUSY_TIMEOUT, COPIED, connect

_PREFIX = ".import-"
_LOCK = "lock"
"""A file in a staging folder; the process that made the folder holds a lock on it until it ends."""


@contextmanager
def staging_path(path: Path) -> Iterator[Path]:
    """Yield a path for a temporary SQLite store, on the disk of the store at `path`; it is deleted at the end."""
    with lock_folder(path.parent):  # no process may take a new folder, not yet locked, for a leftover
        for left in path.parent.glob(f"{_PREFIX}*"):  # of processes that were killed meanwhile
            with suppress(OSError):  # it is in use, belongs to another user, or was just deleted
                with suppress(FileNotFoundError):
                    lock = os.open(left / _LOCK, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
                    try:
                        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    finally:
                        os.close(lock)
                shutil.rmtree(left)
        temporary = tempfile.TemporaryDirectory(prefix=_PREFIX, dir=path.parent)
        lock = os.open(Path(temporary.name) / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        with temporary as folder:
            yield Path(folder) / "threads.db"
    finally:
        os.close(lock)


def is_unmade(path: Path) -> bool:
    """Return whether there is no store at `path`: no file, or an empty one."""
    return not path.exists() or (path.stat().st_size == 0 and path.is_file())


@contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """Yield the path of an empty database, which appears at `path` at the end, unless another process was faster."""
    # It is readable by the user alone, or as the empty file at `path` is. A kill leaves nothing there.
    target = Path(os.path.realpath(path))
    paths.private_dir(target.parent)
    with staging_path(target) as staged:
        with open(staged, "xb", opener=paths.private_opener):
            pass
        with closing(connect_file(staged, unchecked, timeout=BUSY_TIMEOUT)) as connection:
            # Before the first table: neither can be changed later without rewriting the file. An answer of some 2,000
            # characters leaves half of a default page of 4,096 bytes empty.
            connection.executescript("PRAGMA page_size = 8192; PRAGMA auto_vacuum = INCREMENTAL;")
            connection.execute("PRAGMA journal_mode = WAL")
        yield staged
        with lock_folder(target.parent):
            if is_unmade(target):
                if target.exists():
                    staged.chmod(stat.S_IMODE(target.stat().st_mode))
                put_in_place(staged, target)


def adopt(path: Path, staged: Path) -> None:
    """Copy all threads of the SQLite store at `staged` into the one at `path`, in one transaction."""
    with sqlite_failures(), closing(connect(path)) as connection:
        connection.execute("ATTACH ? AS staged", (str(staged),))
        with connection:
            connection.execute("BEGIN IMMEDIATE")
            for table, columns, order in COPIED:
                connection.execute(
                    f"INSERT INTO {table} (thread_id, {columns})"  # noqa: S608 - constants
                    f" SELECT thread_id, {columns} FROM staged.{table} ORDER BY {order}"
                )
            connection.execute(_TITLES)


# The triggers of the store itself make its rows of threads and its full-text index.
_TITLES = (
    "UPDATE threads SET title = (SELECT title FROM staged.threads AS t WHERE t.thread_id = threads.thread_id)"
    " WHERE thread_id IN (SELECT thread_id FROM staged.threads)"
)
