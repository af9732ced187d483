"""Reads what a GGUF file says of its model: architecture, context window, chat template.

The format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. A file may come from anywhere, so what is read of
it is bounded: numbers, lengths and the whole header.
"""

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from chatcli.errors import UsageError

MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_MOST_ENTRIES = 10_000
_MOST_BYTES = 256 * 1024 * 1024
"""The longest header. That of a model with 260,000 words takes 12 MB."""
_LONGEST_TEXT = 1024 * 1024
_SCALARS = {
    0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d",
}  # fmt: skip
_STRING, _ARRAY = 8, 9
_CACHED_BYTES = 2
"""The bytes of a number in the cache of what was read (f16)."""


@dataclass(frozen=True, slots=True)
class Header:
    """What a GGUF file says of its model.

    `window` is the context window in tokens that it was trained for, and `token_bytes` how many bytes of memory each
    token takes there.
    """

    architecture: str
    window: int
    token_bytes: int
    template: str

    @property
    def takes_tools(self) -> bool:
        """Whether the chat template has a place for tools."""
        return "tools" in self.template


class _DamagedError(Exception):
    """The file is no GGUF file, or not whole."""


def read_header(path: Path) -> Header:
    """Return what the GGUF file at `path` says of its model.

    Raises:
        UsageError: It is no GGUF file, is damaged, or holds no model that can chat.
        OSError: It can't be read.

    """
    try:
        with path.open("rb") as file:
            entries = _read_entries(file, path.stat().st_size)
    except (_DamagedError, struct.error) as error:
        raise UsageError(f"{path} is not a whole GGUF file", remedy="Fetch it again, or correct the path.") from error
    return _header(path, entries)


def _header(path: Path, entries: dict[str, Any]) -> Header:
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
    if not isinstance(window, int) or not 0 < window < 2**31:
        raise UsageError(f"{path} does not say how large its context is", remedy="Take another file of this model.")
    return Header(architecture, window, _token_bytes(architecture, entries), template)


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
    version, _tensors, count = struct.unpack("<IQQ", file.read(20))
    if version not in _VERSIONS or count > _MOST_ENTRIES:
        raise _DamagedError
    entries: dict[str, Any] = {}
    for _ in range(count):
        key = _read_text(file)
        (kind,) = struct.unpack("<I", file.read(4))
        value = _read_value(file, kind)
        if value is not None:
            entries[key] = value
        if file.tell() > min(size, _MOST_BYTES):
            raise _DamagedError
    return entries


def _read_value(file: IO[bytes], kind: int) -> Any:
    if kind in _SCALARS:
        form = _SCALARS[kind]
        return struct.unpack(form, file.read(struct.calcsize(form)))[0]
    if kind == _STRING:
        return _read_text(file)
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


def _read_text(file: IO[bytes]) -> str:
    (length,) = struct.unpack("<Q", file.read(8))
    data = file.read(_checked(length, _LONGEST_TEXT))
    if len(data) != length:
        raise _DamagedError
    return data.decode(errors="replace")


def _checked(number: int, most: int) -> int:
    if number > most:
        raise _DamagedError
    return number
