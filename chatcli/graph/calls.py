"""The calls that answers ask for, and their results: which are open, and what stands for those that never came."""

from collections.abc import Sequence
from uuid import uuid4

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolCall, ToolMessage

NO_RESULT = "[no result: the turn was stopped before or while the call ran]"


def calls_of(message: BaseMessage) -> list[ToolCall]:
    """Return the calls that `message` asks for, those with unreadable arguments included, without any."""
    if not isinstance(message, AIMessage):
        return []
    unreadable = [
        ToolCall(name=call["name"] or "", args={}, id=call["id"], type="tool_call")
        for call in message.invalid_tool_calls
        if call["id"]
    ]
    return [*message.tool_calls, *unreadable]


def open_calls(messages: Sequence[BaseMessage]) -> list[ToolCall]:
    """Return the calls of the newest answer that have no result; none when something else came after it."""
    done: set[str] = set()
    for message in reversed(messages):
        if not isinstance(message, ToolMessage):
            return [call for call in calls_of(message) if call["id"] not in done]
        done.add(message.tool_call_id)
    return []


def steps_of_turn(messages: Sequence[BaseMessage]) -> int:
    """Return how many answers of the newest turn asked for calls."""
    steps = 0
    for message in reversed(messages):
        if isinstance(message, HumanMessage):
            break
        steps += bool(calls_of(message))
    return steps


def name_calls(answer: AIMessage) -> AIMessage:
    """Return `answer` with an ID for each call: some servers give none, and results are told apart by it."""
    if all(call["id"] for call in answer.tool_calls):
        return answer
    named = [{**call, "id": call["id"] or f"call_{uuid4().hex}"} for call in answer.tool_calls]
    return answer.model_copy(update={"tool_calls": named})


def pair_calls(messages: Sequence[BaseMessage]) -> list[BaseMessage]:
    """Return `messages` with a result behind every call and no result without one; providers refuse others.

    A turn that was stopped, and a thread that was forked or imported, may hold such.
    """
    paired: list[BaseMessage] = []
    waiting: dict[str, ToolCall] = {}
    for message in messages:
        if isinstance(message, ToolMessage):
            if waiting.pop(message.tool_call_id, None) is not None:
                paired.append(message)
            continue
        paired += _missing(waiting)
        waiting = {str(call["id"]): call for call in calls_of(message)}
        paired.append(message)
    return [*paired, *_missing(waiting)]


def _missing(waiting: dict[str, ToolCall]) -> list[BaseMessage]:
    return [
        ToolMessage(NO_RESULT, tool_call_id=call_id, name=call["name"], status="error", id=f"missing-{call_id}")
        for call_id, call in waiting.items()
    ]
