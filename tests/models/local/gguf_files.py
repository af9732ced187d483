"""Makes the beginning of GGUF files: all that is read of them before a server loads them."""

import struct
from typing import Any

CHAT: dict[str, Any] = {
    "general.architecture": "llama",
    "llama.context_length": 4096,
    "llama.block_count": 2,
    "llama.embedding_length": 64,
    "llama.attention.head_count": 4,
    "llama.attention.head_count_kv": 2,
    "tokenizer.ggml.tokens": ["a", "b", "c"],
    "tokenizer.ggml.scores": [0.5, 1.5],
    "tokenizer.chat_template": "{% for message in messages %}{{ message.content }}{% endfor %}",
}


def gguf_file(entries: dict[str, Any], *, version: int = 3, count: int | None = None) -> bytes:
    """Return a header with `entries`, and some bytes in place of tensors."""
    body = b"".join(_text(key) + _value(value) for key, value in entries.items())
    head = b"GGUF" + struct.pack("<IQQ", version, 0, len(entries) if count is None else count)
    return head + body + b"\x00" * 64


def _value(value: Any) -> bytes:
    if isinstance(value, list):
        inner = b"".join(_text(one) if isinstance(one, str) else struct.pack("<f", one) for one in value)
        return struct.pack("<IIQ", 9, 8 if isinstance(value[0], str) else 6, len(value)) + inner
    if isinstance(value, str):
        return struct.pack("<I", 8) + _text(value)
    if isinstance(value, bool):
        return struct.pack("<I?", 7, value)
    return struct.pack("<II", 4, value)


def _text(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<Q", len(data)) + data
