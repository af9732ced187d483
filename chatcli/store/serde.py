"""How checkpoints are serialised: LangGraph's msgpack, compressed, without what the user gave the run."""

import zlib
from typing import Any

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
"""Marks a compressed blob behind the type tag, so that stores written without compression stay readable."""
WORTHWHILE = 128
"""Bytes below which compression gains nothing."""
LARGE = 1 << 20
"""Bytes from which on compression is fast, not thorough: otherwise noise takes six times as long, for 6 % less."""


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
        except Exception as error:  # of zlib, of msgpack, or of whatever is made of what msgpack reads
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
