"""Keeps a thread's history in memory between the turns of one process."""

# Rebuilding a `DeltaChannel` walks every ancestor of a checkpoint and decodes every message: a cost of the whole
# thread, paid at each turn. What was rebuilt once is kept here, and the next walk ends where the last one began.

from collections.abc import Mapping, Sequence

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver, CheckpointTuple, DeltaChannelHistory

MAX_WALK = 32
"""Checkpoints to walk before the whole history is read at once; a turn of the plain chat writes three."""
MAX_THREADS = 4
"""Threads whose history is kept."""


class CachedHistory(BaseCheckpointSaver[str]):
    """A mixin for savers, to stand before the saver among the bases."""

    # The walk begins at the checkpoint that is asked for and goes by parents, so another process's turn, a fork and a
    # rewind are seen as they are; only what lies behind a checkpoint, which never changes, comes from memory.
    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]  # whatever the saver behind takes
        self._rebuilt: dict[tuple[str, str, tuple[str, ...]], tuple[str, Mapping[str, DeltaChannelHistory]]] = {}
        """The last checkpoint that was read of a thread, and its history as it was rebuilt, without its own writes."""

    async def aget_delta_channel_history(
        self, *, config: RunnableConfig, channels: Sequence[str]
    ) -> Mapping[str, DeltaChannelHistory]:
        """Return the history of the channels, as the saver behind would rebuild it."""
        target = await self.aget_tuple(config)
        if target is None or not channels:
            return await super().aget_delta_channel_history(config=config, channels=channels)
        key = (config["configurable"]["thread_id"], config["configurable"].get("checkpoint_ns", ""), tuple(channels))
        checkpoint_id, history = self._rebuilt.get(key, (target.checkpoint["id"], None))
        path = [target]
        while path[-1].checkpoint["id"] != checkpoint_id and len(path) <= MAX_WALK:
            parent = path[-1].parent_config
            ancestor = None if parent is None else await self.aget_tuple(parent)
            if ancestor is None:
                break
            path.append(ancestor)
        if history is not None and path[-1].checkpoint["id"] == checkpoint_id:
            history = {channel: _append(history[channel], path[1:], channel) for channel in channels}
        else:
            history = await super().aget_delta_channel_history(config=target.config, channels=channels)
        self._rebuilt.pop(key, None)
        self._rebuilt[key] = (target.checkpoint["id"], history)
        if len(self._rebuilt) > MAX_THREADS:
            del self._rebuilt[next(iter(self._rebuilt))]
        return history


def _append(history: DeltaChannelHistory, path: list[CheckpointTuple], channel: str) -> DeltaChannelHistory:
    """Return `history` with the writes of `path`, which leads from the newest ancestor back to the oldest."""
    appended: DeltaChannelHistory = {**history, "writes": list(history["writes"])}
    for ancestor in reversed(path):
        if channel in ancestor.checkpoint["channel_values"]:
            # A snapshot: a fork writes one where its parent also holds writes of the branch that was left.
            appended = {"seed": ancestor.checkpoint["channel_values"][channel], "writes": []}
        appended["writes"].extend(write for write in ancestor.pending_writes or () if write[1] == channel)
    return appended
