"""What a message holds in addition to its text: why it ended, the calls that it asks for, and their results."""

import math
import re
from collections.abc import Sequence
from typing import Any, Literal
from uuid import uuid4

from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    ToolCall,
    ToolMessage,
    message_chunk_to_message,
)

from chatcli.runtime.parse import read_json

_KEYS = ("finish_reason", "status", "stop_reason", "done_reason", "stopReason")
_WORDS = {
    "completed": "stop",
    "complete": "stop",
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "incomplete": "length",
    "tool_use": "tool_calls",
    "tool_call": "tool_calls",
    "safety": "content_filter",
    "refusal": "content_filter",
    "guardrail_intervened": "content_filter",
}

CUT = "chatcli_cut_calls"
"""The key of an answer's metadata for the IDs of calls that were cut off."""
MAX_DEPTH = 64
"""Levels of lists and objects in a call's arguments."""
_SURROGATE = re.compile("[\ud800-\udfff]")
REFUSED = "The user refused this call."
NO_RESULT = "The call was interrupted; there is no result."


def whole_answer(answer: AIMessage) -> AIMessage:
    """Return `answer`, perhaps put together of chunks, as the message that is stored."""
    # A call whose arguments did not come to their end has none, and is noted as cut off: langchain completes them, as
    # at the length limit, and half a command may do what the whole would not. So is one with arguments that no client
    # can send again. It stays a call, so that the model learns of it.
    calls: list[ToolCall] = []
    cut: list[str] = []
    parts = answer.tool_call_chunks if isinstance(answer, AIMessageChunk) else answer.invalid_tool_calls
    if not parts:
        return _message(answer)
    if not isinstance(answer, AIMessageChunk):
        calls += answer.tool_calls
    for part in parts:
        arguments = _object(part["args"])
        call_id = part["id"] or _new_id()
        calls.append(ToolCall(name=as_text(part["name"] or ""), args=arguments or {}, id=call_id, type="tool_call"))
        if arguments is None:
            cut.append(call_id)
    metadata = {**answer.response_metadata, CUT: cut} if cut else answer.response_metadata
    changed = {"tool_calls": calls, "invalid_tool_calls": [], "response_metadata": metadata}
    return _message(answer).model_copy(update=changed)


def _message(answer: AIMessage) -> AIMessage:
    message = message_chunk_to_message(answer)
    assert isinstance(message, AIMessage)
    if isinstance(message.content, list):
        # Joining chunks leaves empty texts among the blocks, and Anthropic refuses the message that has one.
        message.content = [
            block
            for block in message.content
            if block and not (isinstance(block, dict) and block.get("type") == "text" and not block.get("text"))
        ]
    return message


def _object(text: str | None) -> dict[str, Any] | None:
    """Return the JSON object that `text` is; None when it is none, or holds what can't be stored or sent again."""
    try:
        value = read_json(text or "{}")
    except ValueError:
        return None
    return value if isinstance(value, dict) and is_plain(value) else None


def is_plain(value: object, depth: int = MAX_DEPTH) -> bool:
    """Return whether `value`, read from JSON, can be written again by every provider's client and every store."""
    # So it has no lone surrogates, no NaN, no whole number beyond 64 bits, and is nested `depth` levels at most.
    match value:
        case str():
            return not _SURROGATE.search(value)
        case bool() | None:
            return True
        case int():
            return -(2**63) <= value < 2**63
        case float():
            return math.isfinite(value)
        case list():
            return depth > 0 and all(is_plain(part, depth - 1) for part in value)
        case dict():
            return depth > 0 and all(is_plain(key) and is_plain(part, depth - 1) for key, part in value.items())
    return False


def as_text(text: str) -> str:
    """Return `text` with what can't be written as UTF-8, lone surrogates, replaced."""
    return _SURROGATE.sub("\N{REPLACEMENT CHARACTER}", text)


def _new_id() -> str:
    return f"call_{uuid4().hex}"


def calls_of(message: BaseMessage) -> list[ToolCall]:
    """Return the calls that `message` asks for."""
    return message.tool_calls if isinstance(message, AIMessage) else []


def is_cut(call: ToolCall, answer: AIMessage) -> bool:
    """Return whether the arguments of `call` did not come to their end."""
    return call["id"] in answer.response_metadata.get(CUT, ())


def result_of(
    call: ToolCall,
    text: str,
    *,
    status: Literal["success", "error"] = "error",
    artifact: Any = None,
    images: Sequence[dict[str, Any]] = (),
) -> ToolMessage:
    """Return the message that tells the model how `call` ended."""
    # It has an ID from the beginning: LangGraph gives one only after it has chosen the next node by the messages. What
    # can't be sent of the text is replaced: the name of a file may be no Unicode. `images` are blocks that follow it.
    text = as_text(text)
    return ToolMessage(
        [{"type": "text", "text": text}, *images] if images else text,
        tool_call_id=str(call["id"]),
        name=call["name"],
        status=status,
        artifact=artifact,
        id=str(uuid4()),
    )


def open_calls(messages: Sequence[BaseMessage]) -> list[ToolCall]:
    """Return the calls of the newest answer that have no result; none when something else came after it."""
    done: set[str] = set()
    for message in reversed(messages):
        if not isinstance(message, ToolMessage):
            return [call for call in calls_of(message) if call["id"] not in done]
        done.add(message.tool_call_id)
    return []


def name_calls(answer: AIMessage, messages: Sequence[BaseMessage]) -> AIMessage:
    """Return `answer` with an ID for each call that none among `messages` has; results are told apart by it."""
    # Some servers give none, and some count from 0 in each answer.
    if not answer.tool_calls:
        return answer
    taken = {message.tool_call_id for message in messages if isinstance(message, ToolMessage)}
    if all(call["id"] and call["id"] not in taken for call in answer.tool_calls):
        return answer
    named = [{**call, "id": _new_id()} for call in answer.tool_calls]
    cut = [new["id"] for old, new in zip(answer.tool_calls, named, strict=True) if is_cut(old, answer)]
    metadata = {**answer.response_metadata, CUT: cut} if cut else answer.response_metadata
    return answer.model_copy(update={"tool_calls": named, "response_metadata": metadata})


def pair_calls(messages: Sequence[BaseMessage]) -> list[BaseMessage]:
    """Return `messages` with a result behind every call, in the order of the calls, and no result without a call."""
    # Providers refuse anything else, and a turn that was stopped, or a thread that was imported, may hold it.
    paired: list[BaseMessage] = []
    results: dict[str, ToolMessage] = {}
    for message in reversed(messages):
        if isinstance(message, ToolMessage):
            results[message.tool_call_id] = message
            continue
        if calls := calls_of(message):  # from behind, so that their results have been seen
            paired += [results.get(str(call["id"])) or result_of(call, NO_RESULT) for call in reversed(calls)]
        paired.append(message)
        results = {}
    return paired[::-1]


def finish_reason(message: AIMessage) -> str:
    """Return why the model stopped: stop, length, tool_calls, content_filter or its own word; empty if it is silent."""
    # A server that breaks off says nothing, so an empty reason means that the answer is not whole.
    for key in _KEYS:
        if reason := message.response_metadata.get(key):
            word = str(reason).lower()
            return _WORDS.get(word, word)
    return ""
