"""What is kept of a turn that was cut short: the one policy for cancel, failure and crash."""

# The question always stays. A partial answer is written as the graph's, marked interrupted, so that nothing is pending;
# tool calls that have no result get one that says so, since providers refuse calls without. A question without any
# answer stays pending: it can be asked again, and the plain chat joins it to the next question. A turn that waits for
# an approval is not cut short: nothing is touched.

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import uuid4

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langchain_core.runnables import RunnableConfig
from langgraph.types import StateSnapshot

from chatcli.events import INTERRUPTED
from chatcli.sessions.found import cited_metadata
from chatcli.sessions.history import newest_turn
from chatcli.sessions.message_calls import NO_RESULT, REFUSED, calls_of, result_of
from chatcli.sessions.thread import GraphThread, messages_of
from chatcli.store.errors import ReadOnlyError
from chatcli.store.threads import Partial


async def keep_turn(
    thread: GraphThread,
    config: RunnableConfig,
    question: HumanMessage | None,
    answers: Sequence[tuple[str, str]],
    other_input: Mapping[str, Any],
) -> None:
    """Store what a turn has not stored itself: its `question`, if it had one, or its `answers`."""
    # These are its messages, in order: the ID of each, and its text as far as it came. `other_input` is stored with the
    # question.
    snapshot = await thread.snapshot()
    messages = messages_of(snapshot)
    stored = {message.id for message in messages}
    if question is not None and question.id not in stored:
        labels = {**config.get("metadata", {}), "chatcli_turn": await thread.turn_number(new=True)}
        await thread.keep_question({**config, "metadata": labels}, question, other_input)
    elif snapshot.next and not snapshot.interrupts:
        # A node may have stored what it streamed as its own message, in this turn.
        known = {m.text for m in messages[newest_turn(messages) :] if isinstance(m, AIMessage)}
        texts = [text for message_id, text in answers if message_id not in stored and text not in known]
        await _append_rest(thread, config, snapshot, "\n\n".join(texts))


async def recover(thread: GraphThread, config: RunnableConfig) -> bool:
    """Store what a killed process has not, and return whether that was a partial answer; the caller holds the lock."""
    await thread.complete(config)
    partial = await asyncio.to_thread(thread.threads.journal.read, thread.id)
    if partial is None:
        return False
    snapshot = await thread.snapshot()
    messages = messages_of(snapshot)
    ids = [message.id for message in messages]
    unfinished = bool(snapshot.next) and not snapshot.interrupts and partial.question_id in ids
    if unfinished:
        await _append_rest(thread, config, snapshot, "" if _is_stored(partial, messages) else partial.text)
    await asyncio.to_thread(thread.threads.journal.clear, thread.id)
    return unfinished


async def recover_unless_running(thread: GraphThread) -> list[BaseMessage]:
    """Do what `recover` does, unless a process runs a turn there; return the messages that could not be stored."""
    try:
        if not thread.threads.locks.try_lock(thread.id):
            return []
    except ReadOnlyError:
        return await _journalled(thread)
    try:
        if thread.node is not None and await thread.is_foreign():
            return await _journalled(thread)
        await recover(thread, thread.config())
        return []
    finally:
        thread.threads.locks.unlock(thread.id)


async def _journalled(thread: GraphThread) -> list[BaseMessage]:
    partial = await asyncio.to_thread(thread.threads.journal.read, thread.id)
    if partial is None or _is_stored(partial, await thread.messages()):
        return []
    return [_partial_answer(partial.text, {})]


def _is_stored(partial: Partial, messages: Sequence[BaseMessage]) -> bool:
    """Return whether `messages` hold the answer that `partial` is the beginning of, or not its question."""
    ids = [message.id for message in messages]
    if partial.question_id not in ids:
        return True
    since = messages[ids.index(partial.question_id) :]
    return any(isinstance(message, AIMessage) and message.text.startswith(partial.text) for message in since)


async def refuse_calls(thread: GraphThread, config: RunnableConfig) -> bool:
    """Store that the user refused the calls without a result; return whether there are any. The lock is held."""
    return await _append_rest(thread, config, await thread.snapshot(), "", REFUSED)


def unanswered_calls(messages: Sequence[BaseMessage], reason: str = NO_RESULT) -> list[BaseMessage]:
    """Return a result for each tool call among `messages` that has none: it says that the call was interrupted."""
    results = {message.tool_call_id for message in messages if isinstance(message, ToolMessage)}
    calls = [call for message in messages for call in calls_of(message)]
    return [result_of(call, reason) for call in calls if call["id"] not in results]


async def _append_rest(
    thread: GraphThread, config: RunnableConfig, snapshot: StateSnapshot, partial: str, reason: str = NO_RESULT
) -> bool:
    """Write the end of a turn that broke off at `snapshot`, if there is one; return whether there is."""
    rest = unanswered_calls(messages_of(snapshot), reason)
    if partial:
        # A user graph's state may have any keys.
        cited = {} if thread.node is None else cited_metadata(partial, snapshot.values)
        rest.append(_partial_answer(partial, cited))
    if rest:
        # Under the labels of the question, so that it belongs to that turn; LangGraph itself takes on none of them.
        labels = {name: value for name, value in (snapshot.metadata or {}).items() if name.startswith("chatcli_")}
        config = {**config, "metadata": {**labels, **config.get("metadata", {})}}
        await thread.append(config, rest)
    return bool(rest)


def _partial_answer(text: str, metadata: Mapping[str, Any]) -> AIMessage:
    return AIMessage(text, id=str(uuid4()), response_metadata={**metadata, "finish_reason": INTERRUPTED})
