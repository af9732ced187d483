"""Keeps the IDs of checkpoints in the order in which they are written, whatever the clock says.

LangGraph takes the largest ID of a thread for its head. Its IDs are times, so after a step back of the clock, or on a
machine that is behind another one, a new checkpoint would sort below its parent, and the next turn would not see it.
"""

import copy
from uuid import UUID

import langgraph.checkpoint.base.id as generator
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver, CheckpointTuple

_LAST = "_last_v6_timestamp"
"""LangGraph's variable for the time in the newest ID that this process made: the next one has a larger time.

There is no public way to tell the generator of an ID that another process made, and LangGraph's functions that make
IDs are imported by name from one module into another (tests/store/test_langgraph_names.py).
"""
_END = (1 << 60) - (1 << 40)
"""The times of a UUID end soon after this one. A damaged ID may have it: nothing could follow."""


class OrderedIds(BaseCheckpointSaver[str]):
    """A mixin for savers, to stand before the saver among the bases: what is written sorts after what was read."""

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """See `BaseCheckpointSaver.aget_tuple`."""
        return _followed(await super().aget_tuple(config))


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
    if found is not None:
        _follow(str(found.config["configurable"]["checkpoint_id"]))
    return found


def _follow(checkpoint_id: str) -> None:
    """Have every ID that this process makes from now on sort after `checkpoint_id`, whatever thread it is for."""
    try:
        read = UUID(checkpoint_id)
    except ValueError:  # another program's, which no time sorts with
        return
    # As a text, an ID sorts by its first 48 bits, then, past the version, by the other 12 of its time.
    time = read.int >> 80 << 12 | (read.int >> 64 & 0xFFF if read.version == 6 else 0xFFF)
    if time < _END:
        variables = vars(generator)
        variables[_LAST] = max(time, variables.get(_LAST) or 0)
