"""All messages of a thread, with those that its graph has removed from the state: older checkpoints still hold them.

Langchain's SummarizationMiddleware puts a summary in the place of older messages; others cut a conversation to its
newest ones.
"""

from collections.abc import Awaitable, Callable, Sequence

from langchain_core.messages import BaseMessage, HumanMessage

from chatcli.sessions.branches import current_branch, read_turns
from chatcli.sessions.history import is_question
from chatcli.store.threads import Step


async def whole_history(
    messages: Sequence[BaseMessage], steps: Sequence[Step], read: Callable[[str], Awaitable[Sequence[BaseMessage]]]
) -> list[BaseMessage]:
    """Return `messages`, which a thread's state holds, with what was removed from it on this branch.

    Args:
        messages: Those of the newest of `steps`.
        steps: The thread's checkpoints, the oldest first.
        read: Returns the messages at a checkpoint.

    """
    questions = sum(map(is_question, messages))
    summarised = any(isinstance(message, HumanMessage) and not is_question(message) for message in messages)
    whole = list(messages)
    if summarised or questions < len(current_branch(read_turns(steps))):
        for step in _ancestors(steps):
            whole = _merged(await read(step.checkpoint_id), whole)
    return whole


def _ancestors(steps: Sequence[Step]) -> list[Step]:
    """Return the checkpoints that the newest of `steps` comes from, the newest first."""
    known = {step.checkpoint_id: step for step in steps}
    ancestors = []
    step = known.get(steps[-1].parent_id or "") if steps else None
    while step is not None:
        ancestors.append(step)
        step = known.get(step.parent_id or "")
    return ancestors


def _merged(older: Sequence[BaseMessage], newer: list[BaseMessage]) -> list[BaseMessage]:
    """Return `newer` with what `older` has besides, each before the message that followed it."""
    place = {message.id: index for index, message in enumerate(newer)}
    if all(message.id in place for message in older):
        return newer
    held = {message.id for message in older}
    following = max((place[message.id] + 1 for message in older if message.id in place), default=0)
    removed: dict[int, list[BaseMessage]] = {}
    for message in reversed(older):
        if message.id in place:
            following = place[message.id]
            continue
        while following and newer[following - 1].id not in held:  # before a summary that stands in its place
            following -= 1
        removed.setdefault(following, []).append(message)
    merged: list[BaseMessage] = []
    for index in range(len(newer) + 1):
        merged += reversed(removed.get(index, ()))
        merged += newer[index : index + 1]
    return merged
