"""How checkpoints are serialised: LangGraph's msgpack, compressed."""

import logging
import zlib
from typing import Any

from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from chatcli.store.errors import REPAIR, DamagedError

COMPRESSED = "+zlib"
"""Marks a compressed blob behind the type tag, so that stores written without compression stay readable."""
WORTHWHILE = 128
"""Bytes below which compression gains nothing."""
LARGE = 1 << 20
"""Bytes from which on compression is fast, not thorough: otherwise noise takes six times as long, for 6 % less."""


# It would print a line for each class that a graph kept and this process does not restore: its fields do for reading.
logging.getLogger("langgraph.checkpoint.serde.jsonplus").setLevel(logging.ERROR)


class CompressedSerializer(JsonPlusSerializer):
    """Compresses what `JsonPlusSerializer` writes; conversations shrink to a third and less.

    Only langchain's messages and plain data are restored, never an arbitrary class: a store may come from elsewhere.
    A user graph adds the classes that its own code has loaded (graphs/user/stored_types.py); of others, the fields
    are restored.
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
