"""Keeps a thread's history in memory between the turns of one process."""

# Rebuilding a `DeltaChannel` walks every ancestor of a checkpoint and decodes every message: a cost of the whole
# thread, paid at each turn. What was rebuilt once is kept here, and the next walk ends where the last one began.

from collections import OrderedDict
from collections.abc import Mapping, Sequence

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver, CheckpointTuple, DeltaChannelHistory

MAX_WALK = 32
"""Checkpoints to walk before the whole history is read at once; a turn of the plain chat writes three."""
MAX_THREADS = 4
"""Threads whose history is kept."""


_Rebuilt = tuple[str, Mapping[str, DeltaChannelHistory]]
"""A checkpoint, and the history as it was rebuilt for it, without its own writes."""


class CachedHistory(BaseCheckpointSaver[str]):
    """A mixin for savers, to stand before the saver among the bases."""

    # The walk begins at the checkpoint that is asked for and goes by parents, so another process's turn, a fork and a
    # rewind are seen as they are; only what lies behind a checkpoint, which never changes, comes from memory.
    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]  # whatever the saver behind takes
        self._rebuilt: OrderedDict[tuple[str, str, tuple[str, ...]], _Rebuilt] = OrderedDict()

    async def aget_delta_channel_history(
        self, *, config: RunnableConfig, channels: Sequence[str]
    ) -> Mapping[str, DeltaChannelHistory]:
        """Return the history of the channels, as the saver behind would rebuild it."""
        target = await self.aget_tuple(config)
        if target is None or not channels:
            return await super().aget_delta_channel_history(config=config, channels=channels)
        key = (config["configurable"]["thread_id"], config["configurable"].get("checkpoint_ns", ""), tuple(channels))
        rebuilt = self._rebuilt.get(key)
        history = None if rebuilt is None else await self._extended(rebuilt, target, channels)
        if history is None:
            history = await super().aget_delta_channel_history(config=target.config, channels=channels)
        self._rebuilt[key] = (_id(target), history)
        self._rebuilt.move_to_end(key)
        while len(self._rebuilt) > MAX_THREADS:
            self._rebuilt.popitem(last=False)
        return history

    async def _extended(
        self, rebuilt: _Rebuilt, target: CheckpointTuple, channels: Sequence[str]
    ) -> Mapping[str, DeltaChannelHistory] | None:
        """Return the history at `target`, or None if `rebuilt` does not lie a short way behind it."""
        checkpoint_id, history = rebuilt
        if _id(target) == checkpoint_id:
            return history
        path: list[CheckpointTuple] = []
        parent = target.parent_config
        while parent is not None and len(path) < MAX_WALK:
            ancestor = await self.aget_tuple(parent)
            if ancestor is None:
                return None
            path.append(ancestor)
            if _id(ancestor) == checkpoint_id:
                return {channel: _append(history[channel], path, channel) for channel in channels}
            parent = ancestor.parent_config
        return None


def _append(history: DeltaChannelHistory, path: list[CheckpointTuple], channel: str) -> DeltaChannelHistory:
    """Return `history` with the writes of `path`, which leads from the newest ancestor back to the oldest."""
    appended: DeltaChannelHistory = {**history, "writes": list(history["writes"])}
    for ancestor in reversed(path):
        if channel in ancestor.checkpoint["channel_values"]:
            # A snapshot: a fork writes one where its parent also holds writes of the branch that was left.
            appended = {"seed": ancestor.checkpoint["channel_values"][channel], "writes": []}
        appended["writes"].extend(write for write in ancestor.pending_writes or () if write[1] == channel)
    return appended


def _id(checkpoint: CheckpointTuple) -> str:
    return str(checkpoint.config["configurable"]["checkpoint_id"])
