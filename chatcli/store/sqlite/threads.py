"""The threads of a SQLite store, read with the standard library alone."""

import errno
import fcntl
import hashlib
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from functools import partial
from itertools import chain, groupby, islice
from operator import itemgetter
from pathlib import Path
from typing import Any, ClassVar

from chatcli import paths
from chatcli.errors import StoreError
from chatcli.message import MessageShown
from chatcli.runtime.parse import json_object
from chatcli.runtime.sqlite import READ_STEPS, ForeignSchemaError, Mode, check_schema, connect_as_possible
from chatcli.runtime.sqlite import connect as connect_file
from chatcli.store import threads as common
from chatcli.store.database import DatabaseJournal, DatabaseThreads, Queries, Run, no_rows
from chatcli.store.errors import FOREIGN, DamagedError, ReadOnlyError, sqlite_failures
from chatcli.store.sqlite import schema
from chatcli.store.usage import AnswerUsage, UsageRow, answers_of

BUSY_TIMEOUT = 5.0
"""Seconds to wait for another process's write."""
LOCK_FIRST = "IMMEDIATE"
"""The isolation level: a transaction waits for the write lock at its beginning.

Later it can't wait: SQLite fails at once when a transaction that has read wants a lock that is taken. The first write
reads where another process has changed the schema, since it opens the full-text index again.
"""
SETTINGS = """
PRAGMA fullfsync = ON;
PRAGMA wal_autocheckpoint = 24;
PRAGMA journal_size_limit = 196608;
"""
"""Of each connection.

`fullfsync` lets a commit outlast a loss of power on macOS, whose fsync(2) leaves it to the drive; elsewhere it has no
effect. The others bound the write-ahead log, in pages of 8 KB and in bytes: SQLite's own limit is 1,000 pages.
"""
MAX_VERSION = 1000
"""No chatcli writes a store with a higher version."""
_USAGE_TYPES = (str, str, str, int, str)
_INDEX = {"threads", "messages", "messages_fts", "journal"}
"""The tables of the index, beside those of LangGraph."""
_LANGGRAPHS = {"checkpoints", "writes", "store", "store_migrations", "store_vectors", "vector_migrations"}
_SEARCH = {f"messages_fts_{part}" for part in ("data", "idx", "docsize", "config")}
OWN_TABLES = _INDEX | _LANGGRAPHS | _SEARCH | {"usage"}
"""All tables that a store may have; another program's database has others."""


class SqliteThreads(DatabaseThreads):
    """The threads of the store at `path`; a store that does not exist yet has none."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._queries = QUERIES
        self.journal = DatabaseJournal(self._writing, QUERIES)
        self.locks = SqliteLocks(path)

    def delete(self, thread_ids: Sequence[str]) -> None:
        """Delete the threads, and give the space back."""
        with self._connection() as connection:
            connection.execute(schema.USAGE)
            for table in ("checkpoints", "writes", "messages", "journal", "threads", "usage"):
                connection.executemany(
                    f"DELETE FROM {table} WHERE thread_id = ?",  # noqa: S608 - constant names
                    [(thread_id,) for thread_id in thread_ids],
                )
            # Deleted text stays in the full-text index, marked as deleted, until its parts are merged.
            connection.execute("INSERT INTO messages_fts (messages_fts) VALUES ('optimize')")
        with self._connection() as connection:
            # Not `execute`, which takes one step of a statement without rows: that would free a single page.
            connection.executescript("PRAGMA incremental_vacuum")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def usage(self, thread_id: str | None = None) -> list[AnswerUsage]:
        """Return the usage of the stored answers of one thread or of all."""
        if not self._path.exists():
            return []
        with self._connection() as connection:
            tables = _tables(connection)
            if "checkpoints" not in tables:
                return []
            values = {"thread": thread_id}
            seen = "usage" in tables
            kept = list(_typed(connection.execute(_USAGE, values), *_USAGE_TYPES)) if seen else []
            new = list(_read_usage(connection.execute(_UNREAD if seen else _ALL_WRITES, values), connection))
        if new:
            with suppress(StoreError), self._connection() as connection:  # it may be full, locked or read-only
                connection.execute(schema.USAGE)
                connection.executemany("INSERT OR IGNORE INTO usage VALUES (?, ?, ?, ?, ?)", new)
        try:
            return answers_of([*kept, *new])
        except (ValueError, TypeError) as error:  # an older version read the same, so it was changed since
            raise DamagedError("the store can't be used: what it knows of tokens can't be read") from error

    def newest_messages(self, thread_id: str, limit: int) -> list[MessageShown]:
        """Return the last `limit` questions and answers of the current branch, the oldest first."""
        with self._reading() as run:
            rows = run(_SAID, {"thread": thread_id}, str, int, str, str, int)
            # The newest checkpoint comes first; one may hold several messages, whose order is that of their ids.
            newest_first = chain.from_iterable(sorted(group, reverse=True) for _, group in groupby(rows, itemgetter(0)))
            messages = [MessageShown(role, text, bool(cut)) for _, _, role, text, cut in islice(newest_first, limit)]
            return messages[::-1]

    @contextmanager
    def _reading(self) -> Iterator[Run]:
        if not self._path.exists():
            yield no_rows
            return
        with self._connection() as connection:
            tables = _tables(connection)
            is_being_made = not tables >= _INDEX and (not tables or "checkpoints" in tables)
            yield no_rows if is_being_made else partial(_run, connection)

    @contextmanager
    def _writing(self) -> Iterator[Run]:
        with self._connection() as connection:
            yield partial(_run, connection)

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        """Open the store for one transaction."""
        with sqlite_failures(), closing(connect(self._path)) as connection, connection:
            yield connection


def _run(
    connection: sqlite3.Connection, query: str, values: dict[str, Any], *kinds: type | tuple[type, ...]
) -> Iterator[tuple[Any, ...]]:
    return _typed(connection.execute(query, values), *kinds)


def _typed(rows: Iterable[tuple[Any, ...]], *kinds: type | tuple[type, ...]) -> Iterator[tuple[Any, ...]]:
    """Yield `rows`; raise DamagedError for a value that is none of its column's `kinds`, which SQLite allows."""
    for row in rows:
        if not all(map(isinstance, row, kinds)):
            raise DamagedError("the store can't be used: a value in it has the wrong type")
        yield row


def _read_usage(writes: Iterable[Any], connection: sqlite3.Connection) -> Iterator[UsageRow]:
    servers: dict[tuple[str, str], bool] = {}
    for *write, kind, value, metadata in _typed(writes, *_USAGE_TYPES[:4], str, bytes, (str, type(None))):
        # With LangGraph, which listing threads does without.
        from chatcli.store.message_index import has_server, read_usage

        checkpoint = (write[0], write[1])
        if checkpoint not in servers:
            servers = {checkpoint: has_server(connection.execute(_CHECKPOINT, checkpoint).fetchone())}
        facts = json_object(metadata or "{}")
        if facts is None:
            raise DamagedError("the store can't be used: the metadata of a checkpoint can't be read")
        yield read_usage(write, (kind, value), facts, own_server=servers[checkpoint])


class SqliteLocks(common.TurnLocks):
    """The locks of the store at `path`: a byte, at a hash of the thread's ID, of one file in the store's folder."""

    # The kernel releases them when the process ends, however it ends. POSIX record locks belong to the process and are
    # lost when it closes any descriptor of the file, so a process opens the file once. Among the turns of one process,
    # which the kernel does not tell apart, `_taken` decides.
    _descriptors: ClassVar[dict[Path, int]] = {}
    _taken: ClassVar[dict[tuple[int, Path, int], "SqliteLocks"]] = {}
    """Who has which byte of which file; a forked process has none of its parent's locks."""

    def __init__(self, path: Path) -> None:
        self._path = path.with_name(f"{path.name}-lock")

    def try_lock(self, thread_id: str) -> bool:
        """Take the thread for a turn unless another process has it."""
        path, offset = self._path.absolute(), _offset(thread_id)
        if not _is_open(path, self._descriptors.get(path)):
            try:
                self._descriptors[path] = paths.private_opener(str(path), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC)
            except OSError as error:
                if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
                    raise ReadOnlyError from error
                raise
        if self._taken.setdefault((os.getpid(), path, offset), self) is not self:
            return False
        try:
            fcntl.lockf(self._descriptors[path], fcntl.LOCK_EX | fcntl.LOCK_NB, 1, offset)
        except (BlockingIOError, PermissionError):  # POSIX allows either errno
            del self._taken[os.getpid(), path, offset]
            return False
        return True

    def unlock(self, thread_id: str) -> None:
        """Release the thread."""
        path, offset = self._path.absolute(), _offset(thread_id)
        if self._taken.get((os.getpid(), path, offset)) is self:
            fcntl.lockf(self._descriptors[path], fcntl.LOCK_UN, 1, offset)
            del self._taken[os.getpid(), path, offset]


def _is_open(path: Path, descriptor: int | None) -> bool:
    """Return whether `descriptor` is that of the file which is at `path` now."""
    try:
        return descriptor is not None and os.path.samestat(os.fstat(descriptor), os.stat(path))  # noqa: PTH116
    except OSError:  # it was removed
        return False


def _offset(thread_id: str) -> int:
    return int.from_bytes(hashlib.blake2b(thread_id.encode(), digest_size=7).digest())


def connect(path: Path) -> sqlite3.Connection:
    """Open the existing store at `path`; only to read where nothing can be written."""
    return connect_as_possible(path, schema.VERSION, _open_complete)


def open_file(path: Path, mode: Mode = "rw", **options: Any) -> sqlite3.Connection:
    """Return a connection to the store at `path`, which may lack tables, after checks; see `runtime.sqlite.connect`."""
    if path.is_dir():
        raise StoreError(f"the store {path} is a folder", remedy="Name a file with --store sqlite:///PATH.")
    options = {"isolation_level": LOCK_FIRST, **options}
    connection = connect_file(path, _check, timeout=BUSY_TIMEOUT, mode=mode, **options)
    connection.executescript(SETTINGS)
    if mode == "rw":
        # The schema has our own triggers alone now. SQLite counts the full-text index, which they write, as unsafe.
        connection.execute("PRAGMA trusted_schema = ON")
    return connection


def _check(connection: sqlite3.Connection, file: Path) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (mark,) = connection.execute("PRAGMA application_id").fetchone()
    is_ours = schema.MARK - schema.VERSION < mark <= schema.MARK
    if not 0 <= version <= MAX_VERSION or (is_ours and version > schema.VERSION):
        raise DamagedError("the store can't be used: its beginning is damaged")
    if version > schema.VERSION:
        raise StoreError(
            f"the store {file} was written by a newer chatcli (version {version}, this one knows {schema.VERSION})",
            remedy="Upgrade chatcli, or name another store with --store.",
        )
    try:
        check_schema(connection, file, schema.TABLES + schema.TRIGGERS)
    except ForeignSchemaError as error:
        raise DamagedError(error.message, remedy=FOREIGN) from error


def _open_complete(file: Path, mode: Mode) -> sqlite3.Connection:
    connection = open_file(file, mode, steps=READ_STEPS)
    try:
        tables = _tables(connection)
        # The index may be missing, because only LangGraph wrote the store or because it was lost.
        if "checkpoints" in tables and not tables >= _INDEX:
            connection.executescript(schema.REBUILD)
    except (sqlite3.Error, UnicodeDecodeError):
        connection.close()
        raise
    return connection


def _tables(connection: sqlite3.Connection) -> set[str]:
    return {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}


# Walked a row at a time, so that the caller can stop when it has read enough: hence no ORDER BY over the whole.
# A checkpoint without a turn is the empty beginning to which a thread was rewound: nothing before it counts.
_SAID = """
WITH RECURSIVE branch (checkpoint_id, parent_id, turn) AS (
    SELECT * FROM (SELECT checkpoint_id, parent_checkpoint_id,
        json_extract(CAST(metadata AS TEXT), '$.chatcli_turn')
        FROM checkpoints WHERE thread_id = :thread AND checkpoint_ns = '' ORDER BY checkpoint_id DESC LIMIT 1)
    UNION -- not ALL: parents may form a circle
    SELECT c.checkpoint_id, c.parent_checkpoint_id, json_extract(CAST(c.metadata AS TEXT), '$.chatcli_turn')
    FROM branch CROSS JOIN checkpoints c
    ON c.thread_id = :thread AND c.checkpoint_ns = '' AND c.checkpoint_id = branch.parent_id
    WHERE coalesce(branch.turn, 1) != 0
)
SELECT m.checkpoint_id, m.id, m.role, m.text, m.interrupted FROM branch CROSS JOIN messages m
ON m.thread_id = :thread AND m.checkpoint_id = branch.checkpoint_id
WHERE coalesce(branch.turn, 1) != 0
"""

_USAGE = """
SELECT u.thread_id, u.checkpoint_id, u.task_id, u.idx, u.entries FROM usage u CROSS JOIN writes w
ON w.thread_id = u.thread_id AND w.checkpoint_ns = '' AND w.checkpoint_id = u.checkpoint_id
    AND w.task_id = u.task_id AND w.idx = u.idx
WHERE u.entries != '[]' AND (:thread IS NULL OR u.thread_id = :thread)
"""
_ALL_WRITES = """
SELECT w.thread_id, w.checkpoint_id, w.task_id, w.idx, w.type, w.value, CAST(c.metadata AS TEXT)
FROM writes w LEFT JOIN checkpoints c
ON c.thread_id = w.thread_id AND c.checkpoint_ns = '' AND c.checkpoint_id = w.checkpoint_id
WHERE w.channel = 'messages' AND w.checkpoint_ns = '' AND (:thread IS NULL OR w.thread_id = :thread)
"""
_UNREAD = f"""{_ALL_WRITES} AND NOT EXISTS (SELECT 1 FROM usage u WHERE u.thread_id = w.thread_id
    AND u.checkpoint_id = w.checkpoint_id AND u.task_id = w.task_id AND u.idx = w.idx)
"""  # noqa: S608 - constant text
_CHECKPOINT = (
    "SELECT type, checkpoint FROM checkpoints WHERE thread_id = ? AND checkpoint_ns = '' AND checkpoint_id = ?"
)

COPIED = (
    ("checkpoints", "checkpoint_ns, checkpoint_id, parent_checkpoint_id, type, checkpoint, metadata", "checkpoint_id"),
    ("writes", "checkpoint_ns, checkpoint_id, task_id, task_path, idx, channel, type, value", "checkpoint_id"),
    ("messages", "message_id, checkpoint_id, role, text, interrupted", "id"),
)
"""The tables that are copied with a thread: their columns beside the thread's ID, and the order of the rows."""
_SUMMARY = "SELECT thread_id, title, model, turns, created_at, updated_at FROM threads"
QUERIES = Queries(
    all=f"{_SUMMARY} ORDER BY updated_at DESC",
    newest=f"{_SUMMARY} ORDER BY updated_at DESC LIMIT :limit",
    find=f"{_SUMMARY} WHERE thread_id = :thread",
    # The highest code point is in no text: a text with a prefix sorts below the prefix followed by it.
    starting_with=f"{_SUMMARY} WHERE thread_id >= :prefix AND thread_id < :prefix || char(0x10ffff)"
    " ORDER BY updated_at DESC LIMIT :limit",
    rename="UPDATE threads SET title = :title WHERE thread_id = :thread AND (:old IS NULL OR title = :old)",
    steps="""
SELECT checkpoint_id, parent_checkpoint_id,
    coalesce(json_extract(CAST(metadata AS TEXT), '$.chatcli_turn'), 0),
    coalesce(json_extract(CAST(metadata AS TEXT), '$.chatcli_title'), ''),
    coalesce(json_extract(CAST(metadata AS TEXT), '$.source'), '')
FROM checkpoints WHERE thread_id = :thread AND checkpoint_ns = '' ORDER BY checkpoint_id
""",
    copies=tuple(
        f"INSERT INTO {table} (thread_id, {columns}) SELECT :new, {columns} FROM {table} WHERE thread_id = :thread"  # noqa: S608 - constants
        f" AND checkpoint_id IN (SELECT value FROM json_each(:branch)) ORDER BY {order}"
        for table, columns, order in COPIED
    ),
    save_partial="INSERT OR REPLACE INTO journal (thread_id, question_id, text) VALUES (:thread, :question, :text)",
    read_partial="SELECT question_id, text FROM journal WHERE thread_id = :thread",
    clear_partial="DELETE FROM journal WHERE thread_id = :thread",
    # Quoted: FTS5 would read the user's text as its query language. Too much begins with one or two letters.
    holding="SELECT rowid FROM messages_fts WHERE messages_fts MATCH"
    """ '"' || :beginning || CASE WHEN length(CAST(:beginning AS BLOB)) > 2 THEN '" *' ELSE '"' END"""
    " ORDER BY rowid DESC LIMIT :newest",
    threads="SELECT id, thread_id FROM messages WHERE id IN (SELECT value FROM json_each(:ids))",
    roles="SELECT id, role FROM messages WHERE thread_id = :thread ORDER BY id",
    texts=f"SELECT id, substr(text, 1, {schema.SEARCHED}) FROM messages"  # noqa: S608 - a constant number
    " WHERE id IN (SELECT value FROM json_each(:ids))",
    summaries="SELECT thread_id, title, updated_at FROM threads"
    " WHERE thread_id IN (SELECT value FROM json_each(:threads))",
    count="SELECT count(*) FROM messages",
)
