"""How stored values are compressed: by zlib, with a dictionary of what most of them have in common."""

import zlib

from chatcli.runtime.parse import inflate

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
