"""Reads JSON and TOML from outside, with a limit on the nesting of their values."""

# A value that is nested deeper than Python's stack breaks the code that prints, stores or validates it later.

from contextlib import suppress
from typing import Any

MAX_DEPTH = 100
"""Levels of lists and tables inside each other; people and models write about ten."""


class TooDeepError(ValueError):
    """A value that is nested too deeply."""

    def __init__(self, max_depth: int) -> None:
        super().__init__(f"it is nested too deeply, more than {max_depth} levels")


def read_json(text: str | bytes, *, max_depth: int = MAX_DEPTH, strict: bool = False, **options: Any) -> Any:
    """Return the value of `text`, by `json.loads`; raise ValueError, or TooDeepError if it is nested too deeply.

    With `strict`, NaN and Infinity are refused, too: Python reads and writes them, but they are no JSON.
    """
    import json  # few runs read any

    try:
        value = json.loads(text, **(options | {"parse_constant": _refuse_constant} if strict else options))
    except RecursionError:
        raise TooDeepError(max_depth) from None
    opened = text.count("[") + text.count("{") if isinstance(text, str) else text.count(b"[") + text.count(b"{")
    if opened > max_depth:
        check_depth(value, max_depth)
    return value


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a number in JSON")


def read_toml(text: str) -> dict[str, Any]:
    """Return the table of `text`; raise ValueError, as a TooDeepError where it is nested too deeply."""
    import tomllib

    try:
        value = tomllib.loads(text)
    except RecursionError:
        raise TooDeepError(MAX_DEPTH) from None
    check_depth(value)
    return value


def json_object(text: Any) -> dict[str, Any] | None:
    """Return the object that `text` is in JSON, however deep; None if it is anything else, or can't be read."""
    import json

    with suppress(ValueError, TypeError, RecursionError):
        value = json.loads(text)
        return value if isinstance(value, dict) else None
    return None


def check_depth(value: Any, max_depth: int = MAX_DEPTH) -> None:
    """Raise TooDeepError for a `value` of lists and tables that is nested too deeply."""
    level: list[Any] = [value]
    for _ in range(max_depth):
        level = [part for one in level for part in _parts(one) if isinstance(part, dict | list)]
        if not level:
            return
    raise TooDeepError(max_depth)


def _parts(value: Any) -> Any:
    return value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()


def inflate(blob: bytes, most: int, dictionary: bytes = b"") -> bytes:
    """Return the data that zlib made `blob` of; raise zlib.error if it can't, or if there is more than `most` bytes."""
    import zlib  # as json above

    stream = zlib.decompressobj(zdict=dictionary)
    data = stream.decompress(blob, most + 1)
    if not stream.eof or stream.unused_data or len(data) > most:
        raise zlib.error("the compressed data is cut short, or too long")
    return data
