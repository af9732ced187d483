"""What both stores add to LangGraph's savers: IDs in the order of writing, histories in memory, lean metadata."""

import copy
from collections.abc import Mapping, Sequence
from contextlib import suppress
from uuid import UUID

import langgraph.checkpoint.base.id as generator
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint import base
from langgraph.checkpoint.base import BaseCheckpointSaver, CheckpointTuple, DeltaChannelHistory, get_checkpoint_id

from chatcli.store.step_order import damaged

_LAST = "_last_v6_timestamp"
"""LangGraph's variable for the time in the newest ID that this process made: the next one has a larger time.

There is no public way to tell the generator of an ID that another process made, and LangGraph's functions that make
IDs are imported by name from one module into another (tests/store/test_langgraph_names.py).
"""
BAD_LINKS = """
SELECT p.checkpoint_id IS NOT NULL AND p.checkpoint_id != c.checkpoint_id AS found
FROM checkpoints c LEFT JOIN checkpoints p ON p.thread_id = c.thread_id AND p.checkpoint_ns = ''
    AND p.checkpoint_id = c.parent_checkpoint_id
WHERE c.thread_id = {thread} AND c.checkpoint_ns = '' AND c.parent_checkpoint_id IS NOT NULL
AND (p.checkpoint_id IS NULL OR p.checkpoint_id >= c.checkpoint_id)
"""
_END = (1 << 60) - (1 << 40)
"""The times of a UUID end soon after this one. A damaged ID may have it: nothing could follow."""
MAX_WALK = 32
"""Checkpoints to walk before the whole history is read at once; a turn of the plain chat writes three."""
MAX_THREADS = 4
"""Threads whose history is kept."""


class OwnSaver(BaseCheckpointSaver[str]):
    """A mixin for savers, to stand before the saver among the bases; a saver adds its own `_bad_links`."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]  # whatever the saver behind takes
        self._in_order: dict[str, bool] = {}
        self._rebuilt: dict[tuple[str, str, tuple[str, ...]], tuple[str, Mapping[str, DeltaChannelHistory]]] = {}
        """The last checkpoint that was read of a thread, and its history as it was rebuilt, without its own writes."""

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """Return a checkpoint; raise DamagedError if a parent in the thread is missing."""
        # LangGraph takes the largest ID of a thread for its head. Its IDs are times, so after a step back of the clock,
        # or on a machine that is behind another one, a new checkpoint would sort below its parent, and the next turn
        # would not see it. So what is written sorts after what was read.
        found = _followed(await super().aget_tuple(config))
        where = config["configurable"]
        if found is not None and get_checkpoint_id(config) is None and not where.get("checkpoint_ns"):
            await self.is_in_order(str(where["thread_id"]))
        return found

    async def is_in_order(self, thread_id: str) -> bool:
        """Return whether each ID in the thread is larger than its parent's: older versions wrote others."""
        # The thread is looked through when this process first reads it, not again at each turn.
        if thread_id not in self._in_order:
            links = await self._bad_links(thread_id)
            if not all(links):
                raise damaged(thread_id)
            self._in_order[thread_id] = not links
        return self._in_order[thread_id]

    async def _bad_links(self, thread_id: str) -> list[bool]:
        """Return, for each checkpoint of the thread that has no older parent, whether the named parent exists."""
        raise NotImplementedError

    async def aget_delta_channel_history(
        self, *, config: RunnableConfig, channels: Sequence[str]
    ) -> Mapping[str, DeltaChannelHistory]:
        """Return the history of the channels, as the saver behind would rebuild it."""
        # Rebuilding a `DeltaChannel` walks every ancestor of a checkpoint and decodes every message: a cost of the
        # whole thread, paid at each turn. What was rebuilt once is kept between the turns of a process, and the next
        # walk ends where the last one began. It begins at the checkpoint that is asked for and goes by parents, so
        # another process's turn, a fork and a rewind are seen as they are; only what lies behind a checkpoint, which
        # never changes, comes from memory.
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

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: base.Checkpoint,
        metadata: base.CheckpointMetadata,
        new_versions: base.ChannelVersions,
    ) -> RunnableConfig:
        """Store a checkpoint, without metadata that is secret or stored elsewhere."""
        # LangGraph copies what is `configurable` in a run into the metadata of its checkpoints. A user may have given a
        # key there, or the address of a server, and a store may go to somebody else. And a turn's title is kept with
        # its input alone, the parents of a subgraph's checkpoint only where it has any.
        where = config["configurable"]
        given = {key for key in where if key not in base.EXCLUDED_METADATA_KEYS and not key.startswith("__")}
        repeated = {"chatcli_title"} if metadata.get("source") == "loop" else set()
        kept = {key: value for key, value in config.get("metadata", {}).items() if key not in given | repeated}
        where = {key: value for key, value in where.items() if key not in given}
        config = {**config, "configurable": where, "metadata": kept}
        if not metadata.get("parents"):
            metadata = metadata.copy()
            metadata.pop("parents", None)
        return await super().aput(config, checkpoint, metadata, new_versions)


def with_ordered_ids(saver: BaseCheckpointSaver[str]) -> BaseCheckpointSaver[str]:
    """Return `saver`, which a graph brings along, as a copy that does what `OwnSaver` does about IDs."""

    async def aget_tuple(config: RunnableConfig) -> CheckpointTuple | None:
        return _followed(await saver.aget_tuple(config))

    def get_tuple(config: RunnableConfig) -> CheckpointTuple | None:
        return _followed(saver.get_tuple(config))

    ordered = copy.copy(saver)  # as LangGraph itself makes a saver for one run
    ordered.aget_tuple, ordered.get_tuple = aget_tuple, get_tuple  # type: ignore[method-assign]  # of this copy alone
    return ordered


def _followed(found: CheckpointTuple | None) -> CheckpointTuple | None:
    """Return `found`; every ID that this process makes from now on sorts after its ID, whatever thread it is for."""
    if found is None:
        return None
    with suppress(ValueError):  # another program's ID, which no time sorts with
        read = UUID(str(found.config["configurable"]["checkpoint_id"]))
        # As a text, an ID sorts by its first 48 bits, then, past the version, by the other 12 of its time.
        time = read.int >> 80 << 12 | (read.int >> 64 & 0xFFF if read.version == 6 else 0xFFF)
        if time < _END:
            variables = vars(generator)
            variables[_LAST] = max(time, variables.get(_LAST) or 0)
    return found


def _append(history: DeltaChannelHistory, path: list[CheckpointTuple], channel: str) -> DeltaChannelHistory:
    """Return `history` with the writes of `path`, which leads from the newest ancestor back to the oldest."""
    appended: DeltaChannelHistory = {**history, "writes": list(history["writes"])}
    for ancestor in reversed(path):
        if channel in ancestor.checkpoint["channel_values"]:
            # A snapshot: a fork writes one where its parent also holds writes of the branch that was left.
            appended = {"seed": ancestor.checkpoint["channel_values"][channel], "writes": []}
        appended["writes"].extend(write for write in ancestor.pending_writes or () if write[1] == channel)
    return appended
