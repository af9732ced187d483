"""The threads of a PostgreSQL store, without LangGraph."""

import hashlib
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import Any

import psycopg

from chatcli.message import MessageShown
from chatcli.store import threads as common
from chatcli.store.database import DatabaseJournal, DatabaseThreads, Queries, Run, no_rows
from chatcli.store.postgres.connection import as_postgres_error, connect, stored_version
from chatcli.store.postgres.schema import REDUCED, SEARCHED, USAGE, VERSION
from chatcli.store.usage import AnswerUsage, UsageRow, answers_of

IDLE = 5.0
"""Seconds without use after which a connection is checked before it is used."""


class PostgresThreads(DatabaseThreads):
    """The threads of the store at `uri`; a database without chatcli's tables has none."""

    # One connection serves all calls and holds the locks: the server releases them when the connection ends.
    def __init__(self, uri: str) -> None:
        self._uri = uri
        self._connection: psycopg.Connection | None = None
        self._used = 0.0
        self._one_at_a_time = threading.Lock()
        self._version = 0
        self._queries = _QUERIES
        self.journal = DatabaseJournal(self._running, _QUERIES, str.encode, bytes.decode)
        self.locks = PostgresLocks(self._use)

    def set_up(self) -> None:
        """Make the tables that are missing."""
        from chatcli.store.postgres.saver import make_tables  # with LangGraph, which listing threads does without

        with self._use() as connection:
            if stored_version(connection) != VERSION:
                make_tables(connection)

    def close(self) -> None:
        """Close the connection; the next call would open another."""
        with self._one_at_a_time:
            self._drop()

    def delete(self, thread_ids: Sequence[str]) -> None:
        """Delete the threads; the server's autovacuum gives the space to what is written next."""
        with self._use() as connection, connection.transaction():
            for table in (*_TABLES, *(["chatcli_usage"] if _has_usage(connection) else [])):
                connection.execute(
                    f"DELETE FROM {table} WHERE thread_id = ANY(%s)",  # noqa: S608 - constant names
                    (list(thread_ids),),
                )

    def usage(self, thread_id: str | None = None) -> list[AnswerUsage]:
        """Return the usage of the stored answers of one thread or of all."""
        with self._use() as connection:
            if not self._is_set_up(connection):
                return []
            values = {"thread": thread_id}
            seen = _has_usage(connection)
            kept = connection.execute(_USAGE, values).fetchall() if seen else []
            new: list[UsageRow] = []
            with connection.transaction(), connection.cursor("chatcli_usage_read") as rows:
                rows.execute(_UNREAD if seen else _ALL_WRITES, values)
                new.extend(_read_usage(rows))
            if new:
                with suppress(psycopg.Error), connection.transaction():  # the user may have no right to make tables
                    if not seen:
                        connection.execute(USAGE)
                    with connection.cursor() as cursor:
                        cursor.executemany(_KEEP_USAGE, new)
            return answers_of([*kept, *new])

    def newest_messages(self, thread_id: str, limit: int) -> list[MessageShown]:
        """Return the last `limit` questions and answers of the current branch, the oldest first."""
        with self._reading() as run:
            return [MessageShown(*row) for row in run(_SAID, {"thread": thread_id, "limit": limit})][::-1]

    @contextmanager
    def _reading(self) -> Iterator[Run]:
        with self._use() as connection:
            yield partial(_run, connection) if self._is_set_up(connection) else no_rows

    @contextmanager
    def _running(self) -> Iterator[Run]:
        with self._use() as connection:
            yield partial(_run, connection)

    @contextmanager
    def _writing(self) -> Iterator[Run]:
        with self._use() as connection, connection.transaction():
            yield partial(_run, connection)

    @contextmanager
    def _use(self) -> Iterator[psycopg.Connection]:
        """Yield the connection, opened again when it was lost."""
        with self._one_at_a_time:
            try:
                yield self._alive()
                self._used = time.monotonic()
            except psycopg.Error as error:
                raise as_postgres_error(error) from error

    def _is_set_up(self, connection: psycopg.Connection) -> bool:
        if self._version < VERSION:  # another process may have brought it up to date
            self._version = stored_version(connection)
            self._queries = _QUERIES if self._version >= REDUCED else _OLDER_QUERIES
        return self._version > 0

    def _alive(self) -> psycopg.Connection:
        if self._connection is not None and time.monotonic() - self._used > IDLE:
            with suppress(psycopg.OperationalError):  # this closes it; it is replaced below
                self._connection.execute("")
        if self._connection is None or self._connection.closed:
            self._drop()
            self._connection = connect(self._uri)
            # `chat threads list` has no place to close it; psycopg warns of a connection that was not closed.
            weakref.finalize(self, self._connection.close)
        return self._connection

    def _drop(self) -> None:
        self.locks.held.clear()  # they are lost with the connection
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _run(
    connection: psycopg.Connection, query: str, values: dict[str, Any], *kinds: object
) -> Iterable[tuple[Any, ...]]:
    return connection.execute(query, values)  # the server keeps to the types of its columns


def _has_usage(connection: psycopg.Connection) -> bool:
    return connection.execute("SELECT to_regclass('chatcli_usage') IS NOT NULL").fetchone() == (True,)


def _read_usage(writes: Iterable[Any]) -> Iterator[UsageRow]:
    for *write, kind, value, metadata, base_url in writes:
        from chatcli.store.message_index import read_usage  # with LangGraph, which listing threads does without

        yield read_usage(write, (kind, bytes(value)), metadata or {}, own_server=bool(base_url))


class PostgresLocks(common.TurnLocks):
    """The locks that the connection which `use` yields holds on the server."""

    def __init__(self, use: Callable[[], AbstractContextManager[psycopg.Connection]]) -> None:
        self._use = use
        self.held: set[str] = set()
        """The threads that are locked."""

    def try_lock(self, thread_id: str) -> bool:
        """Take the thread for a turn unless another process has it."""
        with self._use() as connection:
            # The server counts how often a lock is taken, so a lock that is held is not taken again.
            if thread_id not in self.held:
                row = connection.execute("SELECT pg_try_advisory_lock(%s)", (_key(thread_id),)).fetchone()
                if row != (True,):
                    return False
                self.held.add(thread_id)
            return True

    def unlock(self, thread_id: str) -> None:
        """Release the thread."""
        with self._use() as connection:
            if thread_id in self.held:
                self.held.discard(thread_id)
                connection.execute("SELECT pg_advisory_unlock(%s)", (_key(thread_id),))


def _key(thread_id: str) -> int:
    """Return the advisory lock of a thread: 64 bits, which other programs in the database share."""
    digest = hashlib.blake2b(thread_id.encode(), digest_size=8, person=b"chatcli").digest()
    return int.from_bytes(digest, signed=True)


_TABLES = (
    "checkpoints",
    "checkpoint_blobs",
    "checkpoint_writes",
    "chatcli_messages",
    "chatcli_journal",
    "chatcli_threads",
)

_SUMMARY = """
SELECT thread_id, title, model, turns,
    to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
    to_char(updated_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
FROM chatcli_threads
"""
# From the newest checkpoint back, a row at a time, so that the limit ends the walk: hence LATERAL, and no ORDER BY
# over the whole. A checkpoint of turn 0 is the empty beginning to which a thread was rewound: nothing before it counts.
_SAID = """
WITH RECURSIVE branch (checkpoint_id, parent_id, turn) AS (
    (SELECT checkpoint_id, parent_checkpoint_id, (metadata ->> 'chatcli_turn')::integer
        FROM checkpoints WHERE thread_id = %(thread)s AND checkpoint_ns = '' ORDER BY checkpoint_id DESC LIMIT 1)
    UNION ALL
    SELECT c.checkpoint_id, c.parent_checkpoint_id, (c.metadata ->> 'chatcli_turn')::integer
    FROM branch JOIN checkpoints c
    ON c.thread_id = %(thread)s AND c.checkpoint_ns = '' AND c.checkpoint_id = branch.parent_id
    WHERE coalesce(branch.turn, 1) != 0
)
SELECT indexed.role, indexed.text, indexed.interrupted FROM branch CROSS JOIN LATERAL (
    SELECT role, text, interrupted FROM chatcli_messages m
    WHERE m.thread_id = %(thread)s AND m.checkpoint_id = branch.checkpoint_id ORDER BY m.id DESC
) AS indexed
WHERE coalesce(branch.turn, 1) != 0 LIMIT %(limit)s
"""

_USAGE = """
SELECT u.thread_id, u.checkpoint_id, u.task_id, u.idx, u.entries FROM chatcli_usage u JOIN checkpoint_writes w
ON w.thread_id = u.thread_id AND w.checkpoint_ns = '' AND w.checkpoint_id = u.checkpoint_id
    AND w.task_id = u.task_id AND w.idx = u.idx
WHERE u.entries != '[]' AND (%(thread)s::text IS NULL OR u.thread_id = %(thread)s)
"""
_ALL_WRITES = """
SELECT w.thread_id, w.checkpoint_id, w.task_id, w.idx, w.type, w.blob, c.metadata,
    c.checkpoint -> 'channel_values' ->> 'base_url'
FROM checkpoint_writes w LEFT JOIN checkpoints c
ON c.thread_id = w.thread_id AND c.checkpoint_ns = '' AND c.checkpoint_id = w.checkpoint_id
WHERE w.channel = 'messages' AND w.checkpoint_ns = '' AND (%(thread)s::text IS NULL OR w.thread_id = %(thread)s)
"""
_UNREAD = f"""{_ALL_WRITES} AND NOT EXISTS (SELECT 1 FROM chatcli_usage u WHERE u.thread_id = w.thread_id
    AND u.checkpoint_id = w.checkpoint_id AND u.task_id = w.task_id AND u.idx = w.idx)
"""  # noqa: S608 - constant text
_KEEP_USAGE = """
INSERT INTO chatcli_usage (thread_id, checkpoint_id, task_id, idx, entries) VALUES (%s, %s, %s, %s, %s)
ON CONFLICT DO NOTHING
"""

_IN_BRANCH = "IN (SELECT json_array_elements_text(%(branch)s))"
_COPIED = (
    ("checkpoints", "checkpoint_ns, checkpoint_id, parent_checkpoint_id, type, checkpoint, metadata", "checkpoint_id"),
    (
        "checkpoint_writes",
        "checkpoint_ns, checkpoint_id, task_id, task_path, idx, channel, type, blob",
        "checkpoint_id",
    ),
    ("chatcli_messages", "message_id, checkpoint_id, role, text, interrupted", "id"),
)
"""The tables that are copied with a thread: their columns beside the thread's ID, and the order of the rows.

Of `checkpoint_blobs`, a thread has those that its checkpoints name.
"""
_QUERIES = Queries(
    all=f"{_SUMMARY} ORDER BY chatcli_threads.updated_at DESC",
    # By the minute first, for its index; all threads are read and sorted in less time without it.
    newest=f"{_SUMMARY} ORDER BY updated_minute DESC, chatcli_threads.updated_at DESC LIMIT %(limit)s",
    find=f"{_SUMMARY} WHERE thread_id = %(thread)s",
    starting_with=f"{_SUMMARY} WHERE starts_with(thread_id, %(prefix)s)"
    " ORDER BY chatcli_threads.updated_at DESC LIMIT %(limit)s",
    rename="UPDATE chatcli_threads SET title = %(title)s"
    " WHERE thread_id = %(thread)s AND (%(old)s::text IS NULL OR title = %(old)s)",
    steps="""
SELECT checkpoint_id, parent_checkpoint_id,
    coalesce((metadata ->> 'chatcli_turn')::integer, 0),
    coalesce(metadata ->> 'chatcli_title', ''),
    coalesce(metadata ->> 'source', '')
FROM checkpoints WHERE thread_id = %(thread)s AND checkpoint_ns = '' ORDER BY checkpoint_id
""",
    copies=(
        "INSERT INTO checkpoint_blobs (thread_id, checkpoint_ns, channel, version, type, blob)"  # noqa: S608 - constants
        " SELECT DISTINCT %(new)s, b.checkpoint_ns, b.channel, b.version, b.type, b.blob"
        " FROM checkpoints c, jsonb_each_text(c.checkpoint -> 'channel_versions') AS used (channel, version),"
        f" checkpoint_blobs b WHERE c.thread_id = %(thread)s AND c.checkpoint_id {_IN_BRANCH}"
        " AND b.thread_id = %(thread)s AND b.checkpoint_ns = c.checkpoint_ns"
        " AND b.channel = used.channel AND b.version = used.version",
        *(
            f"INSERT INTO {table} (thread_id, {columns}) SELECT %(new)s, {columns} FROM {table}"  # noqa: S608 - constants
            f" WHERE thread_id = %(thread)s AND checkpoint_id {_IN_BRANCH} ORDER BY {order}"
            for table, columns, order in _COPIED
        ),
    ),
    save_partial="INSERT INTO chatcli_journal (thread_id, question_id, text)"
    " VALUES (%(thread)s, %(question)s, %(text)s)"
    " ON CONFLICT (thread_id) DO UPDATE SET question_id = excluded.question_id, text = excluded.text",
    read_partial="SELECT question_id, text FROM chatcli_journal WHERE thread_id = %(thread)s",
    clear_partial="DELETE FROM chatcli_journal WHERE thread_id = %(thread)s",
    # The numbers of all messages are taken from the index before they are ordered: the planner might otherwise go
    # through the messages by number, and cut each into words. A beginning is letters and digits alone, so that it is no
    # operator.
    holding="""
WITH found AS MATERIALIZED (
    SELECT m.id FROM chatcli_messages m WHERE chatcli_words(m.text) @@ to_tsquery('simple',
        %(beginning)s || CASE WHEN octet_length(%(beginning)s) > 2 THEN ':*' ELSE '' END)
)
SELECT id FROM found ORDER BY id DESC LIMIT %(newest)s
""",
    threads="SELECT id, thread_id FROM chatcli_messages"
    " WHERE id = ANY(ARRAY(SELECT json_array_elements_text(%(ids)s)::bigint))",
    roles="SELECT id, role FROM chatcli_messages WHERE thread_id = %(thread)s ORDER BY id",
    texts=f"SELECT id, left(text, {SEARCHED}) FROM chatcli_messages"  # noqa: S608 - a constant number
    " WHERE id = ANY(ARRAY(SELECT json_array_elements_text(%(ids)s)::bigint))",
    summaries="""
SELECT thread_id, title, to_char(updated_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
FROM chatcli_threads WHERE thread_id IN (SELECT json_array_elements_text(%(threads)s))
""",
    count="SELECT count(*) FROM chatcli_messages",
)
_OLDER_QUERIES = replace(
    _QUERIES,
    newest=_QUERIES.newest.replace("updated_minute DESC, ", ""),
    holding=_QUERIES.holding.replace("chatcli_words(m.text)", "m.words"),
)
"""Those of a store of an older version: it is brought up to date when a turn opens it."""
