"""A thread as a tree of turns, and its messages as they are shown."""

# The tree is read off the metadata of the checkpoints. The messages include those that the graph has removed from its
# state.

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeGuard

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage

from chatcli.documents.citations import cited_in, for_people
from chatcli.events import INTERRUPTED
from chatcli.message import Excerpt, MessageShown, call_text, human_role, result_text
from chatcli.store.step_order import MENDED
from chatcli.store.threads import Step, chain, lineage

COMPACTED = "/compact"
"""The title of a checkpoint that sums up the oldest turns."""
EDITED = "/state"
"""The title of the first checkpoint of an edit of the state."""
TAKEN_OVER = "/tree"
"""The title of a checkpoint with the summary of another branch, and the mark of the message that is the summary."""
BEGINNING = 1000
"""The most characters of a question or an answer in the tree."""


@dataclass(frozen=True, slots=True)
class Turn:
    """A turn in a thread's tree."""

    # `number` counts the thread's turns from 1 in the order in which they were asked, on whatever branch; `before` and
    # `end` are the checkpoints at its beginning (None for a first turn) and at its end.
    number: int
    title: str
    parent: int | None
    before: str | None
    end: str
    current: bool


def read_turns(steps: Sequence[Step]) -> list[Turn]:
    """Return the turns that `steps`, a thread's checkpoints, the oldest first, are made of."""
    # A turn begins with the checkpoint of its input, or with the update that stores a question which was stopped before
    # it was asked: it has the question's title and a larger number than what is before it. What follows up to the next
    # input belongs to it. A checkpoint without a turn (`turn` 0) is the empty beginning to which a thread was rewound.
    # A summary of the oldest turns, or an edit of the state, begins a branch of its own: the turn that it was made
    # after ends before it.
    turn_of: dict[str, int | None] = {}
    known: dict[str, int] = {}
    begun: list[Step] = []
    ends: dict[int, str] = {}
    summed_up: set[str | None] = set()
    for step in steps:
        known[step.checkpoint_id] = step.turn
        is_stored = step.source == "update" and step.title not in ("", MENDED)
        if step.source == "input" or (is_stored and step.turn > known.get(step.parent_id or "", 0)):
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
    current = set(chain(turn_of[steps[-1].checkpoint_id] if steps else None, parents))
    return [
        Turn(number, step.title, parents[number], step.parent_id, ends[number], number in current)
        for number, step in enumerate(begun, 1)
    ]


def current_branch(turns: Sequence[Turn]) -> list[Turn]:
    """Return the turns of the current branch, the first one first."""
    return [turn for turn in turns if turn.current]


def branch_ends(turns: Sequence[Turn]) -> list[Turn]:
    """Return the turns that nothing follows: the end of the current branch first, then the newest."""
    followed = {turn.parent for turn in turns}
    return sorted((t for t in turns if t.number not in followed), key=lambda turn: (not turn.current, -turn.number))


def branch_to(end: Turn, turns: Sequence[Turn]) -> list[Turn]:
    """Return the turns from the first one to `end`."""
    parents = {turn.number: turn.parent for turn in turns}
    return [turns[number - 1] for number in reversed(chain(end.number, parents))]


def end_after(turn: Turn, turns: Sequence[Turn]) -> Turn:
    """Return the end of the branch that `turn` is on: where it forks, that of its newest branch."""
    newest = {one.parent: one for one in turns}
    while turn.number in newest:
        turn = newest[turn.number]
    return turn


def read_excerpts(branch: Sequence[Turn], messages: Sequence[BaseMessage]) -> dict[int, Excerpt]:
    """Return the texts of the turns of `branch` by number; `messages` are those at its end."""
    # A graph may have removed the oldest of them: then those turns are left out.
    begins = [index for index, message in enumerate(messages) if is_question(message)]
    found: dict[int, Excerpt] = {}
    ends = [*begins[1:], len(messages)]
    for turn, begin, end in zip(reversed(branch), reversed(begins), reversed(ends), strict=False):
        answers = (message.text for message in reversed(messages[begin:end]) if isinstance(message, AIMessage))
        answer = next(filter(None, answers), "")
        found[turn.number] = Excerpt(messages[begin].text[:BEGINNING], answer[:BEGINNING])
    return found


async def excerpts_in(
    turns: Sequence[Turn], read: Callable[[str], Awaitable[Sequence[BaseMessage]]]
) -> AsyncIterator[dict[int, Excerpt]]:
    """Yield the texts of `turns` by number, the current branch first; `read` takes a checkpoint, "" for now."""
    known = set[int]()
    for end in branch_ends(turns):
        found = read_excerpts(branch_to(end, turns), await read("" if end.current else end.end))
        yield {number: excerpt for number, excerpt in found.items() if number not in known}
        known |= found.keys()


async def excerpts_around(
    number: int, turns: Sequence[Turn], read: Callable[[str], Awaitable[Sequence[BaseMessage]]]
) -> dict[int, Excerpt]:
    """Return the texts of the turns on a branch with the turn `number`; for `read` see `excerpts_in`."""
    turn = turns[number - 1]
    end = current_branch(turns)[-1] if turn.current else end_after(turn, turns)
    return read_excerpts(branch_to(end, turns), await read("" if end.current else end.end))


def new_messages(there: Sequence[BaseMessage], here: Sequence[BaseMessage]) -> list[BaseMessage]:
    """Return the messages that are `there` and not `here`, beginning with the question that the first one is about."""
    known = {message.id for message in here}
    first = next((index for index, message in enumerate(there) if message.id not in known), None)
    if first is None:
        return []
    asked = [index for index in range(first + 1) if is_question(there[index])]
    return list(there[asked[-1] if asked else first :])


def before_edit(steps: Sequence[Step]) -> str | None:
    """Return the checkpoint before the edit that the newest of `steps` is the end of, None without one."""
    # An edit is one of the state, or the summary of another branch.
    for step in lineage(steps):
        if step.source != "update":
            break
        if step.title in (EDITED, TAKEN_OVER):
            return step.parent_id
    return None


def session_name(thread_id: str, branch: Sequence[Turn]) -> str:
    """Return the name of the part of `branch`, up to its newest turn, that a server which can't go back remembers."""
    # That is the thread's ID until the conversation goes back for the first time, and another after each time.
    begins = branch[-1].number
    for turn in reversed(branch[:-1]):
        if turn.number != begins - 1:
            break
        begins = turn.number
    return thread_id if begins == 1 else f"{thread_id}-{begins}"


def as_shown(messages: Sequence[BaseMessage]) -> list[MessageShown]:
    """Return the questions and answers among `messages` as they are shown, and of tool calls what came of each."""
    shown = []
    calls: dict[str | None, str] = {}
    for message in messages:
        if isinstance(message, HumanMessage):
            shown.append(MessageShown(human_role(message.additional_kwargs), message.text))
        elif isinstance(message, AIMessage):
            interrupted = message.response_metadata.get("finish_reason") == INTERRUPTED
            if message.text or interrupted or not message.tool_calls:
                cited = cited_in(message.response_metadata)
                shown.append(MessageShown("assistant", message.text, interrupted, cited and for_people(cited)))
            calls |= {call["id"]: call_text(call["name"], call["args"]) for call in message.tool_calls}
        elif isinstance(message, ToolMessage):
            call = calls.get(message.tool_call_id) or message.name or "tool"
            result = result_text(message.text, failed=message.status == "error")
            shown.append(MessageShown("tool", f"{call} {result}"))
    return shown


def is_question(message: BaseMessage) -> TypeGuard[HumanMessage]:
    """Return whether the user asked `message`; a summary of older turns is a human message too."""
    return isinstance(message, HumanMessage) and human_role(message.additional_kwargs) == "user"


def newest_question(messages: Sequence[BaseMessage]) -> HumanMessage | None:
    """Return the newest question among `messages`."""
    return next(filter(is_question, reversed(messages)), None)


def newest_turn(messages: Sequence[BaseMessage]) -> int:
    """Return where the newest turn begins: at the last question."""
    return next((index for index in reversed(range(len(messages))) if is_question(messages[index])), 0)


def heard_before(messages: Sequence[BaseMessage], maker: str) -> bool:
    """Return whether the newest whole answer among `messages` is one of `maker`'s; also where there is none at all."""
    # A partial answer does not name its model, so an older answer does.
    answers = (message.response_metadata for message in reversed(messages) if isinstance(message, AIMessage))
    newest = next((answer for answer in answers if answer.get("finish_reason") != INTERRUPTED), None)
    return newest is None or newest.get("model_provider") == maker


async def whole_history(
    messages: Sequence[BaseMessage], steps: Sequence[Step], read: Callable[[str], Awaitable[Sequence[BaseMessage]]]
) -> list[BaseMessage]:
    """Return `messages`, those of the newest of `steps`, and those that were removed on this branch.

    `read` is that of `excerpts_in`.
    """
    questions = sum(map(is_question, messages))
    summarised = any(
        isinstance(message, HumanMessage) and not is_question(message) and not message.additional_kwargs.get(TAKEN_OVER)
        for message in messages
    )
    whole = list(messages)
    if summarised or questions < len(current_branch(read_turns(steps))):
        for step in lineage(steps)[1:]:
            whole = merged(await read(step.checkpoint_id), whole)
    return whole


def merged(older: Sequence[BaseMessage], newer: list[BaseMessage]) -> list[BaseMessage]:
    """Return `newer` with the messages that only `older` has, at their original positions."""
    position = {message.id: index for index, message in enumerate(newer)}
    if all(message.id in position for message in older):
        return newer
    held = {message.id for message in older}
    following = max((position[message.id] + 1 for message in older if message.id in position), default=0)
    removed: dict[int, list[BaseMessage]] = {}
    for message in reversed(older):
        if message.id in position:
            following = position[message.id]
            continue
        while following and newer[following - 1].id not in held:  # before a summary that replaces it
            following -= 1
        removed.setdefault(following, []).append(message)
    both: list[BaseMessage] = []
    for index in range(len(newer) + 1):
        both += reversed(removed.get(index, ()))
        both += newer[index : index + 1]
    return both
