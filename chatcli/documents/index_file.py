"""The file of the index of documents: its tables and their rows, and what happens when something is wrong with it."""

import json
import os
import sqlite3
import time
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple, cast

from chatcli import paths
from chatcli.config.secret_files import open_regular
from chatcli.documents.find import UNSETTLED
from chatcli.documents.passage import Passage
from chatcli.documents.read import MAX_BYTES, SPLITTER, DocumentReader, UnreadableError
from chatcli.errors import StoreError
from chatcli.ranking.words import TABLE, index_words
from chatcli.runtime.files import lock_folder
from chatcli.runtime.parse import inflate
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
_NAMES = 3
"""How many names at the end of a path are searched."""
_FILE = "SELECT path, id, size, mtime, ctime, settled, splitter, hash, problem FROM"
_MAX_TEXT = 1 << 20
"""Bytes; a passage has a few thousand characters."""
State = tuple[int, int, int]
"""A file's size, and the times of the last change of its content and of its entry, in nanoseconds."""


def open_index(file: Path) -> tuple[sqlite3.Connection, str]:
    """Return a connection to the index in `file` and, if it had to be built again, the reason.

    Raises `StoreError` if the file can't be used.
    """
    try:
        with lock_folder(paths.private_dir(file.parent)):
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
        sources += error.args
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
    """The file is a database of another version or another program; its arguments are the sources there."""


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
        raise _ForeignError(*_sources(db))
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


class KnownFile(NamedTuple):
    """A file as the index knows it; `problem` is why it can't be read."""

    id: int
    size: int
    mtime: int
    ctime: int
    settled: int
    """0 if it was read so shortly after a change that another change may not show in its times."""
    splitter: int
    hash: bytes
    problem: str | None

    def is_current(self, state: State) -> bool:
        """Return whether the file has surely not changed if it is in `state` now."""
        return bool(self.settled) and (self.size, self.mtime, self.ctime) == state and self.splitter == SPLITTER


@dataclass(frozen=True, slots=True)
class Content:
    """What a file held when it was read."""

    path: str
    state: State
    settled: bool
    hash: bytes
    passages: Sequence[Passage] | None
    """Its passages; None if they are those that the index has."""
    problem: str | None = None
    """Why it can't be read, if it can't."""


def state_of(status: os.stat_result) -> State:
    """Return the part of `status` that changes with the content."""
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns


def read_content(path: str, known: KnownFile | None, reader: DocumentReader) -> Content:
    """Return the content of the file `path` now; its passages only if the content is not the `known` one.

    Raises `OSError` if it can't be read now, or is no regular file any more.
    """
    began = time.time_ns()
    with open(path, "rb", opener=open_regular) as file:
        state = state_of(os.fstat(file.fileno()))
        data = file.read(MAX_BYTES + 1)
        after = state_of(os.fstat(file.fileno()))
    settled = state == after and max(state[1:]) < began - UNSETTLED
    digest = blake2b(data, digest_size=16).digest()
    if known is not None and (known.hash, known.splitter) == (digest, SPLITTER):
        return Content(path, state, settled, digest, None, known.problem)
    try:
        passages = reader.read_passages(Path(path), data)
    except UnreadableError as error:
        return Content(path, state, settled, digest, (), str(error))
    return Content(path, state, settled, digest, passages)


def files_of_source(db: sqlite3.Connection, source: int) -> dict[str, KnownFile]:
    """Return the files of `source` in the index by path."""
    rows = db.execute(f"{_FILE} members JOIN files ON id = file WHERE source = ?", (source,)).fetchall()
    # All paths at once: with a call for each, this took as long as the walk through the files.
    names = os.fsdecode(b"\0".join(row[0] for row in rows)).split("\0")
    return {path: KnownFile._make(row[1:]) for path, row in zip(names, rows, strict=False)}


def known_file(db: sqlite3.Connection, path: str) -> KnownFile | None:
    """Return the file `path` as the index knows it."""
    row = db.execute(f"{_FILE} files WHERE path = ?", (os.fsencode(path),)).fetchone()
    return None if row is None else KnownFile._make(row[1:])


def write_content(db: sqlite3.Connection, content: Content, sources: Iterable[int]) -> str:
    """Make `content` what the index has of its file, a member of `sources`; return "added", "changed" or "same".

    Nothing is done for a file that another process has removed meanwhile, or whose sources it has removed.
    """
    known = known_file(db, content.path)
    query = "SELECT id FROM sources WHERE id IN (SELECT value FROM json_each(?))"
    members = db.execute(query, (json.dumps(list(sources)),)).fetchall()
    values = (*content.state, content.settled, SPLITTER, content.hash, content.problem)
    outcome = "same"
    if known is None and (content.passages is None or not members):
        return outcome
    if known is None:
        query = "INSERT INTO files (size, mtime, ctime, settled, splitter, hash, problem, path, first, count) "
        cursor = db.execute(f"{query} VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0, 0)", (*values, os.fsencode(content.path)))
        number = cast("int", cursor.lastrowid)
        outcome = "added"
    else:
        number = known.id
        query = "UPDATE files SET size = ?, mtime = ?, ctime = ?, settled = ?, splitter = ?, hash = ?, problem = ?"
        db.execute(f"{query} WHERE id = ?", (*values, number))
        # Another process may have written the same meanwhile.
        if content.passages is not None and (known.hash, known.splitter) != (content.hash, SPLITTER):
            outcome = "changed"
    if outcome != "same":
        _remove_passages(db, [number])
        _add_passages(db, number, content)
    db.executemany("INSERT OR IGNORE INTO members VALUES (?, ?)", ((source, number) for (source,) in members))
    return outcome


def _add_passages(db: sqlite3.Connection, file: int, content: Content) -> None:
    passages = content.passages or ()
    (last,) = db.execute("SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'passages'").fetchone()
    first = last + 2
    numbered = list(enumerate(passages, first))
    db.executemany(
        "INSERT INTO passages (id, start_line, end_line, page, headings, text, plain) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            (
                number,
                passage.start_line,
                passage.end_line,
                passage.page,
                json.dumps(passage.headings, ensure_ascii=False) if passage.headings else "",
                _packed(passage.text),
                _packed(passage.plain) if passage.plain else None,
            )
            for number, passage in numbered
        ),
    )
    db.executemany(
        "INSERT INTO words (rowid, place, text) VALUES (?, ?, ?)",
        ((number, *_indexed(passage)) for number, passage in numbered),
    )
    db.execute("UPDATE files SET first = ?, count = ? WHERE id = ?", (first, len(numbered), file))


def _remove_passages(db: sqlite3.Connection, files: Iterable[int]) -> None:
    """Remove the passages of `files`."""
    for file in files:
        row = db.execute("SELECT path, first, count FROM files WHERE id = ?", (file,)).fetchone()
        if row is None:  # another process was quicker
            continue
        path, first, count = row
        # The table of words has no text of its own: it has to be given what was indexed.
        db.executemany(
            "INSERT INTO words (words, rowid, place, text) VALUES ('delete', ?, ?, ?)",
            ((number, *_indexed(passage)) for number, passage in numbered_passages(db, path, first, first + count)),
        )
        db.execute("DELETE FROM passages WHERE id >= ? AND id < ?", (first, first + count))


def remove_files(db: sqlite3.Connection, files: Sequence[int]) -> None:
    """Remove `files` with all that belongs to them."""
    _remove_passages(db, files)
    db.executemany("DELETE FROM files WHERE id = ?", ((file,) for file in files))


def numbered_passages(db: sqlite3.Connection, path: bytes, first: int, end: int) -> Iterator[tuple[int, Passage]]:
    """Yield the passages from `first` up to, without, `end`, all of the file `path`, with their numbers."""
    query = "SELECT id, start_line, end_line, page, headings, text, plain FROM passages WHERE id >= ? AND id < ?"
    where = Path(os.fsdecode(path))
    for number, start, last, page, headings, text, plain in db.execute(f"{query} ORDER BY id", (first, end)).fetchall():
        trail = tuple(json.loads(headings)) if headings else ()
        yield number, Passage(where, _unpacked(text), start, last, page, trail, _unpacked(plain) if plain else "")


def _indexed(passage: Passage) -> tuple[str, str]:
    """Return the words of a passage as they are indexed: of its place, and of its text."""
    name = str(passage.path).rsplit("/", _NAMES)[1:]  # the folders further out are those of all files
    return index_words("\n".join((*name, *passage.headings))), index_words(passage.plain or passage.text)


def _packed(text: str) -> bytes:
    return zlib.compress(text.encode("utf-8", "surrogatepass"))


def _unpacked(data: bytes) -> str:
    return inflate(data, _MAX_TEXT).decode("utf-8", "surrogatepass")
