"""A store that is a graph's own checkpointer, of whatever kind."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

from langgraph.checkpoint.base import BaseCheckpointSaver, CheckpointTuple
from langgraph.checkpoint.memory import InMemorySaver

from chatcli.errors import UsageError
from chatcli.store.memory_threads import MemoryThreads
from chatcli.store.open import Store
from chatcli.store.threads import ThreadSummary


class ForeignThreads(MemoryThreads):
    """What a checkpointer itself can tell of its threads: the one that is held, not which there are."""

    def __init__(self, saver: BaseCheckpointSaver[str]) -> None:
        self._anything = saver
        self._titles = {}

    def recent(self, limit: int | None = None) -> list[ThreadSummary]:
        """Return none: a checkpointer has no list of its threads."""
        return []

    def find(self, thread_id: str) -> ThreadSummary | None:
        """See `Threads.find`."""
        return self._summary(thread_id) if self._checkpoints(thread_id) else None

    def delete(self, thread_ids: Sequence[str]) -> None:
        """See `Threads.delete`."""
        for thread_id in thread_ids:
            self._anything.delete_thread(thread_id)

    def fork(self, thread_id: str, new_id: str, checkpoint_id: str | None = None) -> None:
        """See `Threads.fork`; the memory of a subgraph of its own is not copied."""
        if self._checkpoints(new_id):
            raise UsageError(f"there is a thread {new_id!r} already", remedy="Choose another name.")
        for checkpoint in self._branch(thread_id, checkpoint_id):
            place = {"thread_id": new_id, "checkpoint_ns": ""}
            if checkpoint.parent_config is not None:
                place["checkpoint_id"] = checkpoint.parent_config["configurable"]["checkpoint_id"]
            versions = checkpoint.checkpoint["channel_versions"]
            stored = self._anything.put({"configurable": place}, checkpoint.checkpoint, checkpoint.metadata, versions)
            writes: dict[str, list[tuple[str, Any]]] = {}
            for task, channel, value in checkpoint.pending_writes or ():
                writes.setdefault(task, []).append((channel, value))
            for task, written in writes.items():
                self._anything.put_writes(stored, written, task)

    def _branch(self, thread_id: str, end: str | None) -> list[CheckpointTuple]:
        """Return the checkpoints of the branch that ends at `end`, by default the newest, the oldest first."""
        known = {checkpoint.checkpoint["id"]: checkpoint for checkpoint in self._checkpoints(thread_id)}
        end = end or next(reversed(known), "")
        if end not in known:
            raise UsageError(f"thread {thread_id!r} has no checkpoint {end!r}", remedy="See `/history`.")
        branch: list[CheckpointTuple] = []
        following: str | None = end
        while following is not None:
            branch.append(known[following])
            parent = branch[-1].parent_config
            following = parent["configurable"]["checkpoint_id"] if parent else None
        return branch[::-1]

    def _checkpoints(self, thread_id: str) -> list[CheckpointTuple]:
        found = self._anything.list({"configurable": {"thread_id": thread_id, "checkpoint_ns": ""}})
        return sorted(found, key=lambda checkpoint: checkpoint.checkpoint["id"])


def foreign_store(saver: BaseCheckpointSaver[str]) -> Store:
    """Return the store that `saver` is, opened and closed by the graph that it belongs to."""
    threads = MemoryThreads(saver) if isinstance(saver, InMemorySaver) else ForeignThreads(saver)
    return Store(saver, threads, _no_staging)


def _no_staging() -> AbstractAsyncContextManager[BaseCheckpointSaver[str]]:
    raise UsageError("nothing can be imported into a graph's own checkpointer")
