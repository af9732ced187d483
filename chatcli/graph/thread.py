"""One thread in its graph: how its runs are labelled, its newest checkpoint, and the lock that a writer holds."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import cast

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver, CheckpointTuple

from chatcli.graph.build import ChatGraph
from chatcli.graph.state import ChatState
from chatcli.models.names import ModelName
from chatcli.store.threads import Threads

TITLE_LENGTH = 60
"""Characters of the first question that title a thread."""
TITLE_SOURCE = 1000
"""Characters that they are taken from: a question may be a whole file."""
LOCK_INTERVAL = 0.05
"""Seconds between two tries for a thread that another process has."""


@dataclass(frozen=True, slots=True)
class GraphThread:
    """A thread, which need not exist yet.

    Attributes:
        graph: The compiled app; its checkpointer holds the thread.
        threads: The store's threads.
        id: The thread's.

    """

    graph: ChatGraph
    threads: Threads
    id: str

    def config(self, model: ModelName, *, title: str = "", turn: int | None = None) -> RunnableConfig:
        """Return a run's config; the store's index and a thread's tree are made from its metadata."""
        metadata: dict[str, str | int] = {"chatcli_model": str(model)}
        if title:
            metadata["chatcli_title"] = " ".join(title[:TITLE_SOURCE].split())[:TITLE_LENGTH]
        if turn is not None:
            metadata["chatcli_turn"] = turn
        return {"configurable": {"thread_id": self.id}, "metadata": metadata}

    async def state(self) -> ChatState:
        """Return the newest state; empty for a thread that does not exist."""
        return cast("ChatState", (await self.graph.aget_state({"configurable": {"thread_id": self.id}})).values)

    async def turn_number(self, *, new: bool) -> int:
        """Return the running turn's place on its branch, from 1; the index of threads counts turns by it."""
        newest = await self._newest()
        number = int(newest.metadata.get("chatcli_turn", 0)) if newest else 0  # type: ignore[call-overload]  # our key
        return number + new

    async def checkpoint_id(self) -> str:
        """Return the newest checkpoint's ID, empty for a thread that does not exist."""
        newest = await self._newest()
        return "" if newest is None else str(newest.config["configurable"]["checkpoint_id"])

    @asynccontextmanager
    async def hold(self) -> AsyncIterator[None]:
        """Have the thread to oneself."""
        while not self.threads.try_lock(self.id):  # noqa: ASYNC110 - another process sets no event here
            await asyncio.sleep(LOCK_INTERVAL)
        try:
            yield
        finally:
            self.threads.unlock(self.id)

    async def _newest(self) -> CheckpointTuple | None:
        checkpointer = self.graph.checkpointer
        assert isinstance(checkpointer, BaseCheckpointSaver)
        return await checkpointer.aget_tuple({"configurable": {"thread_id": self.id}})
