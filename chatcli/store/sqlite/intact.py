"""Checks that values read from a store can be what was written: a changed byte may also give a valid value."""

from typing import Any

from langchain_core.messages import BaseMessage

from chatcli.store.errors import REPAIR, DamagedError

_CHECKPOINT = {"id": str, "ts": str, "channel_values": dict, "channel_versions": dict, "versions_seen": dict}
_METADATA = {"source": str, "step": int, "chatcli_model": str, "chatcli_title": str, "chatcli_turn": int}


def check_checkpoint(checkpoint: Any) -> None:
    """Raise DamagedError unless `checkpoint` has the parts that LangGraph reads."""
    if not isinstance(checkpoint, dict):
        raise _damage("a checkpoint")
    for name, kind in _CHECKPOINT.items():
        if not isinstance(checkpoint.get(name), kind):
            raise _damage(f"the {name} of a checkpoint")
    versions = checkpoint["channel_versions"]
    seen = checkpoint["versions_seen"].values()
    if len({type(version) for version in versions.values()}) > 1 or not all(isinstance(one, dict) for one in seen):
        raise _damage("the versions of a checkpoint")
    values = checkpoint["channel_values"]
    if not all(isinstance(name, str) for name in (*values, *versions)):
        raise _damage("the channels of a checkpoint")
    if "messages" in values:
        check_write("messages", getattr(values["messages"], "value", values["messages"]))


def check_metadata(metadata: Any) -> None:
    """Raise DamagedError unless `metadata` is a checkpoint's."""
    if not isinstance(metadata, dict):
        raise _damage("the metadata of a checkpoint")
    for name, kind in _METADATA.items():
        if name in metadata and not isinstance(metadata[name], kind):
            raise _damage(f"the {name} of a checkpoint")


def check_write(channel: Any, value: Any) -> None:
    """Raise DamagedError unless `value` can be what was written to `channel`.

    A damaged message is read as None, as the data that it was made from, or with fields of the wrong type.
    """
    if not isinstance(channel, str):
        raise _damage("the name of a channel")
    if channel != "messages":
        return
    for message in value if isinstance(value, list) else [value]:
        if message is None or (isinstance(message, dict) and "additional_kwargs" in message):
            raise _damage("a message")
        if isinstance(message, BaseMessage):
            _check_message(message)


def _check_message(message: BaseMessage) -> None:
    fields: list[tuple[object, type | tuple[type, ...]]] = [
        (message.content, (str, list)),
        (message.id, (str, type(None))),
        (message.response_metadata, dict),
        (message.additional_kwargs, dict),
        (getattr(message, "tool_calls", []), list),
    ]
    blocks = message.content if isinstance(message.content, list) else []
    is_whole = all(isinstance(value, kind) for value, kind in fields)
    if not is_whole or not all(isinstance(block, str | dict) for block in blocks):
        raise _damage("a message")
    for block in blocks:
        if isinstance(block, dict) and not isinstance(block.get("text", ""), str):
            raise _damage("a message")


def _damage(what: str) -> DamagedError:
    return DamagedError(f"{what} can't be read", remedy=REPAIR)
