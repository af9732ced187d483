"""The checkpointer on SQLite."""

import sqlite3
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    DeltaChannelHistory,
)
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

from chatcli.store.cached_history import CachedHistory
from chatcli.store.errors import DamagedError, damaged_thread, is_damage
from chatcli.store.message_index import message_rows
from chatcli.store.serde import WithoutGivenValues, check_checkpoint, check_metadata, check_write
from chatcli.store.sqlite import schema


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


class SqliteSaver(CachedHistory, WithoutGivenValues, _CheckedSaver):
    """LangGraph's saver with a cached history, which also adds each message to the index as it is written."""

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


_OF_SQLITE: tuple[type[Exception], ...] = (sqlite3.Error, UnicodeDecodeError)
_OF_READING = (*_OF_SQLITE, DamagedError, ValueError, KeyError, TypeError)


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
