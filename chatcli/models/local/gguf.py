"""Reads what a GGUF file says of its model: architecture, context window, chat template.

The format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. A file may come from anywhere, so what is read of
it is bounded: numbers, lengths and the whole header.
"""

import math
import stat
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from chatcli.errors import UsageError

MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_MOST_ENTRIES = 10_000
_MOST_TENSORS = 100_000
_MOST_DIMENSIONS = 4
_LONGEST_NAME = 1024
_MOST_BYTES = 64 * 1024 * 1024
"""The longest header. That of a model with 260,000 words takes 12 MB."""
_LONGEST_TEXT = 1024 * 1024
_SCALARS = {
    0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d",
}  # fmt: skip
_STRING, _ARRAY = 8, 9
_TEXTS = ("general.architecture", "general.type", "tokenizer.chat_template")
"""The entries whose text is kept; the others could fill the memory."""
_ALIGNMENT = 32
_BLOCKS = (
    (1, {0: 4, 1: 2, 24: 1, 25: 2, 26: 4, 27: 8, 28: 8, 30: 2}),
    (32, {2: 18, 3: 20, 6: 22, 7: 24, 8: 34, 9: 40, 20: 18, 39: 17}),
    (64, {40: 36}),
    (128, {41: 18}),
    (256, {10: 84, 11: 110, 12: 144, 13: 176, 14: 210, 15: 292, 16: 66, 17: 74, 18: 98}),
    (256, {19: 50, 21: 110, 22: 82, 23: 136, 29: 56, 34: 54, 35: 66}),
)
"""How many numbers a block holds, and the bytes of one by the type of its tensor."""
_TENSOR_TYPES = {kind: (numbers, size) for numbers, sizes in _BLOCKS for kind, size in sizes.items()}
"""By type: numbers and bytes of a block. Of other types only the beginning is checked."""
_CACHED_BYTES = 2
"""The bytes of a number in the cache of what was read (f16)."""


@dataclass(frozen=True, slots=True)
class Header:
    """What a GGUF file says of its model."""

    # `window` is the context window in tokens that it was trained for, and `token_bytes` how many bytes of memory each
    # token takes there.
    architecture: str
    window: int
    token_bytes: int
    takes_tools: bool
    """Whether the chat template provides for tools."""


class _DamagedError(Exception):
    """The file is no GGUF file, or not whole."""


def read_header(path: Path) -> Header:
    """Return the facts about the model at `path`. Raises `UsageError` if it can't chat, `OSError` if unreadable."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise _DamagedError  # opening a pipe would wait for its writer
        with path.open("rb") as file:
            entries = _read_entries(file, status.st_size)
    except (_DamagedError, struct.error) as error:
        raise UsageError(f"{path} is not a whole GGUF file", remedy="Fetch it again, or correct the path.") from error
    kind, architecture = entries.get("general.type", "model"), entries.get("general.architecture")
    template = entries.get("tokenizer.chat_template")
    window = entries.get(f"{architecture}.context_length")
    if kind != "model" or not isinstance(architecture, str) or architecture == "clip":
        raise UsageError(f"{path} is a part of a model, not one that can answer", remedy="Name the model's own file.")
    if entries.get("split.count", 1) != 1:
        raise UsageError(f"{path} is one of several parts of a model", remedy="Take a file that is whole.")
    if not isinstance(template, str) or not template.strip() or f"{architecture}.pooling_type" in entries:
        raise UsageError(
            f"{path} has no chat template: it is a base model, or one for other tasks",
            remedy="Take the file of an instruct or chat model.",
        )
    if type(window) is not int or not 0 < window < 2**31:
        raise UsageError(f"{path} does not say how large its context is", remedy="Take another file of this model.")
    return Header(architecture, window, _token_bytes(architecture, entries), "tools" in template)


def _token_bytes(architecture: str, entries: dict[str, Any]) -> int:
    """Return the bytes that a token takes in memory: a key and a value in each layer; 0 if the file does not say."""

    def number(name: str) -> int:
        value = entries.get(f"{architecture}.{name}", 0)
        return value if isinstance(value, int) and 0 < value < 2**20 else 0

    heads = number("attention.head_count")
    size = number("embedding_length") // heads if heads else 0
    key, value = (number(f"attention.{name}_length") or size for name in ("key", "value"))
    return number("block_count") * (number("attention.head_count_kv") or heads) * (key + value) * _CACHED_BYTES


def _read_entries(file: IO[bytes], size: int) -> dict[str, Any]:
    """Return the entries with one value; those with a list, such as the words, are passed over."""
    if file.read(len(MAGIC)) != MAGIC:
        raise _DamagedError
    version, tensors, count = struct.unpack("<IQQ", file.read(20))
    if version not in _VERSIONS or count > _MOST_ENTRIES:
        raise _DamagedError
    entries: dict[str, Any] = {}
    for _ in range(count):
        key = _read_text(file, _LONGEST_NAME)
        (kind,) = struct.unpack("<I", file.read(4))
        value = _read_value(file, kind, keep_text=key in _TEXTS)
        if value is not None:
            entries[key] = value
        if file.tell() > min(size, _MOST_BYTES):
            raise _DamagedError
    alignment = entries.get("general.alignment", _ALIGNMENT)
    if type(alignment) is not int or not 0 < alignment <= _MOST_BYTES:
        raise _DamagedError
    _require_tensors(file, _checked(tensors, _MOST_TENSORS), alignment, size)
    return entries


def _require_tensors(file: IO[bytes], count: int, alignment: int, size: int) -> None:
    """Check that the file holds the tensors that it lists: a download that broke off has only some."""
    end = 0
    for _ in range(count):
        _read_text(file, _LONGEST_NAME)
        (dimensions,) = struct.unpack("<I", file.read(4))
        form = struct.Struct(f"<{_checked(dimensions, _MOST_DIMENSIONS)}QIQ")
        *shape, kind, offset = form.unpack(file.read(form.size))
        numbers, data = _TENSOR_TYPES.get(kind, (1, 0))
        end = max(end, offset + math.prod(shape) // numbers * data)
    start = -(-file.tell() // alignment) * alignment
    if start + end > size and count:
        raise _DamagedError


def _read_value(file: IO[bytes], kind: int, *, keep_text: bool) -> Any:
    if kind in _SCALARS:
        form = _SCALARS[kind]
        return struct.unpack(form, file.read(struct.calcsize(form)))[0]
    if kind == _STRING and keep_text:
        return _read_text(file, _LONGEST_TEXT)
    if kind == _STRING:
        _pass_texts(file, 1)
        return None
    if kind != _ARRAY:
        raise _DamagedError
    inner, length = struct.unpack("<IQ", file.read(12))
    if inner in _SCALARS:
        file.seek(_checked(length * struct.calcsize(_SCALARS[inner]), _MOST_BYTES), 1)
    elif inner == _STRING:
        _pass_texts(file, _checked(length, _MOST_BYTES // 8))
    else:
        raise _DamagedError  # lists of lists are allowed, but no model has any
    return None


def _pass_texts(file: IO[bytes], count: int) -> None:
    length = struct.Struct("<Q")
    for _ in range(count):
        file.seek(_checked(length.unpack(file.read(8))[0], _LONGEST_TEXT), 1)


def _read_text(file: IO[bytes], longest: int) -> str:
    (length,) = struct.unpack("<Q", file.read(8))
    data = file.read(_checked(length, longest))
    if len(data) != length:
        raise _DamagedError
    return data.decode(errors="replace")


def _checked(number: int, most: int) -> int:
    if number > most:
        raise _DamagedError
    return number
