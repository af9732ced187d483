"""A thread as a tree of turns, read off the metadata of its checkpoints."""

from collections.abc import Sequence
from dataclasses import dataclass

from chatcli.store.threads import Step

COMPACTED = "/compact"
"""The title of a checkpoint that sums up the oldest turns."""
EDITED = "/state"
"""The title of the first checkpoint of an edit of the state."""


@dataclass(frozen=True, slots=True)
class Turn:
    """A turn in a thread's tree.

    `number` counts the thread's turns from 1 in the order in which they were asked, on whatever branch; `before` and
    `end` are the checkpoints at its beginning (None for a first turn) and at its end.
    """

    number: int
    title: str
    parent: int | None
    before: str | None
    end: str
    current: bool


def read_turns(steps: Sequence[Step]) -> list[Turn]:
    """Return the turns that `steps`, a thread's checkpoints, the oldest first, are made of.

    A turn begins with the checkpoint of its input; what follows up to the next input belongs to it. A checkpoint
    without a turn (`turn` 0) is the empty beginning to which a thread was rewound. A summary of the oldest turns, or an
    edit of the state, begins a branch of its own: the turn that it was made after ends before it.
    """
    turn_of: dict[str, int | None] = {}
    begun: list[Step] = []
    ends: dict[int, str] = {}
    summed_up: set[str | None] = set()
    for step in steps:
        if step.source == "input":
            begun.append(step)
            turn_of[step.checkpoint_id] = len(begun)
        else:
            turn_of[step.checkpoint_id] = turn_of.get(step.parent_id or "") if step.turn else None
        number = turn_of[step.checkpoint_id]
        if step.source == "update" and (step.title in (COMPACTED, EDITED) or step.parent_id in summed_up):
            summed_up.add(step.checkpoint_id)
        elif number is not None:
            ends[number] = step.checkpoint_id
    parents = {number: turn_of.get(step.parent_id or "") for number, step in enumerate(begun, 1)}
    current = _branch(turn_of[steps[-1].checkpoint_id] if steps else None, parents)
    return [
        Turn(number, step.title, parents[number], step.parent_id, ends[number], number in current)
        for number, step in enumerate(begun, 1)
    ]


def current_branch(turns: Sequence[Turn]) -> list[Turn]:
    """Return the turns of the current branch, the first one first."""
    return [turn for turn in turns if turn.current]


def before_edit(steps: Sequence[Step]) -> str | None:
    """Return the checkpoint before the edit of the state that the newest of `steps` is the end of, None without one."""
    known = {step.checkpoint_id: step for step in steps}
    step = steps[-1] if steps else None
    while step is not None and step.source == "update" and step.title != EDITED:
        step = known.get(step.parent_id or "")
    return step.parent_id if step is not None and step.source == "update" else None


def session_name(thread_id: str, branch: Sequence[Turn]) -> str:
    """Return the name of the part of `branch`, up to its newest turn, that a server which can't go back remembers.

    That is the thread's ID until the conversation goes back for the first time, and another after each time.
    """
    begins = branch[-1].number
    for turn in reversed(branch[:-1]):
        if turn.number != begins - 1:
            break
        begins = turn.number
    return thread_id if begins == 1 else f"{thread_id}-{begins}"


def _branch(number: int | None, parents: dict[int, int | None]) -> set[int]:
    branch = set()
    while number is not None:
        branch.add(number)
        number = parents[number]
    return branch
