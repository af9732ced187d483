"""The checkpointer on SQLite, and how it is opened: its file and tables are made, its index is brought up to date."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import aiosqlite
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint import base
from langgraph.checkpoint.serde.base import SerializerProtocol
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

from chatcli.errors import StoreError
from chatcli.runtime.files import lock_folder
from chatcli.runtime.sqlite import connect_as_possible
from chatcli.store.errors import DamagedError, as_sqlite_failure, as_store_error, damaged_thread, is_damage
from chatcli.store.message_index import message_rows
from chatcli.store.savers import BAD_LINKS, OwnSaver
from chatcli.store.serde import CompressedSerializer, check_checkpoint, check_metadata, check_write, next_version
from chatcli.store.sqlite import schema
from chatcli.store.sqlite.staging import adopt, is_unmade, new_file, staging_path
from chatcli.store.sqlite.threads import OWN_TABLES, SqliteThreads, open_file

_OF_SQLITE: tuple[type[Exception], ...] = (sqlite3.Error, UnicodeDecodeError)
_OF_READING = (*_OF_SQLITE, DamagedError, ValueError, KeyError, TypeError)


class _CheckedSaver(AsyncSqliteSaver):
    """LangGraph's saver; what it reads of a history is checked once, before it is cached."""

    async def aget_delta_channel_history(
        self, *, config: RunnableConfig, channels: Sequence[str]
    ) -> Mapping[str, base.DeltaChannelHistory]:
        """Return the history of the channels; raise DamagedError for what can't have been written."""
        with _naming(config):
            history = await super().aget_delta_channel_history(config=config, channels=channels)
            for found in history.values():
                for _, channel, value in found["writes"]:
                    check_write(channel, value)
        return history


class SqliteSaver(OwnSaver, _CheckedSaver):
    """LangGraph's saver with what is ours, which also adds each message to the index as it is written."""

    def get_next_version(self, current: str | None, channel: None) -> str:
        """Return the version of a channel after `current`."""
        # Without the digits that LangGraph draws by lot: they don't compress, and are for stores that keep each version
        # of a value by its name.
        return next_version(current)

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """Store the writes of a task, and the messages in them in the index."""
        rows = list(message_rows(config["configurable"], writes))
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
        checkpoint: base.Checkpoint,
        metadata: base.CheckpointMetadata,
        new_versions: base.ChannelVersions,
    ) -> RunnableConfig:
        """Store a checkpoint."""
        with _naming(config, _OF_SQLITE):
            return await super().aput(config, checkpoint, metadata, new_versions)

    async def aget_tuple(self, config: RunnableConfig) -> base.CheckpointTuple | None:
        """Return a checkpoint; raise DamagedError, which names the thread, for what can't be read."""
        with _naming(config):
            return _checked(await super().aget_tuple(config))

    async def _bad_links(self, thread_id: str) -> list[bool]:
        async with self.lock, self.conn.execute(BAD_LINKS.format(thread="?"), (thread_id,)) as rows:
            return [bool(found) async for (found,) in rows]

    async def alist(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,  # noqa: A002 - LangGraph's name
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[base.CheckpointTuple]:
        """Yield the checkpoints of a thread."""
        with _naming(config):
            async for found in super().alist(config, filter=filter, before=before, limit=limit):
                _checked(found)
                yield found


@contextmanager
def _naming(config: RunnableConfig | None, kinds: tuple[type[Exception], ...] = _OF_READING) -> Iterator[None]:
    """Raise an error that damage causes as one that names the thread of `config`."""
    try:
        yield
    except kinds as error:
        if config is None or (isinstance(error, sqlite3.Error) and not is_damage(error)):
            raise
        raise damaged_thread(str(config["configurable"]["thread_id"]), error) from error


def _checked(found: base.CheckpointTuple | None) -> base.CheckpointTuple | None:
    if found is not None:
        check_checkpoint(found.checkpoint)
        check_metadata(found.metadata)
        for _, channel, value in found.pending_writes or ():
            check_write(channel, value)
    return found


@asynccontextmanager
async def open_sqlite(path: Path) -> AsyncIterator[tuple[SqliteSaver, SqliteThreads]]:
    """Yield the checkpointer and the threads of the store at `path`; a new one is readable by the user alone."""
    try:
        if is_unmade(path):
            await _create(path)
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
        raise as_sqlite_failure(error) from error
    finally:
        await connection.close()


@asynccontextmanager
async def staged_sqlite(path: Path) -> AsyncIterator[SqliteSaver]:
    """Yield a checkpointer whose writes appear in the store at `path`, all at once, if the block ends well."""
    with staging_path(path) as staged_path:
        async with open_sqlite(staged_path) as (saver, _threads):
            # A staging store is useless after a crash, so no write has to wait for the disk.
            await saver.conn.execute("PRAGMA synchronous = OFF")
            yield saver
        adopt(path, staged_path)


async def _create(path: Path) -> None:
    """Make the store at `path`: all of it, or nothing that stays when this is cut short."""
    with new_file(path) as staged:
        connection = await _connect(staged)
        try:
            await _set_up(staged, connection)
        finally:
            await connection.close()


async def _connect(path: Path) -> aiosqlite.Connection:
    """Connect to the database; when cancelled meanwhile, wait for the connection and close it."""
    # Otherwise its thread would find the event loop closed, and print a traceback when a one-shot is interrupted early.
    connecting = asyncio.ensure_future(_open(path))
    try:
        return await asyncio.shield(connecting)
    except asyncio.CancelledError:
        with suppress(sqlite3.Error, OSError):
            await (await connecting).close()
        raise


async def _open(path: Path) -> aiosqlite.Connection:
    # Not by aiosqlite's thread: where that fails, it reports to a loop that may be closed.
    opener = partial(open_file, check_same_thread=False)
    connection = await asyncio.to_thread(connect_as_possible, path, schema.VERSION, opener)
    return await aiosqlite.Connection(lambda: connection, iter_chunk_size=64)


async def _set_up(path: Path, connection: aiosqlite.Connection) -> SqliteSaver:
    """Create the tables that are missing, and the index of a store that LangGraph alone wrote."""
    saver = SqliteSaver(connection, serde=CompressedSerializer())
    is_read_only = await _pragma(connection, "query_only")
    if not is_read_only and await _pragma(connection, "user_version") < schema.VERSION:
        # One process at a time. SQLite's own locks can't see to that: making a store takes several transactions,
        # LangGraph's among them, and the switch to the write-ahead log does not wait. Not another file is locked, which
        # would stay, and not the store, whose locks are lost when it is closed once.
        with ExitStack() as held:
            await asyncio.to_thread(held.enter_context, lock_folder(path.parent))
            await _make(path, connection, saver)
    elif not is_read_only and not await _pragma(connection, "application_id"):
        await connection.execute(f"PRAGMA application_id = {schema.MARK}")
    await saver.setup()
    return saver


async def _make(path: Path, connection: aiosqlite.Connection, saver: SqliteSaver) -> None:
    version = await _pragma(connection, "user_version")
    if version == schema.VERSION:  # made by another process meanwhile
        return
    if version:
        await connection.execute(f"PRAGMA user_version = {schema.VERSION}")
        return
    await _refuse_foreign(path, connection)
    await saver.setup()
    await connection.executescript(f"BEGIN IMMEDIATE; {schema.TABLES} {schema.TRIGGERS} {schema.REBUILD_THREADS}")
    await rebuild_messages(connection, saver.serde)
    await connection.execute(f"PRAGMA application_id = {schema.MARK}")
    await connection.execute(f"PRAGMA user_version = {schema.VERSION}")
    await connection.commit()


async def _pragma(connection: aiosqlite.Connection, name: str) -> int:
    [(number,)] = await connection.execute_fetchall(f"PRAGMA {name}")
    return int(number)


async def _refuse_foreign(path: Path, connection: aiosqlite.Connection) -> None:
    rows = await connection.execute_fetchall("SELECT name FROM sqlite_schema WHERE type = 'table'")
    tables = {name for (name,) in rows}
    # A plain LangGraph checkpointer's file is accepted: it has no version, and its threads open here too. A process
    # that was killed while it made the tables leaves some of them.
    langgraphs = {"checkpoints", "writes"}
    welcome = langgraphs <= tables or tables <= OWN_TABLES
    for table in langgraphs & tables:  # another program may have a table of that name
        rows = await connection.execute_fetchall("SELECT name FROM pragma_table_info(?)", [table])
        welcome = welcome and {"thread_id", "checkpoint_ns", "checkpoint_id"} <= {name for (name,) in rows}
    if not welcome:
        raise StoreError(
            f"{path} is another program's database, not a chatcli store", remedy="Name another with --store."
        )


async def rebuild_messages(connection: aiosqlite.Connection, serde: SerializerProtocol) -> None:
    """Index every message that a checkpoint's writes hold; does not commit."""
    await connection.execute("DELETE FROM messages")
    async with connection.execute(
        "SELECT thread_id, checkpoint_id, type, value FROM writes"
        " WHERE channel = 'messages' AND checkpoint_ns = '' ORDER BY checkpoint_id, task_path, task_id, idx"
    ) as rows:
        async for thread_id, checkpoint_id, kind, value in rows:
            where = {"thread_id": thread_id, "checkpoint_id": checkpoint_id}
            indexed = message_rows(where, [("messages", serde.loads_typed((kind, value)))])
            await connection.executemany(schema.ADD_MESSAGE, list(indexed))
