"""How checkpoints are stored: LangGraph's msgpack, compressed; and checks when reading."""

# A changed byte may also give a valid value, so the checks compare each value with what can have been written.

import logging
import zlib
from typing import Any

from langchain_core.messages import BaseMessage
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from chatcli.errors import StoreError
from chatcli.runtime.parse import inflate
from chatcli.store.errors import DamagedError

NEWEST_FORM = 4
"""The form of checkpoints (their "v") that the LangGraph writes which pyproject.toml asks for."""
_CHECKPOINT = {"id": str, "ts": str, "channel_values": dict, "channel_versions": dict, "versions_seen": dict}
_METADATA = {"source": str, "step": int, "chatcli_model": str, "chatcli_title": str, "chatcli_turn": int}
COMPRESSED = "+zlib"
"""The end of the type tag of a compressed blob; stores written without compression stay readable."""
WORTHWHILE = 128
"""Bytes below which compression gains nothing."""
LARGE = 1 << 20
"""Bytes from which on compression is fast, not thorough: otherwise noise takes six times as long, for 6 % less."""
_ALWAYS_READ = 8 << 20
_MOST_TIMES = 32
"""How many times as long as what is stored of it a longer value may be: a crafted megabyte would be a gigabyte."""
# What msgpack makes of a checkpoint and of messages, without what differs; the most frequent comes last.
_VERSION = b"\xa800000002"
_CHANNELS = (
    *(b"\xa8messages", b"\xa6system", b"\xa4role", b"\xa8template", b"\xa9variables", b"\xabtemperature"),
    *(b"\xa5model", b"\xa8base_url", b"\xafbranch:to:model"),
)
DICTIONARY = b"".join(
    [
        b"langchain_core.messages.modifier\xadRemoveMessage\x86\xa7content\xa0",
        b"\xbelangchain_core.messages.system\xadSystemMessage\x86\xa7content",
        b"\xbclangchain_core.messages.tool\xabToolMessage\x89\xa7content",
        b"\xb1additional_kwargs\x80\xb1response_metadata\x80\xa4type\xa4tool\xa4name\xc0\xa2id\xd9$",
        b"\xactool_call_id\xa9call_\xa8artifact\xc0\xa6status\xa7success\xb3model_validate_json",
        b"\x91\x84\xa4name\xa4args\x81\xa4path\xa2id\xa9call_\xa4type\xa9tool_call",
        b"\xa5error\xa8thinking\xb1reasoning_content\xa9signature\xa9reasoning",
        b"\xa4text\xa4type\xa4text\xa5index\x00\xa4base64\xa9mime_type\xa9image/png\xa8filename",
        b"\xa6length\xaatool_calls\xa9anthropic\xaagoogle_genai\xa6openai\xa5local",
        b"\xa7service_tier\xb1system_fingerprint\xc0\xb2chatcli_interrupted\xc3",
        b"\xc8\x00\x05\x94\xbdlangchain_core.messages.human\xacHumanMessage\x86\xa7content\xda\x00",
        b"\xb1additional_kwargs\x80\xb1response_metadata\x80\xa4type\xa5human\xa4name\xc0\xa2id\xd9$",
        b"\xb3model_validate_json",
        b"\x91\xc8\x02\x05\x94\xbalangchain_core.messages.ai\xa9AIMessage\x89\xa7content\xda\x01",
        b"\xb1additional_kwargs\x80\xb1response_metadata\x84\xaemodel_provider\xa6openai\xadfinish_reason\xa4stop",
        b"\xaamodel_name\xafchatcli_request\x83\xa5model\xa7openai:\xaaown_server\xc3\xc2\xa2at\xce",
        b"\xa4type\xa2ai\xa4name\xc0\xa2id\xd9,lc_run--019\xaatool_calls\x90\xb2invalid_tool_calls\x90",
        b"\xaeusage_metadata\x85\xacinput_tokens\xcd\xadoutput_tokens\xcd\xactotal_tokens\xcd",
        b"\xb3input_token_details\x81\xaacache_read\x00\xb4output_token_details\x81\xa9reasoning\x00",
        b"\xb3model_validate_json",
        b"\x91\xa9__start__\xad__interrupt__\xa9__error__\xa5tools\xafbranch:to:tools",
        b"\x87\xa1v\x04\xa2ts\xd9 2026-12-2T10:.000000+00:00\xa2id\xd9$1f-6-",
        b"\xaechannel_values\x88\xa6system\xa0\xa4role\xa0\xa8template\xa0\xa9variables\x80\xabtemperature\xc0",
        b"\xa5model\xa7openai:\xa8base_url\xc0\xd9https://api.openai.com/v1http://127.0.0.1:",
        b"\xafbranch:to:model\xc0\xb0channel_versions\x8a\xa9__start__",
        _VERSION,
        *(channel + _VERSION for channel in _CHANNELS),
        b"\xadversions_seen\x83\xa9__input__\x80\xa9__start__\x81\xa9__start__" + _VERSION,
        b"\xa5model\x81\xafbranch:to:model" + _VERSION,
        b"\xb0updated_channels\x91\xa8messages",
        b"\xb0updated_channels\x91\xa9__start__",
        b"\xb0updated_channels\x92\xafbranch:to:model\xa8messages",
    ]
)
"""What zlib knows before it compresses, so that short values get small: they need the same dictionary to be read."""
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


def compress(data: bytes) -> bytes:
    """Return `data` compressed with the help of `DICTIONARY`."""
    stream = zlib.compressobj(1 if len(data) >= LARGE else -1, zdict=DICTIONARY)
    return stream.compress(data) + stream.flush()


def most_bytes(blob: bytes) -> int:
    """Return the most bytes that `decompress` makes of `blob`."""
    return max(_ALWAYS_READ, _MOST_TIMES * len(blob))


def decompress(blob: bytes) -> bytes:
    """Return the data that `compress`, or zlib without a dictionary, made `blob` of; raise zlib.error if it can't."""
    return inflate(blob, most_bytes(blob), DICTIONARY)
