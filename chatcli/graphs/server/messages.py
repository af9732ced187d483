"""Messages out of a LangGraph server's JSON, as the graph there has them."""

from collections.abc import Iterable, Mapping
from typing import Any

from langchain_core.messages import BaseMessage, convert_to_messages, messages_from_dict


def message_from_json(data: Mapping[str, Any]) -> BaseMessage:
    """Return the message, or piece of one, that `data` holds.

    Raises:
        ValueError: It holds none.

    """
    if "type" in data:
        (message,) = messages_from_dict([{"type": data["type"], "data": data}])
    else:
        (message,) = convert_to_messages([dict(data)])  # a state without a reducer keeps what it was given
    return message


def messages_from_json(values: Mapping[str, Any]) -> list[BaseMessage]:
    """Return the messages of the state `values`; what is none is left out."""
    messages = values.get("messages")
    return list(_revived(messages)) if isinstance(messages, list) else []


def _revived(messages: Iterable[object]) -> Iterable[BaseMessage]:
    for data in messages:
        try:
            if isinstance(data, Mapping):
                yield message_from_json(data)
        except ValueError:
            continue
