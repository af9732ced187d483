"""Messages from the JSON of a LangGraph server."""

from collections.abc import Iterable, Mapping
from typing import Any

from langchain_core.messages import BaseMessage, convert_to_messages, messages_from_dict


def message_from_json(data: Mapping[str, Any]) -> BaseMessage:
    """Return the message, or piece of one, that `data` holds.

    Raises:
        ValueError: It does not hold a message.

    """
    if "type" in data:
        (message,) = messages_from_dict([{"type": data["type"], "data": data}])
    else:
        (message,) = convert_to_messages([dict(data)])  # a state without a reducer keeps its input as it is
    return message


def messages_from_json(values: Mapping[str, Any]) -> list[BaseMessage]:
    """Return the messages of the state `values`; anything else in it is left out."""
    messages = values.get("messages")
    return list(_revived(messages)) if isinstance(messages, list) else []


def _revived(messages: Iterable[object]) -> Iterable[BaseMessage]:
    for data in messages:
        try:
            if isinstance(data, Mapping):
                yield message_from_json(data)
        except ValueError:
            continue
