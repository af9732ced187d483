"""Keeps the IDs of checkpoints in the order in which they are written, whatever the clock says."""

# LangGraph takes the largest ID of a thread for its head. Its IDs are times, so after a step back of the clock, or on a
# machine that is behind another one, a new checkpoint would sort below its parent, and the next turn would not see it.

import copy
from contextlib import suppress
from uuid import UUID

import langgraph.checkpoint.base.id as generator
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver, CheckpointTuple, get_checkpoint_id

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


class OrderedIds(BaseCheckpointSaver[str]):
    """A mixin for savers, to stand before the saver among the bases: what is written sorts after what was read."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]  # whatever the saver behind takes
        self._in_order: dict[str, bool] = {}

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """Return a checkpoint; raise DamagedError if a parent in the thread is missing."""
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


def with_ordered_ids(saver: BaseCheckpointSaver[str]) -> BaseCheckpointSaver[str]:
    """Return `saver`, which a graph brings along, as a copy that does what `OrderedIds` does."""

    async def aget_tuple(config: RunnableConfig) -> CheckpointTuple | None:
        return _followed(await saver.aget_tuple(config))

    def get_tuple(config: RunnableConfig) -> CheckpointTuple | None:
        return _followed(saver.get_tuple(config))

    ordered = copy.copy(saver)  # as LangGraph itself makes a saver for one run
    ordered.aget_tuple, ordered.get_tuple = aget_tuple, get_tuple  # type: ignore[method-assign]
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
