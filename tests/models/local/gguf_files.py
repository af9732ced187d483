"""Makes GGUF files: headers, which is all that is read of a file before it is loaded, and whole models."""

import random
import struct
from array import array
from collections.abc import Mapping
from pathlib import Path

TEMPLATE = (
    "{% if tools %}{{ tools | tojson }}\n{% endif %}"
    "{% for message in messages %}[{{ message.role }}]{{ message.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}[assistant]{% endif %}"
)
"""The template of no other model, with a place for tools."""
WINDOW = 2048

Value = str | int | float | list[str] | list[int] | list[float]

CHAT: dict[str, Value] = {
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
"""The entries of a model that can chat."""

_WIDTH, _HEADS, _KEY_HEADS, _LAYERS, _INNER = 64, 4, 2, 2, 128
_ALIGNMENT = 32
_TYPES: dict[type, tuple[int, str]] = {bool: (7, "<?"), int: (4, "<I"), float: (6, "<f")}
_WORDS = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]


def text(value: str | bytes) -> bytes:
    """Return a text as GGUF writes it: its length, then its bytes."""
    data = value.encode() if isinstance(value, str) else value
    return struct.pack("<Q", len(data)) + data


def entry(key: str, value: Value) -> bytes:
    """Return an entry of a GGUF header."""
    if isinstance(value, list):
        inner = b"".join(_plain(one)[1] for one in value)
        return text(key) + struct.pack("<IIQ", 9, _plain(value[0])[0], len(value)) + inner
    kind, data = _plain(value)
    return text(key) + struct.pack("<I", kind) + data


def _plain(value: str | float) -> tuple[int, bytes]:
    if isinstance(value, str):
        return 8, text(value)
    kind, form = _TYPES[type(value)]
    return kind, struct.pack(form, value)


def header(*entries: bytes, count: int | None = None, tensors: int = 0, version: int = 3) -> bytes:
    """Return the beginning of a GGUF file; `count` is what it claims to have of `entries`."""
    claimed = len(entries) if count is None else count
    return b"GGUF" + struct.pack("<IQQ", version, tensors, claimed) + b"".join(entries)


def gguf_file(entries: Mapping[str, Value], *, version: int = 3, count: int | None = None) -> bytes:
    """Return a header with `entries`, and some bytes in place of tensors."""
    return header(*(entry(*pair) for pair in entries.items()), count=count, version=version) + bytes(64)


def entries(architecture: str = "llama", **changed: Value | None) -> dict[str, Value]:
    """Return the entries of a model that can chat; `changed` are others, with `__` for a dot; None leaves one out."""
    found: dict[str, Value | None] = {
        "general.architecture": architecture,
        f"{architecture}.context_length": WINDOW,
        f"{architecture}.embedding_length": _WIDTH,
        f"{architecture}.block_count": _LAYERS,
        f"{architecture}.feed_forward_length": _INNER,
        f"{architecture}.rope.dimension_count": _WIDTH // _HEADS,
        f"{architecture}.attention.head_count": _HEADS,
        f"{architecture}.attention.head_count_kv": _KEY_HEADS,
        f"{architecture}.attention.layer_norm_rms_epsilon": 1e-5,
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.tokens": _WORDS,
        "tokenizer.ggml.scores": [0.0] * len(_WORDS),
        "tokenizer.ggml.token_type": [2, 3, 3] + [6] * 256,
        "tokenizer.ggml.bos_token_id": 1,
        "tokenizer.ggml.eos_token_id": 2,
        "tokenizer.chat_template": TEMPLATE,
    }
    found |= {name.replace("__", "."): value for name, value in changed.items()}
    return {name: value for name, value in found.items() if value is not None}


def model(architecture: str = "llama", **changed: Value | None) -> bytes:
    """Return a whole file, some 430 kB; see `entries`."""
    chance = random.Random(20261123)
    tensors: list[tuple[str, tuple[int, ...]]] = [
        ("token_embd.weight", (_WIDTH, len(_WORDS))),
        ("output.weight", (_WIDTH, len(_WORDS))),
        ("output_norm.weight", (_WIDTH,)),
    ]
    keys = _WIDTH // _HEADS * _KEY_HEADS
    shapes = {
        "attn_norm": (_WIDTH,),
        "ffn_norm": (_WIDTH,),
        "attn_q": (_WIDTH, _WIDTH),
        "attn_output": (_WIDTH, _WIDTH),
        "attn_k": (_WIDTH, keys),
        "attn_v": (_WIDTH, keys),
        "ffn_down": (_INNER, _WIDTH),
        "ffn_gate": (_WIDTH, _INNER),
        "ffn_up": (_WIDTH, _INNER),
    }
    tensors += [(f"blk.{layer}.{name}.weight", shape) for layer in range(_LAYERS) for name, shape in shapes.items()]
    table, body = b"", bytearray()
    for name, shape in tensors:
        table += text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, 0, len(body))
        numbers = shape[0] * (shape[1] if len(shape) == 2 else 1)
        body += array("f", [1.0] * numbers if len(shape) == 1 else [chance.gauss(0, 0.1) for _ in range(numbers)])
        body += bytes(-len(body) % _ALIGNMENT)
    start = header(*(entry(*pair) for pair in entries(architecture, **changed).items()), tensors=len(tensors)) + table
    return start + bytes(-len(start) % _ALIGNMENT) + bytes(body)


def write_model(path: Path, architecture: str = "llama", **changed: Value | None) -> Path:
    """Write a whole file and return its path."""
    path.write_bytes(model(architecture, **changed))
    return path
