"""Converts one setting from the environment, TOML or the command line to the type of its field.

All functions here raise `ValueError` for what they refuse; its message says what is expected.
"""

import math
import re
import reprlib
from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin
from urllib.parse import urlsplit

from chatcli.config.booleans import FALSE, TRUE
from chatcli.config.secrets import Secret
from chatcli.runtime.parse import TooDeepError, check_depth, read_json

_VARIABLE = re.compile(r"""[^\s=]+=(?:"[^"]*"|'[^']*')(?!\S)|\S+""")
_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 200
_shown = _SHORT.repr
"""Returns a value as a message shows it: shortened, since a file may hold megabytes where a number is expected."""
_MAX_KEY = 200


class TypedText(str):
    """A value as the user typed it: JSON where it parses, else text; a schema may prefer the text."""

    __slots__ = ()

    def readings(self) -> list[Any]:
        """Return the values that the text may mean, the preferred one first."""
        try:
            return [read_json(self, strict=True), str(self)]
        except TooDeepError:
            raise
        except ValueError:
            return [str(self)]


_HEADER_NAME = re.compile(r"[\w!#$%&'*+.^`|~-]+", re.ASCII)


class ValueTable(dict[str, Any]):
    """Values by key; those that were typed as `KEY=VALUE` are `TypedText`."""


class HeaderTable(dict[str, Secret]):
    """HTTP headers by name."""


def read_value(kind: Any, value: object) -> Any:
    """Return `value`, which is not None, as a `kind`: a field's annotation.

    That is str, bool, int, float, Path, Secret, a Literal of texts, tuple[str, ...], a dict or ValueTable, each also
    `| None`, or `Annotated` with checks: functions that return the value or raise ValueError. A dict may hold dicts.
    """
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        value = read_value(arguments[0], value)
        for check in arguments[1:]:
            value = check(value)
        return value
    if origin in (Union, UnionType):
        return read_value(next(part for part in arguments if part is not NoneType), value)
    if origin is Literal:
        if value not in arguments:
            raise ValueError(f"{', '.join(arguments[:-1])} or {arguments[-1]}, not {_shown(value)}")
        return value
    if origin is dict and get_origin(arguments[1]) is dict:
        return _tables(value)
    return _READERS[origin or kind](value)


def choices(kind: Any) -> tuple[str, ...]:
    """Return the texts that a `kind` is limited to; none if it is not limited."""
    if get_origin(kind) is Literal:
        return get_args(kind)
    return tuple(text for part in get_args(kind) for text in choices(part))


def is_a(wanted: type, kind: Any) -> bool:
    """Return whether a field's annotation `kind` means a `wanted`; a ValueTable is a dict."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return is_a(wanted, arguments[0])
    if origin in (Union, UnionType):
        return any(is_a(wanted, part) for part in arguments)
    return isinstance(origin or kind, type) and issubclass(origin or kind, wanted)


def positive(number: float) -> float:
    """Return `number`, which is more than 0 and finite."""
    if not 0 < number < math.inf:
        raise ValueError(f"a number above 0, not {number}")
    return number


def not_negative(number: float) -> float:
    """Return `number`, which is 0 or more and finite."""
    if not 0 <= number < math.inf:
        raise ValueError(f"a number from 0 on, not {number}")
    return number


def http_url(url: str) -> str:
    """Return `url`, an HTTP address with a host, without the slashes at its end."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0:  # a port out of range raises
        raise ValueError("a URL starts with http:// or https://, and a host follows")
    return url.rstrip("/")


def style_of_code(name: str) -> str:
    """Return `name`, which is "auto" or a style of Pygments."""
    known = code_themes()
    if name not in known:
        near = get_close_matches(name.lower(), known, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else "it is auto or a style of Pygments, such as monokai"
        raise ValueError(f"there is no style {_shown(name)}; {hint}")
    return name


def code_themes() -> tuple[str, ...]:
    """Return the values that `code_theme` takes."""
    # Without types, see `rendering.markdown.code`; here, since few settings name one.
    from pygments.styles import STYLE_MAP  # type: ignore[import-untyped]

    return ("auto", *sorted(STYLE_MAP))


def tool_rules(rules: tuple[str, ...]) -> tuple[str, ...]:
    """Return `rules`, each TOOL or TOOL:PATTERN."""
    for rule in rules:
        if not rule.partition(":")[0].strip():
            raise ValueError(f"TOOL or TOOL:PATTERN, not {_shown(rule)}")
    return rules


def parse_variable(text: str) -> tuple[str, str]:
    """Return the key and the value of `KEY=VALUE`; the value may be empty, or in quotes."""
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise ValueError(f"{_shown(text)} is not KEY=VALUE")
    value = value.strip()
    if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"":
        value = value[1:-1]
    return name.strip(), value


def parse_variables(text: str) -> dict[str, str]:
    """Return every `KEY=VALUE` in `text` as a table; a value with white space is in quotes."""
    return dict(map(parse_variable, _VARIABLE.findall(text)))


def parse_entry(text: str) -> tuple[str, str, Any]:
    """Return the parts of `TABLE.KEY=VALUE`: the value is JSON or else text; the table's name may have dots."""
    name, equals, written = text.partition("=")
    table, dot, key = name.rpartition(".")
    if not (equals and dot and table.strip() and key.strip()):
        raise ValueError(f"NAME.FIELD=VALUE, not {_shown(text)}")
    return table.strip(), key.strip(), TypedText(written).readings()[0]


def parse_typed(text: str) -> tuple[str, TypedText]:
    """Read `KEY=VALUE`, whose value is JSON or else text."""
    name, equals, value = text.partition("=")
    if not equals or not name.strip() or len(name) > _MAX_KEY:
        raise ValueError(f"{_shown(text)} is not KEY=VALUE")
    for reading in TypedText(value).readings():
        check_plain(reading)
    check_plain(name)
    return name.strip(), TypedText(value)


def check_plain(value: Any) -> None:
    """Refuse a `value` that JSON can't hold, or that is nested too deeply."""
    import json  # few runs have such values

    check_depth(value)
    try:
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except UnicodeEncodeError:
        raise ValueError("it is not UTF-8 text") from None
    except (TypeError, ValueError):
        raise ValueError(f"{_shown(value)} is not a JSON value") from None


def _text(value: object) -> str:
    if not isinstance(value, str | Path):
        raise ValueError(f"a text, not {_shown(value)}")
    return str(value)


def _flag(value: object) -> bool:
    if isinstance(value, bool):
        return value
    word = str(value).strip().lower()
    if word not in TRUE + FALSE:
        raise ValueError(f"true or false, not {_shown(value)}")
    return word in TRUE


def _integer(value: object) -> int:
    try:
        number = _number(value)
    except ValueError:
        number = math.nan
    if number != number // 1:
        raise ValueError(f"a whole number, not {_shown(value)}")
    return int(value) if isinstance(value, str | int) else int(number)


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError(f"a number, not {_shown(value)}")
    try:
        return float(value)
    except (ValueError, OverflowError):
        raise ValueError(f"a number, not {_shown(value)}") from None


def _list(value: object) -> tuple[str, ...]:
    """Return the items of a list, or of a text: a JSON list, or one item."""
    if isinstance(value, str):
        value = _json(value) if value.startswith("[") else [value]
    if not isinstance(value, list | tuple):
        raise ValueError(f"a list, not {_shown(value)}")
    return tuple(map(_text, value))


def _table(value: object, parse: Callable[[str], tuple[str, Any]] = parse_variable) -> dict[str, Any]:
    """Return a table; `value` is one, a text with a JSON object or one that `parse` reads, or a list of these."""
    if isinstance(value, str):
        value = _json(value) if value.lstrip().startswith("{") else [value]
    if isinstance(value, list | tuple):
        return dict(parse(_text(item)) for item in value)
    if not isinstance(value, dict):
        raise ValueError(f"a table, not {_shown(value)}")
    return value


def _typed_table(value: object) -> ValueTable:
    """Read a table as `_table` does; the value of a `KEY=VALUE` is JSON or else text."""
    table = ValueTable(_table(value, parse_typed))
    for name, part in table.items():
        try:
            check_plain(part)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
    return table


def _headers(value: object) -> HeaderTable:
    """Read a table as `_table` does; no message repeats its texts, since one may be a key."""
    if isinstance(value, str):
        try:
            value = read_json(value) if value.lstrip().startswith("{") else [value]
        except ValueError:
            value = None
    if isinstance(value, list | tuple):
        value = {name: text for name, _, text in (str(item).partition("=") for item in value)}
    if not isinstance(value, dict):
        raise ValueError("headers, each NAME=VALUE, or a JSON object")
    table = HeaderTable({str(name): read_value(Secret, text) for name, text in value.items()})
    if not all(_HEADER_NAME.fullmatch(name) and text and text.is_sendable() for name, text in table.items()):
        raise ValueError("headers, each NAME=VALUE, of characters that HTTP allows")
    return table


def _tables(value: object) -> dict[str, dict[str, Any]]:
    """Return a table of tables; `value` is one, a text with a JSON object or one `TABLE.KEY=VALUE`, or a list."""
    if isinstance(value, str) and not value.lstrip().startswith("{"):
        value = [value]
    if not isinstance(value, list | tuple):
        return {name: _table(table) for name, table in _table(value).items()}
    tables: dict[str, dict[str, Any]] = {}
    for table, key, given in (parse_entry(_text(item)) for item in value):
        tables.setdefault(table, {})[key] = given
    return tables


def _json(text: str) -> object:
    try:
        return read_json(text)
    except ValueError as error:
        raise ValueError(f"JSON, not {_shown(text)}: {error}") from None


_READERS: dict[Any, Callable[[object], Any]] = {
    str: _text,
    bool: _flag,
    int: _integer,
    float: _number,
    Path: lambda value: Path(_text(value)),
    Secret: lambda value: value if isinstance(value, Secret) else Secret(_text(value)),
    tuple: _list,
    dict: _table,
    ValueTable: _typed_table,
    HeaderTable: _headers,
}
