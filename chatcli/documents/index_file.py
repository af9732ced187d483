"""The file of the index of documents: its tables, and how it is opened, rebuilt and read when something is wrong."""

import json
import sqlite3
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from chatcli import paths
from chatcli.errors import StoreError
from chatcli.ranking.words import TABLE
from chatcli.runtime.files import lock_folder
from chatcli.runtime.sqlite import ForeignSchemaError, SideFileError, check_schema, connect, remove

VERSION = 1
"""Of the tables and of `words.index_words`: a file of another version is built again."""
BUSY_TIMEOUT = 30.0
"""Seconds to wait for another process that is writing."""
_APPLICATION = 0x63686478
_TABLES = f"""
CREATE TABLE sources (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    source BLOB NOT NULL UNIQUE,
    updated REAL,
    decisions TEXT NOT NULL DEFAULT ''
);
CREATE TABLE files (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    path BLOB NOT NULL UNIQUE,
    size INTEGER NOT NULL,
    mtime INTEGER NOT NULL,   -- of the content and of the entry, in nanoseconds
    ctime INTEGER NOT NULL,
    settled INTEGER NOT NULL, -- 0: it was changed so shortly before it was read that another change may not show
    splitter INTEGER NOT NULL,
    hash BLOB NOT NULL,
    problem TEXT,             -- why it can't be read
    first INTEGER NOT NULL,   -- its passages are first, first + 1, ... first + count - 1
    count INTEGER NOT NULL
);
CREATE INDEX files_by_passage ON files (first);
CREATE TABLE members (
    source INTEGER NOT NULL REFERENCES sources ON DELETE CASCADE,
    file INTEGER NOT NULL REFERENCES files ON DELETE CASCADE,
    PRIMARY KEY (source, file)
) WITHOUT ROWID;
CREATE INDEX members_by_file ON members (file);
-- No number is used twice, and one is left out between two files: it has no neighbour there.
CREATE TABLE passages (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    start_line INTEGER,
    end_line INTEGER,
    page INTEGER,
    headings TEXT NOT NULL,
    text BLOB NOT NULL,       -- compressed, with a checksum
    plain BLOB
);
{TABLE};
"""
_PASSING = ("locked", "full", "readonly", "unable to open", "disk I/O", "interrupted", "syntax error")
"""What SQLite says when the file itself is whole."""
DAMAGED = "the index of documents was damaged: it is built again"
DAMAGE = (sqlite3.DatabaseError, sqlite3.InterfaceError, zlib.error, UnicodeDecodeError, json.JSONDecodeError)
"""What reading a damaged file raises; see `is_damage`."""


def open_index(file: Path) -> tuple[sqlite3.Connection, str]:
    """Return a connection to the index in `file` and, if it had to be built again, the reason.

    Raises `StoreError` if the file can't be used.
    """
    try:
        folder = paths.private_dir(file.parent)
        with lock_folder(folder):
            return _open(file)
    except (OSError, sqlite3.Error) as error:
        raise as_store_error(error, file) from error


def rebuild_index(file: Path, broken: sqlite3.Connection) -> sqlite3.Connection:
    """Replace the damaged index in `file`, which is open as `broken`, by one that knows only the sources.

    Raises `StoreError` if the file can't be used.
    """
    try:
        seen = _identity(file)
        sources = _sources(broken)
        with suppress(sqlite3.Error):
            broken.close()
        with lock_folder(file.parent):
            if seen is not None and _identity(file) == seen:  # else another process has replaced it
                remove(file)
            db = _open(file)[0]
            _add_sources(db, sources)
            return db
    except (OSError, sqlite3.Error) as error:
        raise as_store_error(error, file) from error


@contextmanager
def transaction(db: sqlite3.Connection, *, write: bool) -> Iterator[None]:
    """Run the block as one transaction, which sees one state of the file; undo its changes if it fails."""
    with db:
        db.execute("BEGIN IMMEDIATE" if write else "BEGIN")
        yield


def is_damage(error: Exception) -> bool:
    """Return whether `error`, one of DAMAGE, means that the file is not what was written."""
    if isinstance(error, sqlite3.ProgrammingError):  # such as of a closed index
        return False
    return not (isinstance(error, sqlite3.Error) and any(word in str(error) for word in _PASSING))


def as_store_error(error: Exception, file: Path) -> StoreError:
    """Return `error`, of SQLite or of the system, as the error for the user."""
    reason = str(error)
    if isinstance(error, OSError) and error.strerror:
        reason = error.strerror
    remedy = f"Nothing of your documents is lost. If it goes on, remove the file: {file}"
    if "full" in reason or "No space" in reason:
        reason, remedy = "the disk is full", "Free some space, and ask again: the index goes on where it stopped."
    elif "locked" in reason:
        reason, remedy = "another process is writing to it", "Try again when that has ended."
    elif "readonly" in reason or "Read-only" in reason or "unable to open" in reason or "ermission" in reason:
        remedy = f"Make it writable: {file}"
    return StoreError(f"the index of documents can't be used: {reason}", remedy=remedy)


def _open(file: Path) -> tuple[sqlite3.Connection, str]:
    sources: list[tuple[bytes]] = []
    try:
        return _connect(file), ""
    except _ForeignError as error:
        sources = error.sources
        problem = "the index of documents was of another version: it is built again"
    except (SideFileError, ForeignSchemaError):
        problem = DAMAGED
    except sqlite3.DatabaseError as error:
        if not is_damage(error):
            raise
        problem = DAMAGED
    remove(file)
    db = _connect(file)
    _add_sources(db, sources)
    return db, problem


def _sources(db: sqlite3.Connection) -> list[tuple[bytes]]:
    """Return the names of the sources in the index `db`, if they can be read."""
    with suppress(sqlite3.Error):
        return db.execute("SELECT source FROM sources WHERE typeof(source) = 'blob'").fetchall()
    return []


def _add_sources(db: sqlite3.Connection, sources: list[tuple[bytes]]) -> None:
    with transaction(db, write=True):
        db.executemany("INSERT OR IGNORE INTO sources (source) VALUES (?)", sources)


class _ForeignError(Exception):
    """The file is a database of another version or another program; it may have `sources`."""

    def __init__(self, sources: list[tuple[bytes]]) -> None:
        super().__init__()
        self.sources = sources


def _connect(file: Path) -> sqlite3.Connection:
    file.touch(0o600)
    file.chmod(0o600)
    return connect(file, _prepare, timeout=BUSY_TIMEOUT, check_same_thread=False)


def _prepare(db: sqlite3.Connection, file: Path) -> None:
    """Make the tables of an empty database; raise _ForeignError unless it is that, or ours."""
    check_schema(db, file, _TABLES)
    is_empty = db.execute("SELECT 1 FROM sqlite_schema").fetchone() is None
    known = (*db.execute("PRAGMA application_id").fetchone(), *db.execute("PRAGMA user_version").fetchone())
    if not is_empty and known != (_APPLICATION, VERSION):
        raise _ForeignError(_sources(db))
    # Before the first table. Pages that a change leaves empty are given back at the end of an update.
    db.execute("PRAGMA auto_vacuum = INCREMENTAL")
    # Readers and a writer that takes minutes do not wait for each other. The -wal file has the mode of the file.
    db.execute("PRAGMA journal_mode = WAL")
    # A loss of power may undo the newest transactions: they are then done again.
    db.execute("PRAGMA synchronous = NORMAL")
    db.execute("PRAGMA foreign_keys = ON")
    if is_empty:
        with transaction(db, write=True):
            for statement in _TABLES.split(";\n"):
                db.execute(statement)
            db.execute(f"PRAGMA application_id = {_APPLICATION}")
            db.execute(f"PRAGMA user_version = {VERSION}")
    db.execute("SELECT (SELECT count(*) FROM sources), (SELECT rowid FROM words LIMIT 1)")


def _identity(file: Path) -> tuple[int, int] | None:
    with suppress(OSError):
        status = file.stat()
        return status.st_dev, status.st_ino
    return None
