"""Holds the first nodes of a user graph back until the question is in the store.

A user graph runs with durability "async": LangGraph writes a checkpoint while the next step runs already. ("sync" fails
as soon as a node calls a subgraph that was compiled with `checkpointer=False`.) So without this, a process that is
killed could have asked a model what no store knows of.
"""

import asyncio
import copy
from collections.abc import Mapping
from typing import Any

from langchain_core.callbacks import AsyncCallbackHandler
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver, ChannelVersions, Checkpoint, CheckpointMetadata
from langgraph.graph import START


class StoredFirst(AsyncCallbackHandler):
    """A callback of one run that begins with an input; the run's checkpointer is what `watch` returns."""

    run_inline = True
    raise_error = True

    def __init__(self) -> None:
        self._stored: int | None = None
        self._failure: Exception | None = None
        self._changed = asyncio.Event()
        self._passed = False

    @property
    def ignore_chain(self) -> bool:
        """Whether the nodes may run; what they call need not be looked at."""
        return self._passed

    @property
    def ignore_llm(self) -> bool:
        """Return True: no token passes here."""
        return True

    def watch(self, saver: BaseCheckpointSaver[str]) -> BaseCheckpointSaver[str]:
        """Return `saver` as a copy that reports to this callback what it has stored."""

        async def aput(
            config: RunnableConfig, checkpoint: Checkpoint, metadata: CheckpointMetadata, new_versions: ChannelVersions
        ) -> RunnableConfig:
            try:
                stored = await saver.aput(config, checkpoint, metadata, new_versions)
            except Exception as error:
                self._failure = error
                self._changed.set()
                raise
            if not config["configurable"].get("checkpoint_ns"):  # of the graph itself, not of a subgraph
                self._stored = metadata.get("step")
                self._changed.set()
            return stored

        watched = copy.copy(saver)  # as LangGraph itself makes a saver for one run
        watched.aput = aput  # type: ignore[method-assign]
        return watched

    async def on_chain_start(
        self, serialized: Any, inputs: Any, *, metadata: Mapping[str, Any] | None = None, **_: Any
    ) -> None:
        """Wait until the state that a node begins on is stored; raise what kept it from being stored."""
        node, step = (metadata or {}).get("langgraph_node", START), (metadata or {}).get("langgraph_step", 0)
        if node == START:
            return
        while not self._passed and (self._stored is None or self._stored < step - 1):
            if self._failure is not None:
                raise self._failure
            self._changed.clear()
            await self._changed.wait()
        self._passed = True
