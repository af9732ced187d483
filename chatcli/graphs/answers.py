"""The answer in what an app, an entrypoint or a Runnable returns."""

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from pydantic import BaseModel
from pydantic_core import to_json

from chatcli.sessions.state import MESSAGES as MESSAGES
from chatcli.sessions.stream import Answer

ANSWERS = ("answer", "final_answer", "response", "output", "result", "reply", "generation", "completion")
"""The usual names of the field that is the answer."""
_OBJECTS = ("structured_response", "responses")
"""Where langchain's agents and trustcall's extractors put an answer that is no text."""


def read_answer(value: Any) -> Answer:
    """Return the answer that is in `value`, whatever a graph, an entrypoint or a Runnable has returned."""
    # Text, and the text of messages, is the answer as it is. An object's answer is the field with a usual name, its
    # only text, or its newest message. If it has none of these, the whole object is the answer, as JSON.
    held = as_fields(value)
    if held is None:
        text = _text(value)
        output = None if isinstance(value, str | BaseMessage) or _is_messages(value) else _plain(value)
        return Answer(text, output if value is not None else None, new_messages(value))
    texts = [key for key, one in held.items() if isinstance(one, str)]
    choices = (
        [key for key in ANSWERS if key in held][:1],
        texts,
        [MESSAGES] if _text_of_messages(held.get(MESSAGES)) else [],
        [key for key in _OBJECTS if held.get(key) is not None][:1],
    )
    key = next((choice[0] for choice in choices if len(choice) == 1), None)
    if key is not None:
        return answer_in(held, key)
    output = _output(held)
    return Answer(_text(output) if output else "", output)


def as_fields(value: Any) -> dict[str, Any] | None:
    """Return the fields of an object, None for what has none: text, a number, a list, a message."""
    if isinstance(value, BaseMessage):
        return None
    if isinstance(value, Mapping):
        return {str(key): one for key, one in value.items()}
    if isinstance(value, BaseModel):
        return {key: getattr(value, key) for key in type(value).model_fields}
    if is_dataclass(value) and not isinstance(value, type):
        return {one.name: getattr(value, one.name) for one in fields(value)}
    return None


def new_messages(value: Any) -> tuple[BaseMessage, ...]:
    """Return the answers and results among the messages that `value` is."""
    found = [value] if isinstance(value, BaseMessage) else value if _is_messages(value) else []
    return tuple(message for message in found if isinstance(message, AIMessage | ToolMessage))


def answer_in(held: Mapping[str, Any], key: str) -> Answer:
    """Return the answer that the field `key` of an output is."""
    return Answer(_text(held[key]), _output(held), new_messages(held[key]))


def _output(held: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return all fields but the messages, as JSON; None where there are no others."""
    return {key: _plain(value) for key, value in held.items() if key != MESSAGES} or None


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, BaseMessage):
        return value.text
    if _is_messages(value):
        return _text_of_messages(value)
    return json.dumps(_plain(value), ensure_ascii=False)


def _text_of_messages(value: Any) -> str:
    newest = value[-1] if _is_messages(value) else None
    return newest.text if isinstance(newest, AIMessage) else ""


def _plain(value: Any) -> Any:
    """Return `value` as JSON has it; an object of a class that can't be written becomes its text."""
    return json.loads(to_json(value, fallback=str, inf_nan_mode="strings", bytes_mode="base64"))


def _is_messages(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(one, BaseMessage) for one in value)
