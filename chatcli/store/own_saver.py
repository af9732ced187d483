"""A store that is a graph's own checkpointer, of whatever kind."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager

from langgraph.checkpoint.base import BaseCheckpointSaver, CheckpointTuple
from langgraph.checkpoint.memory import InMemorySaver

from chatcli.errors import UsageError
from chatcli.store.memory_threads import MemoryThreads
from chatcli.store.open import Store
from chatcli.store.threads import ThreadSummary


class SaverThreads(MemoryThreads):
    """What a checkpointer itself can tell of its threads: the one that is held, not which there are."""

    def __init__(self, saver: BaseCheckpointSaver[str]) -> None:
        self._anything = saver
        self._titles = {}

    def recent(self, limit: int | None = None) -> list[ThreadSummary]:
        """Return none: a checkpointer has no list of its threads."""
        return []

    def delete(self, thread_ids: Sequence[str]) -> None:
        """See `Threads.delete`."""
        for thread_id in thread_ids:
            self._anything.delete_thread(thread_id)

    def fork(self, thread_id: str, new_id: str, checkpoint_id: str | None = None) -> None:
        """Refuse: its rows are its own."""
        raise UsageError("the graph's own checkpointer can't copy a thread", remedy="/rewind goes back on this one.")

    def _checkpoints(self, thread_id: str) -> list[CheckpointTuple]:
        found = self._anything.list({"configurable": {"thread_id": thread_id, "checkpoint_ns": ""}})
        return sorted(found, key=lambda checkpoint: checkpoint.checkpoint["id"])


def own_store(saver: BaseCheckpointSaver[str]) -> Store:
    """Return the store that `saver` is, opened and closed by the graph that it belongs to."""
    threads = MemoryThreads(saver) if isinstance(saver, InMemorySaver) else SaverThreads(saver)
    return Store(saver, threads, _no_staging)


def _no_staging() -> AbstractAsyncContextManager[BaseCheckpointSaver[str]]:
    raise UsageError("nothing can be imported into a graph's own checkpointer")
