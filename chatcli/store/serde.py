"""How checkpoints are stored: LangGraph's msgpack, compressed, without the user's values; and checks of what is read.

A changed byte may also give a valid value, so the checks compare each value with what can have been written.
"""

import zlib
from typing import Any

from langchain_core.messages import BaseMessage
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    EXCLUDED_METADATA_KEYS,
    BaseCheckpointSaver,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
)
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from chatcli.store.errors import REPAIR, DamagedError

COMPRESSED = "+zlib"
"""The end of the type tag of a compressed blob; stores written without compression stay readable."""
WORTHWHILE = 128
"""Bytes below which compression gains nothing."""
LARGE = 1 << 20
"""Bytes from which on compression is fast, not thorough: otherwise noise takes six times as long, for 6 % less."""

_CHECKPOINT = {"id": str, "ts": str, "channel_values": dict, "channel_versions": dict, "versions_seen": dict}
_METADATA = {"source": str, "step": int, "chatcli_model": str, "chatcli_title": str, "chatcli_turn": int}


class CompressedSerializer(JsonPlusSerializer):
    """Compresses what `JsonPlusSerializer` writes; conversations shrink to a third and less.

    Only langchain's messages and plain data are restored, never an arbitrary class: a store may come from elsewhere.
    """

    def __init__(self) -> None:
        super().__init__(allowed_msgpack_modules=None)

    def dumps_typed(self, obj: Any) -> tuple[str, bytes]:
        """Return the type tag and the bytes of `obj`."""
        tag, data = super().dumps_typed(obj)
        if len(data) < WORTHWHILE:
            return tag, data
        return tag + COMPRESSED, zlib.compress(data, 1 if len(data) >= LARGE else -1)

    def loads_typed(self, data: tuple[str, bytes]) -> Any:
        """Return the object that `dumps_typed` made `data` of, compressed or not.

        Raises:
            DamagedError: The bytes can't be read.

        """
        try:
            tag, blob = data
            if tag.endswith(COMPRESSED):
                return super().loads_typed((tag.removesuffix(COMPRESSED), zlib.decompress(blob)))
            return super().loads_typed(data)
        except Exception as error:  # of zlib, of msgpack, or of the classes of the stored objects
            raise DamagedError(f"a stored value can't be read ({error})", remedy=REPAIR) from error


class WithoutGivenValues(BaseCheckpointSaver[str]):
    """A mixin for savers, to stand before the saver among the bases.

    LangGraph copies what is `configurable` in a run into the metadata of its checkpoints. A user may have given a key
    there, or the address of a server, and a store may go to somebody else.
    """

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """See `BaseCheckpointSaver.aput`."""
        where = config["configurable"]
        given = {key for key in where if key not in EXCLUDED_METADATA_KEYS and not key.startswith("__")}
        if given:
            kept = {key: value for key, value in config.get("metadata", {}).items() if key not in given}
            where = {key: value for key, value in where.items() if key not in given}
            config = {**config, "configurable": where, "metadata": kept}
        return await super().aput(config, checkpoint, metadata, new_versions)


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
