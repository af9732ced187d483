"""The order in which the checkpoints of a thread were written, also where the clock had stepped back meanwhile."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import takewhile

from chatcli.store.errors import DamagedError, damaged_thread
from chatcli.store.threads import Step, lineage

MENDED = "/mend"
"""The title of a checkpoint with what its thread had lost from its state (`sessions.mend`)."""

_Children = Mapping[str | None, Sequence[Step]]


def in_order(thread_id: str, steps: Sequence[Step]) -> list[Step]:
    """Return `steps`, the checkpoints of a thread by their IDs, as they were written; the last one is the head.

    The IDs are times, and LangGraph takes the largest for the head. Older versions made smaller ones than the parent's
    after the clock had stepped back: each turn took the same parent for the head, so none saw the one before it. The
    chain of parents decides, by this rule:

    - A checkpoint with a smaller ID than its parent's was written later than its parent had become the largest.
    - So the children of such a parent are no branches: they follow each other. First those with smaller IDs, then the
      others, which the clock had come to again; within both by ID. Each takes the last checkpoint below the one before
      it for its parent, and is marked, since its own state lacks that.
    - Where the thread was mended since, a child with a larger ID is a branch, as anywhere else.

    A parent that is missing, or a chain without a beginning, is a DamagedError.
    """
    known = {step.checkpoint_id for step in steps}
    if any(step.parent_id is not None and step.parent_id not in known for step in steps):
        raise damaged(thread_id)
    if all((step.parent_id or "") < step.checkpoint_id for step in steps):
        return list(steps)
    children = _children(steps)
    if len(_below(None, children)) < len(steps):  # a circle
        raise damaged(thread_id)
    return _sorted(_below(None, _linked(steps, children)))


def is_in_order(links: Iterable[tuple[str, str | None]]) -> bool:
    """Return whether the `links` of a thread, each a checkpoint and its parent, by ID, have a beginning and no gap."""
    try:
        in_order("", [Step(name, parent, 0, "", "") for name, parent in links])
    except DamagedError:
        return False
    return True


def damaged(thread_id: str) -> DamagedError:
    """Return the error for a thread with a checkpoint whose chain of parents has a gap, or no beginning."""
    return damaged_thread(thread_id, DamagedError("the parent of a checkpoint is missing"))


def lost_since(steps: Sequence[Step]) -> list[Step]:
    """Return the checkpoints of the current branch, since it was mended, whose state lacks what came before."""
    since = takewhile(lambda step: step.title != MENDED, lineage(steps))
    return [step for step in since if step.apart][::-1]


def _children(steps: Sequence[Step]) -> _Children:
    """Return the children of each checkpoint, those with smaller IDs than its own first."""
    children: dict[str | None, list[Step]] = {}
    for step in sorted(steps, key=lambda step: (step.checkpoint_id > (step.parent_id or ""), step.checkpoint_id)):
        children.setdefault(step.parent_id, []).append(step)
    return children


def _below(beginning: str | None, children: _Children) -> list[Step]:
    """Return all checkpoints that come from `beginning`, each after its parent."""
    found: list[Step] = []
    open_ends = list(children.get(beginning, ()))
    while open_ends:
        step = open_ends.pop()
        found.append(step)
        open_ends += children.get(step.checkpoint_id, ())
    return found


def _linked(steps: Sequence[Step], children: _Children) -> _Children:
    """Return the children of each checkpoint by the rule of `in_order`."""
    mended = [step.checkpoint_id for step in steps if step.title == MENDED]
    linked: list[Step] = []
    for parent_id, siblings in children.items():
        before = parent_id
        until = min((mend for mend in mended if mend > (parent_id or "")), default="~")
        for step in siblings:
            late = step.checkpoint_id < (parent_id or "")
            follows = late or (before != parent_id and step.checkpoint_id < until)
            linked.append(replace(step, parent_id=before, apart=True) if follows else step)
            if late:
                before = _last_below(step, children, until).checkpoint_id
    return _children(linked)


def _last_below(step: Step, children: _Children, until: str) -> Step:
    """Return the last checkpoint that comes from `step` and was written before the checkpoint `until`."""
    while following := [child for child in children.get(step.checkpoint_id, ()) if child.checkpoint_id < until]:
        step = following[-1]
    return step


def _sorted(steps: Sequence[Step]) -> list[Step]:
    """Return `steps`, each after its parent: by the largest ID up to there, then by the distance from that."""
    ranks: dict[str | None, tuple[str, int]] = {None: ("", 0)}
    for step in steps:
        largest, distance = ranks[step.parent_id]
        larger = step.checkpoint_id > largest
        ranks[step.checkpoint_id] = (step.checkpoint_id, 0) if larger else (largest, distance + 1)
    return sorted(steps, key=lambda step: (ranks[step.checkpoint_id], step.checkpoint_id))
