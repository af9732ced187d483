"""The calls that answers ask for, and their results: which are open, and what stands for those that never came."""

import json
from collections.abc import Sequence
from typing import Literal
from uuid import uuid4

from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    HumanMessage,
    InvalidToolCall,
    ToolCall,
    ToolMessage,
    message_chunk_to_message,
)

NO_RESULT = "The call was interrupted; there is no result."


def whole_answer(chunk: AIMessageChunk) -> AIMessage:
    """Return the message that streamed as `chunk`, with calls only whose arguments came to their end.

    langchain completes what was cut off, as at the length limit, and half a command may do what the whole would not.
    """
    answer = message_chunk_to_message(chunk)
    assert isinstance(answer, AIMessage)
    cut = {part["id"]: part for part in chunk.tool_call_chunks if not _is_object(part["args"])}
    if not cut:
        return answer
    whole = [call for call in answer.tool_calls if call["id"] not in cut]
    invalid = [
        InvalidToolCall(
            name=part["name"], args=part["args"], id=call_id, error="no JSON object", type="invalid_tool_call"
        )
        for call_id, part in cut.items()
    ]
    return answer.model_copy(update={"tool_calls": whole, "invalid_tool_calls": invalid})


def _is_object(text: str | None) -> bool:
    try:
        return not text or isinstance(json.loads(text), dict)
    except ValueError:
        return False


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


def result_of(call: ToolCall, text: str, *, status: Literal["success", "error"] = "error") -> ToolMessage:
    """Return the message that tells the model how `call` ended.

    It has an ID from the beginning: LangGraph gives one only after it has chosen the next node by the messages.
    """
    return ToolMessage(text, tool_call_id=str(call["id"]), name=call["name"], status=status, id=str(uuid4()))


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


def name_calls(answer: AIMessage, messages: Sequence[BaseMessage]) -> AIMessage:
    """Return `answer` with an ID for each call that none among `messages` has; results are told apart by it.

    Some servers give none, and some count from 0 in each answer.
    """
    taken = {message.tool_call_id for message in messages if isinstance(message, ToolMessage)}
    if all(call["id"] and call["id"] not in taken for call in answer.tool_calls):
        return answer
    named = [{**call, "id": f"call_{uuid4().hex}"} for call in answer.tool_calls]
    return answer.model_copy(update={"tool_calls": named})


def pair_calls(messages: Sequence[BaseMessage]) -> list[BaseMessage]:
    """Return `messages` with a result behind every call, in the order of the calls, and no result without a call.

    Providers refuse anything else, and a turn that was stopped, or a thread that was imported, may hold it.
    """
    paired: list[BaseMessage] = []
    results: dict[str, ToolMessage] = {}
    for message in reversed(messages):
        if isinstance(message, ToolMessage):
            results[message.tool_call_id] = message
            continue
        # From behind, so that a message's results have been seen.
        paired += [results.get(str(call["id"])) or result_of(call, NO_RESULT) for call in reversed(calls_of(message))]
        paired.append(message)
        results = {}
    return paired[::-1]
