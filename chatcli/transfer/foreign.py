"""What the readers of other programs' files share: strict JSON, a list of conversations, and Markdown."""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from chatcli.errors import UsageError
from chatcli.runtime import parse as nested
from chatcli.runtime.parse import read_json
from chatcli.transfer.document import ThreadDocument, check_storable, refusal, refuse

MAX_DEPTH = 2 * nested.MAX_DEPTH
"""Levels of nesting in a file. It holds arguments of tools some levels down, and these may use the whole limit."""

_NOT_IN_LANGUAGE = re.compile(r"[^\w+#.-]")
_BACKTICKS = re.compile("`{3,}")


class Export(BaseModel):
    """A part of an export. Unknown fields are ignored, since other programs add some from time to time."""

    model_config = ConfigDict(extra="ignore", strict=True)


Conversation = TypeVar("Conversation", bound=Export)


def is_list_with(data: object, key: str) -> bool:
    """Return whether `data` is a list of objects that all have `key`, as a list of conversations is."""
    return isinstance(data, list) and bool(data) and all(isinstance(item, dict) and key in item for item in data)


def read_conversations(
    data: Sequence[Mapping[str, Any]],
    model: type[Conversation],
    as_document: Callable[[str, Conversation], ThreadDocument],
    updated_at: Callable[[Conversation], float | str],
) -> list[ThreadDocument]:
    """Return the threads of the conversations in `data`, checked against `model`, in the order of `sort_documents`."""
    # `as_document` returns the thread of a conversation, whose index in `data` is its first argument; `updated_at`
    # returns when a conversation was last used.
    found: list[tuple[float | str, ThreadDocument]] = []
    for number, item in enumerate(data):
        where = f"[{number}]"
        check_storable(where, dict(item))
        try:
            conversation = model.model_validate(item)
        except ValidationError as error:
            raise refusal(f"{where}.", error) from None
        found.append((updated_at(conversation), as_document(where, conversation)))
    return sort_documents(found)


def sort_documents(found: Iterable[tuple[Any, ThreadDocument]]) -> list[ThreadDocument]:
    """Return the threads in `found` that have messages, sorted by the time that stands before each of them."""
    with_messages = [(used_at, document) for used_at, document in found if document.messages]
    return [document for _, document in sorted(with_messages, key=lambda pair: pair[0])]


def fenced(text: str, language: str | None = None) -> str:
    """Return `text` as a code block with a fence longer than any in the text; return empty text unchanged."""
    if not text:
        return ""
    longest = max((len(marks) for marks in _BACKTICKS.findall(text)), default=2)
    fence = "`" * (longest + 1)
    name = "" if language in (None, "unknown") else _NOT_IN_LANGUAGE.sub("", language)[:40]
    newline = "" if text.endswith("\n") else "\n"
    return f"{fence}{name}\n{text}{newline}{fence}"


def quoted(title: str, text: str) -> str:
    """Return `text` as a quotation with a title; return an empty string if it is blank."""
    # This is for what the model wrote besides its answer, such as its thoughts.
    if not text.strip():
        return ""
    lines = text.strip().split("\n")
    return "\n".join([f"> **{title}**", ">", *(f"> {line}".rstrip() for line in lines)])


def joined(*parts: str) -> str:
    """Return the parts, except for empty ones, as paragraphs."""
    return "\n\n".join(part for part in parts if part)


def parse_json(text: str, where: str = "") -> Any:
    """Return the value in the JSON `text`, without keys twice; `where` names its line if the file has more lines."""
    try:
        return read_json(text, max_depth=MAX_DEPTH, strict=True, object_pairs_hook=_unique)
    except json.JSONDecodeError as error:
        raise refuse(where or f"line {error.lineno}", f"not valid JSON: {error.msg} at column {error.colno}") from None
    except ValueError as error:  # a duplicate key, a number with thousands of digits, or too deep nesting
        raise refuse(where or "the file", str(error)) from None


def load_json(text: str) -> Any:
    """Return the value in the JSON `text` of a message; raise ValueError if it is not valid, or can't be stored."""
    try:
        found = read_json(text, max_depth=MAX_DEPTH)
        check_storable("the text", found)
    except UsageError as error:
        raise ValueError(str(error)) from None
    return found


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        [(twice, _)] = Counter(name for name, _ in pairs).most_common(1)
        raise ValueError(f"the key {twice[:80]!r} appears twice in one object")
    return found
