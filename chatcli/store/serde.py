"""How checkpoints are stored: LangGraph's msgpack, compressed; and checks when reading."""

# A changed byte may also give a valid value, so the checks compare each value with what can have been written.

import logging
from typing import Any

from langchain_core.messages import BaseMessage
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from chatcli.errors import StoreError
from chatcli.store.compression import COMPRESSED, WORTHWHILE, compress, decompress, most_bytes
from chatcli.store.errors import DamagedError

NEWEST_FORM = 4
"""The form of checkpoints (their "v") that the LangGraph writes which pyproject.toml asks for."""

_CHECKPOINT = {"id": str, "ts": str, "channel_values": dict, "channel_versions": dict, "versions_seen": dict}
_METADATA = {"source": str, "step": int, "chatcli_model": str, "chatcli_title": str, "chatcli_turn": int}


# It would print a line for each class that a graph kept and this process does not restore: its fields do for reading.
logging.getLogger("langgraph.checkpoint.serde.jsonplus").setLevel(logging.ERROR)


class CompressedSerializer(JsonPlusSerializer):
    """Compresses what `JsonPlusSerializer` writes; conversations shrink to a third and less."""

    # Only langchain's messages and plain data are restored, never an arbitrary class: a store may come from elsewhere.
    # A user graph adds the classes that its own code has loaded (graphs/user/project.py); of others, the fields
    # are restored.
    def __init__(self) -> None:
        super().__init__(allowed_msgpack_modules=None)

    def dumps_typed(self, obj: Any) -> tuple[str, bytes]:
        """Return the type tag and the bytes of `obj`."""
        tag, data = super().dumps_typed(obj)
        if len(data) < WORTHWHILE or len(data) > most_bytes(blob := compress(data)):
            return tag, data
        return tag + COMPRESSED, blob

    def loads_typed(self, data: tuple[str, bytes]) -> Any:
        """Return the object that `dumps_typed` made `data` of; raise DamagedError if the bytes can't be read."""
        try:
            tag, blob = data
            if tag.endswith(COMPRESSED):
                return super().loads_typed((tag.removesuffix(COMPRESSED), decompress(blob)))
            return super().loads_typed(data)
        except Exception as error:  # of zlib, of msgpack, or of the classes of the stored objects
            raise DamagedError(f"a stored value can't be read ({error})") from error


def next_version(current: str | None) -> str:
    """Return the version of a channel after `current`, which LangGraph may have given; None begins a thread."""
    # Versions are compared as texts, so the number keeps its width: LangGraph's has 32 digits, ours, of which each
    # checkpoint has a dozen, 8.
    number = "0" * 8 if current is None else str(current).partition(".")[0]
    return f"{int(number) + 1:0{len(number)}}"


def refuse_newer(checkpoint: Any) -> None:
    """Raise StoreError for a checkpoint that a newer LangGraph wrote: nobody knows what this one would make of it."""
    form = checkpoint.get("v") if isinstance(checkpoint, dict) else None
    if isinstance(form, int) and form > NEWEST_FORM:
        raise StoreError(
            f"the thread was written by a newer LangGraph (form {form}, this one reads {NEWEST_FORM})",
            remedy="Upgrade chatcli, or begin another thread.",
        )


def check_checkpoint(checkpoint: Any) -> None:
    """Raise DamagedError unless `checkpoint` has the parts that LangGraph reads; refuse a newer LangGraph's."""
    if not isinstance(checkpoint, dict):
        raise _damage("a checkpoint")
    refuse_newer(checkpoint)
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
    """Raise DamagedError unless `value` can be what was written to `channel`."""
    # A damaged message is read as None, as the data that it was made from, or with fields of the wrong type.
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
    fields += ((block.get("text", "") if isinstance(block, dict) else block, str) for block in blocks)
    if not all(isinstance(value, kind) for value, kind in fields):
        raise _damage("a message")


def _damage(what: str) -> DamagedError:
    return DamagedError(f"{what} can't be read")
