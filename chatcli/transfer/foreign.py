"""Helpers for files of other programs: strict JSON, models that ignore unknown fields, and Markdown."""

import json
import re
from collections import Counter
from typing import Any

from pydantic import BaseModel, ConfigDict

from chatcli.errors import UsageError
from chatcli.runtime import parse as nested
from chatcli.runtime.parse import read_json
from chatcli.transfer.document import check_storable, refuse

MAX_DEPTH = 2 * nested.MAX_DEPTH
"""A thread holds arguments of tools, which may be nested as deeply as is allowed, some levels down."""

_NOT_IN_LANGUAGE = re.compile(r"[^\w+#.-]")
_BACKTICKS = re.compile("`{3,}")


class Export(BaseModel):
    """Part of an export; its makers add fields now and then, and what is not read may be anything."""

    model_config = ConfigDict(extra="ignore", strict=True)


def fenced(text: str, language: str | None = None) -> str:
    """Return `text` as a code block, whose fence is longer than any inside of it; empty text stays empty."""
    if not text:
        return ""
    longest = max((len(marks) for marks in _BACKTICKS.findall(text)), default=2)
    fence = "`" * (longest + 1)
    name = "" if language in (None, "unknown") else _NOT_IN_LANGUAGE.sub("", language)[:40]
    newline = "" if text.endswith("\n") else "\n"
    return f"{fence}{name}\n{text}{newline}{fence}"


def quoted(title: str, text: str) -> str:
    """Return `text`, which the model wrote beside its answer, as a quotation with a title; empty text stays empty."""
    if not text.strip():
        return ""
    lines = text.strip().split("\n")
    return "\n".join([f"> **{title}**", ">", *(f"> {line}".rstrip() for line in lines)])


def joined(*parts: str) -> str:
    """Return the parts that are not empty as paragraphs."""
    return "\n\n".join(part for part in parts if part)


def parse_json(text: str, where: str = "") -> Any:
    """Return what `text` holds; `where` names the line that it is, when it is one of many.

    Raises:
        UsageError: It is no JSON, names a key twice, or is nested too deeply.

    """
    try:
        return read_json(text, max_depth=MAX_DEPTH, object_pairs_hook=_unique, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        raise refuse(where or f"line {error.lineno}", f"no JSON: {error.msg} at column {error.colno}") from None
    except ValueError as error:  # a key that is there twice, a number of thousands of digits, nested too deeply
        raise refuse(where or "the file", str(error)) from None


def load_json(text: str) -> Any:
    """Return what a text inside of a message holds; raise ValueError when that is no JSON, or can't be stored."""
    try:
        found = read_json(text, max_depth=MAX_DEPTH)
        check_storable("the text", found)
    except UsageError as error:
        raise ValueError(str(error)) from None
    return found


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no number in JSON")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        [(twice, _)] = Counter(name for name, _ in pairs).most_common(1)
        raise ValueError(f"the key {twice[:80]!r} is there twice in one object")
    return found
