"""The checkpointer on SQLite."""

from collections.abc import Sequence
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

from chatcli.store import schema
from chatcli.store.cached_history import CachedHistory
from chatcli.store.said import said_in


class SqliteSaver(CachedHistory, AsyncSqliteSaver):
    """LangGraph's own saver, which remembers what it read, and indexes what is said as it is written."""

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """See `BaseCheckpointSaver.aput_writes`."""
        said = list(said_in(config, writes))
        if said:
            await self.setup()
            async with self.lock:
                # Not committed here: the saver's own commit stores these with its writes.
                await self.conn.executemany(schema.ADD_MESSAGE, said)
        await super().aput_writes(config, writes, task_id, task_path)
