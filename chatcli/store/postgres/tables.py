"""Makes the tables of a PostgreSQL store, and rebuilds its index of messages from LangGraph's tables."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from langgraph.checkpoint.postgres import PostgresSaver
from psycopg.rows import dict_row

from chatcli.errors import StoreError
from chatcli.store.message_index import message_rows
from chatcli.store.postgres import schema
from chatcli.store.postgres.connection import stored_version
from chatcli.store.serde import CompressedSerializer

LOCK_INTERVAL = 0.1
"""Seconds between two tries for the right to make the tables."""
SETTING_UP = 0x63686174
"""The advisory lock of the process that makes the tables."""

NUL, NUL_SHOWN = "\x00", "\N{REPLACEMENT CHARACTER}"
"""A text column holds no NUL; the index shows a replacement character, the checkpoints keep the NUL."""


def make_tables(connection: psycopg.Connection) -> None:
    """Make LangGraph's tables and ours, and index what LangGraph's already hold; or raise the version of ours."""
    with making_tables(connection):
        version = stored_version(connection)
        if version == 0:
            _run_statements(connection)
        elif version < schema.VERSION:
            _bring_up_to_date(connection)


@contextmanager
def making_tables(connection: psycopg.Connection) -> Iterator[None]:
    """Hold off every other process that makes tables in this database."""
    # Not a lock that waits: LangGraph makes indexes concurrently, and would wait for the waiting statement in turn.
    while connection.execute("SELECT pg_try_advisory_lock(%s)", (SETTING_UP,)).fetchone() != (True,):
        time.sleep(LOCK_INTERVAL)
    try:
        yield
    finally:
        connection.execute("SELECT pg_advisory_unlock(%s)", (SETTING_UP,))


def _run_statements(connection: psycopg.Connection) -> None:
    connection.row_factory = dict_row  # type: ignore[assignment]  # for the saver, which names columns
    PostgresSaver(connection).setup()  # type: ignore[arg-type]
    connection.row_factory = psycopg.rows.tuple_row
    with connection.transaction():
        connection.execute(schema.TABLES)
        connection.execute(schema.TRIGGER)
        connection.execute(schema.REBUILD_THREADS)
        rebuild_messages(connection)
        connection.execute("DELETE FROM chatcli_schema")
        connection.execute("INSERT INTO chatcli_schema (version) VALUES (%s)", (schema.VERSION,))


def _bring_up_to_date(connection: psycopg.Connection) -> None:
    try:
        with connection.transaction():
            connection.execute(schema.FROM_VERSION_2)
            connection.execute("UPDATE chatcli_schema SET version = %s", (schema.VERSION,))
    except psycopg.errors.InsufficientPrivilege as error:
        raise StoreError(
            "the store has tables of an older chatcli, which this user of the database may not change",
            remedy="Let their owner run chat once: it brings them up to date.",
        ) from error


def indexable(row: tuple[str, str, str, str, str, bool]) -> tuple[str | bool, ...]:
    """Return a row of `message_rows` in the form that the index of messages accepts."""
    return tuple(value.replace(NUL, NUL_SHOWN) if isinstance(value, str) else value for value in row)


def rebuild_messages(connection: psycopg.Connection) -> None:
    """Index every message that a checkpoint's writes hold; call this in a transaction."""
    serde = CompressedSerializer()
    connection.execute("DELETE FROM chatcli_messages")
    # A server-side cursor: a database may hold more than fits into memory here.
    with connection.cursor("chatcli_rebuild") as rows:
        rows.execute(
            "SELECT thread_id, checkpoint_id, type, blob FROM checkpoint_writes"
            " WHERE channel = 'messages' AND checkpoint_ns = '' ORDER BY checkpoint_id, task_path, task_id, idx"
        )
        for thread_id, checkpoint_id, kind, value in rows:
            where = {"thread_id": thread_id, "checkpoint_id": checkpoint_id}
            for row in message_rows(where, [("messages", serde.loads_typed((kind, value)))]):
                connection.execute(schema.ADD_MESSAGE, indexable(row))
