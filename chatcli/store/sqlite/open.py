"""The checkpointer on SQLite, and how it is opened: its file and tables are made, its index is brought up to date."""

import asyncio
import fcntl
import os
import sqlite3
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

import aiosqlite
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    DeltaChannelHistory,
)
from langgraph.checkpoint.serde.base import SerializerProtocol
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

from chatcli import paths
from chatcli.errors import StoreError
from chatcli.store.cached_history import CachedHistory
from chatcli.store.errors import DamagedError, as_sqlite_failure, as_store_error, damaged_thread, is_damage
from chatcli.store.message_index import message_rows
from chatcli.store.serde import (
    CompressedSerializer,
    LeanMetadata,
    check_checkpoint,
    check_metadata,
    check_write,
    next_version,
)
from chatcli.store.sqlite import schema
from chatcli.store.sqlite.staging import adopt, staging_path
from chatcli.store.sqlite.threads import BUSY_TIMEOUT, LOCK_FIRST, SETTINGS, SqliteThreads, check_version

_OF_SQLITE: tuple[type[Exception], ...] = (sqlite3.Error, UnicodeDecodeError)
_OF_READING = (*_OF_SQLITE, DamagedError, ValueError, KeyError, TypeError)


class _CheckedSaver(AsyncSqliteSaver):
    """LangGraph's saver; what it reads of a history is checked once, before it is cached."""

    async def aget_delta_channel_history(
        self, *, config: RunnableConfig, channels: Sequence[str]
    ) -> Mapping[str, DeltaChannelHistory]:
        """See `BaseCheckpointSaver.aget_delta_channel_history`; raise DamagedError for what can't have been written."""
        history = await super().aget_delta_channel_history(config=config, channels=channels)
        for found in history.values():
            for _, channel, value in found["writes"]:
                check_write(channel, value)
        return history


class SqliteSaver(CachedHistory, LeanMetadata, _CheckedSaver):
    """LangGraph's saver with a cached history, which also adds each message to the index as it is written."""

    def get_next_version(self, current: str | None, channel: None) -> str:
        """See `BaseCheckpointSaver.get_next_version`.

        Without the digits that LangGraph draws by lot: they don't compress, and are for stores that keep each version
        of a value by its name.
        """
        return next_version(current)

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """See `BaseCheckpointSaver.aput_writes`."""
        rows = list(message_rows(config, writes))
        with _naming(config, _OF_SQLITE):
            if rows:
                await self.setup()
                async with self.lock:
                    # Not committed here: the saver's own commit stores these rows with its writes
                    # (tests/store/test_langgraph_names.py).
                    await self.conn.executemany(schema.ADD_MESSAGE, rows)
            await super().aput_writes(config, writes, task_id, task_path)

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """See `BaseCheckpointSaver.aput`."""
        with _naming(config, _OF_SQLITE):
            return await super().aput(config, checkpoint, metadata, new_versions)

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """See `BaseCheckpointSaver.aget_tuple`; raise DamagedError, which names the thread, for what can't be read."""
        with _naming(config):
            return _checked(await super().aget_tuple(config))

    async def alist(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,  # noqa: A002 - LangGraph's name
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:
        """See `BaseCheckpointSaver.alist`, and `aget_tuple` above."""
        with _naming(config):
            async for found in super().alist(config, filter=filter, before=before, limit=limit):
                _checked(found)
                yield found

    async def aget_delta_channel_history(
        self, *, config: RunnableConfig, channels: Sequence[str]
    ) -> Mapping[str, DeltaChannelHistory]:
        """See `BaseCheckpointSaver.aget_delta_channel_history`, and `aget_tuple` above."""
        with _naming(config):
            return await super().aget_delta_channel_history(config=config, channels=channels)


@contextmanager
def _naming(config: RunnableConfig | None, kinds: tuple[type[Exception], ...] = _OF_READING) -> Iterator[None]:
    """Raise an error that damage causes as one that names the thread of `config`."""
    try:
        yield
    except kinds as error:
        if config is None or (isinstance(error, sqlite3.Error) and not is_damage(error)):
            raise
        raise damaged_thread(str(config["configurable"]["thread_id"]), error) from error


def _checked(found: CheckpointTuple | None) -> CheckpointTuple | None:
    if found is not None:
        check_checkpoint(found.checkpoint)
        check_metadata(found.metadata)
        for _, channel, value in found.pending_writes or ():
            check_write(channel, value)
    return found


@asynccontextmanager
async def open_sqlite(path: Path) -> AsyncIterator[tuple[SqliteSaver, SqliteThreads]]:
    """Yield the checkpointer and the threads of the store at `path`; a new one is readable by the user alone.

    Raises:
        StoreError: The store can't be used; it is left as it was.

    """
    try:
        _create_private(path)
        connection = await _connect(path)
    except (sqlite3.Error, OSError) as error:
        raise as_store_error(error) or StoreError(f"the store {path} can't be used: {error}") from error
    try:
        try:
            checkpointer = await _set_up(path, connection)
        except UnicodeDecodeError as error:
            raise as_sqlite_failure(error) from error
        yield checkpointer, SqliteThreads(path)
    except sqlite3.Error as error:  # of whoever uses the store, too
        raise as_store_error(error) or error from error
    finally:
        await connection.close()


@asynccontextmanager
async def staged_sqlite(path: Path) -> AsyncIterator[SqliteSaver]:
    """Yield a checkpointer whose writes appear in the store at `path`, all at once, if the block ends without an error.

    Raises:
        StoreError: A store can't be used.

    """
    with staging_path(path) as staged_path:
        async with open_sqlite(staged_path) as (saver, _threads):
            # A staging store is useless after a crash, so no write has to wait for the disk.
            await saver.conn.execute("PRAGMA synchronous = OFF")
            yield saver
        adopt(path, staged_path)


async def _connect(path: Path) -> aiosqlite.Connection:
    """Connect to the database; when cancelled meanwhile, wait for the connection and close it.

    Otherwise its thread would find the event loop closed, and print a traceback when a one-shot is interrupted early.
    """
    connecting = asyncio.ensure_future(aiosqlite.connect(path, timeout=BUSY_TIMEOUT, isolation_level=LOCK_FIRST))
    try:
        return await asyncio.shield(connecting)
    except asyncio.CancelledError:
        with suppress(sqlite3.Error, OSError):
            await (await connecting).close()
        raise


async def _set_up(path: Path, connection: aiosqlite.Connection) -> SqliteSaver:
    """Create the tables that are missing, and the index of a store that LangGraph alone wrote."""
    await connection.executescript(SETTINGS)
    saver = SqliteSaver(connection, serde=CompressedSerializer())
    if await _version(path, connection) < schema.VERSION:
        async with _alone(path.parent):
            await _make(path, connection, saver)
    await saver.setup()
    return saver


@asynccontextmanager
async def _alone(folder: Path) -> AsyncIterator[None]:
    """Block every other process that creates a store in `folder`.

    SQLite's own locks can't: making a store takes several transactions, LangGraph's among them, and the switch to the
    write-ahead log does not wait.
    """
    # Not another file, which would stay; and not the store, whose locks are lost when it is closed once.
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        await asyncio.to_thread(fcntl.flock, descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


async def _make(path: Path, connection: aiosqlite.Connection, saver: SqliteSaver) -> None:
    version = await _version(path, connection)
    if version == schema.VERSION:  # made by another process meanwhile
        return
    if version:
        await connection.execute(f"PRAGMA user_version = {schema.VERSION}")
        return
    await _refuse_foreign(path, connection)
    # Before the first table: neither can be changed later without rewriting the file. An answer of some 2,000
    # characters leaves half of a default page of 4,096 bytes empty.
    await connection.execute("PRAGMA page_size = 8192")
    await connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    await saver.setup()
    await connection.executescript(f"BEGIN IMMEDIATE; {schema.TABLES} {schema.TRIGGERS} {schema.REBUILD_THREADS}")
    await rebuild_messages(connection, saver.serde)
    await connection.execute(f"PRAGMA user_version = {schema.VERSION}")
    await connection.commit()


async def _version(path: Path, connection: aiosqlite.Connection) -> int:
    """Return the store's version, 0 for a new store; raise StoreError if a newer chatcli wrote it."""
    async with connection.execute("PRAGMA user_version") as cursor:
        (version,) = await cursor.fetchone() or (0,)
    check_version(path, version)
    return int(version)


async def _refuse_foreign(path: Path, connection: aiosqlite.Connection) -> None:
    """Raise StoreError for another program's database, before anything is written."""
    async with connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'") as cursor:
        tables = {name for (name,) in await cursor.fetchall()}
    # A plain LangGraph checkpointer's file is accepted: it has no version, and its threads open here too. A process
    # that was killed between the two leaves only one of its tables.
    langgraphs = {"checkpoints", "writes"}
    welcome = langgraphs <= tables or tables <= langgraphs
    for table in langgraphs & tables:  # another program may have a table of that name
        async with connection.execute("SELECT name FROM pragma_table_info(?)", [table]) as cursor:
            columns = {name for (name,) in await cursor.fetchall()}
        welcome = welcome and {"thread_id", "checkpoint_ns", "checkpoint_id"} <= columns
    if not welcome:
        raise StoreError(
            f"{path} is another program's database, not a chatcli store", remedy="Name another with --store."
        )


def _create_private(path: Path) -> None:
    """Create the file before SQLite does, with mode 0600; SQLite gives its journal files the same mode."""
    if path.is_dir():
        raise StoreError(f"the store {path} is a folder", remedy="Name a file with --store sqlite:///PATH.")
    paths.private_dir(path.parent)
    if not path.exists():
        with open(path, "ab", opener=paths.private_opener):
            pass


async def rebuild_messages(connection: aiosqlite.Connection, serde: SerializerProtocol) -> None:
    """Index every message that a checkpoint's writes hold; does not commit."""
    await connection.execute("DELETE FROM messages")
    async with connection.execute(
        "SELECT thread_id, checkpoint_id, type, value FROM writes"
        " WHERE channel = 'messages' AND checkpoint_ns = '' ORDER BY checkpoint_id, task_path, task_id, idx"
    ) as rows:
        async for thread_id, checkpoint_id, kind, value in rows:
            where: RunnableConfig = {"configurable": {"thread_id": thread_id, "checkpoint_id": checkpoint_id}}
            indexed = message_rows(where, [("messages", serde.loads_typed((kind, value)))])
            await connection.executemany(schema.ADD_MESSAGE, list(indexed))
