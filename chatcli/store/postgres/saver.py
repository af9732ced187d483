"""The checkpointer on PostgreSQL: it makes the tables of a store, and rebuilds its index of messages from them."""

import asyncio
import logging
import secrets
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any
from weakref import WeakKeyDictionary

import psycopg
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import WRITES_IDX_MAP, CheckpointTuple
from langgraph.checkpoint.postgres import PostgresSaver as TablesSaver
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool

from chatcli.errors import StoreError
from chatcli.store.message_index import message_rows
from chatcli.store.postgres import schema
from chatcli.store.postgres.connection import as_postgres_error, parameters, stored_version
from chatcli.store.postgres.schema import ADD_MESSAGE
from chatcli.store.postgres.threads import IDLE, PostgresThreads
from chatcli.store.savers import BAD_LINKS, OwnSaver
from chatcli.store.serde import CompressedSerializer, next_version, refuse_newer

POOL_TIMEOUT = 10.0
"""Seconds to wait for a connection, also if the server has gone."""
_Connection = psycopg.AsyncConnection[DictRow]
LOCK_INTERVAL = 0.1
"""Seconds between two tries for the right to make the tables."""
SETTING_UP = 0x63686174
"""The advisory lock of the process that makes the tables."""
NUL, NUL_SHOWN = "\x00", "\N{REPLACEMENT CHARACTER}"
"""A text column holds no NUL; the index shows a replacement character, the checkpoints keep the NUL."""


class PostgresSaver(OwnSaver, AsyncPostgresSaver):
    """LangGraph's saver with what is ours, which also adds each message to the index as it is written."""

    def get_next_version(self, current: str | None, channel: None) -> str:
        """Return the version of a channel after `current`."""
        # The database keeps each version of a value by its name, so what two branches write at the same step has
        # different names.
        return f"{next_version(current)}.{secrets.token_urlsafe(4)}"

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """Return a checkpoint; raise StoreError for what a newer LangGraph wrote."""
        found = await super().aget_tuple(config)
        if found is not None:
            refuse_newer(found.checkpoint)
        return found

    async def _bad_links(self, thread_id: str) -> list[bool]:
        async with self._cursor() as cursor:
            await cursor.execute(BAD_LINKS.format(thread="%s"), (thread_id,))
            return [bool(row["found"]) for row in await cursor.fetchall()]

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """Store the writes of a task, and the messages in them in the index."""
        indexed = [indexable(row) for row in message_rows(config["configurable"], writes)]
        if not indexed:
            await super().aput_writes(config, writes, task_id, task_path)
            return
        # What the inherited method does, in one transaction with the index; LangGraph has no public way to write both.
        # tests/store/test_langgraph_names.py watches the private names.
        special = all(channel in WRITES_IDX_MAP for channel, _value in writes)
        query = self.UPSERT_CHECKPOINT_WRITES_SQL if special else self.INSERT_CHECKPOINT_WRITES_SQL
        where = config["configurable"]
        checkpoint = (where["thread_id"], where["checkpoint_ns"], where["checkpoint_id"])
        rows = await asyncio.to_thread(self._dump_writes, *checkpoint, task_id, task_path, writes)
        async with self._cursor(pipeline=True) as cursor, cursor.connection.transaction():
            await cursor.executemany(query, rows)
            await cursor.executemany(ADD_MESSAGE, indexed)


@asynccontextmanager
async def open_postgres(uri: str) -> AsyncIterator[tuple[PostgresSaver, PostgresThreads]]:
    """Yield the checkpointer and the threads of the store at `uri`; tables that are missing are made."""
    # The pool logs warnings about what the user sees as an error.
    logging.getLogger("psycopg").addHandler(logging.NullHandler())
    threads = PostgresThreads(uri)
    try:
        await asyncio.to_thread(threads.set_up)
        async with _pool(uri) as pool:
            yield PostgresSaver(pool, serde=CompressedSerializer()), threads
    finally:
        await asyncio.to_thread(threads.close)


@asynccontextmanager
async def staged_postgres(uri: str) -> AsyncIterator[PostgresSaver]:
    """Yield a checkpointer whose writes appear in the store at `uri`, all at once, if the block ends well."""
    # They are one transaction, which the server rolls back when this process dies.
    kwargs = {**parameters(uri), "autocommit": True, "row_factory": dict_row}
    try:
        async with await psycopg.AsyncConnection.connect(**kwargs) as connection, connection.transaction():
            yield PostgresSaver(connection, serde=CompressedSerializer())
    except psycopg.Error as error:
        raise as_postgres_error(error) from error


def _pool(uri: str) -> "AsyncConnectionPool[_Connection]":
    """Return a pool of one connection, since a saver uses one at a time; it is opened again after a loss."""
    used: WeakKeyDictionary[_Connection, float] = WeakKeyDictionary()

    async def note_use(connection: _Connection) -> None:
        used[connection] = time.monotonic()

    async def check(connection: _Connection) -> None:
        # A connection may be lost while the user thinks; a check before each statement would double its time.
        if time.monotonic() - used.get(connection, 0) > IDLE:
            await AsyncConnectionPool.check_connection(connection)

    return AsyncConnectionPool(
        kwargs={**parameters(uri), "autocommit": True, "row_factory": dict_row},
        min_size=1,
        max_size=1,
        timeout=POOL_TIMEOUT,
        reconnect_timeout=POOL_TIMEOUT,
        configure=note_use,
        reset=note_use,
        check=check,
        open=False,
    )


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
    TablesSaver(connection).setup()  # type: ignore[arg-type]
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
