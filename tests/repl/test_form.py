"""A form of an MCP server, filled in field by field."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from chatcli.events import ApprovalRequested, Event, Notice
from chatcli.message import FORM
from chatcli.repl.decisions import read_form_answer

FIELDS = {
    "name": {"type": "string", "title": "Full\x1b[31m name"},
    "age": {"type": "integer"},
    "size": {"type": "string", "enum": ["s", "l"], "default": "s"},
}


class Typist:
    """Types one line after the other, then leaves; keys are taken from the same texts."""

    def __init__(self, *lines: str) -> None:
        self._lines: list[str | None] = [*lines, None]
        self.asked: list[str] = []

    @contextmanager
    def single_keys(self) -> Iterator[None]:
        yield

    async def keys(self) -> str:
        return self._lines.pop(0) or ""

    def unread(self) -> None:
        pass

    async def line(self, question: str, *, default: str = "") -> str | None:
        assert not default
        self.asked.append(question)
        return self._lines.pop(0)


def answered(typist: Typist, fields: Any, shown: list[Event] | None = None) -> Any:
    schema = {"type": "object", "properties": fields, "required": ["name", "age"]}
    request = ApprovalRequested("i", {"type": FORM, "server": "fake", "message": "?", "requested_schema": schema})
    text = asyncio.run(read_form_answer(typist, ([] if shown is None else shown).append, request))
    return None if text is None else json.loads(text)


def test_each_field_is_asked_for_until_it_fits() -> None:
    typist, shown = Typist("Ada", "", "old", "36", ""), list[Event]()
    content = {"name": "Ada", "age": 36, "size": "s"}
    assert answered(typist, FIELDS, shown) == {"action": "accept", "content": content}
    assert typist.asked[0] == "Full<U+001B>[31m name (text; needed): "
    assert typist.asked[-1] == "size (one of s, l; Enter for s): "
    assert shown == [Notice("age is needed", "error"), Notice("age takes a whole number", "error")]


def test_who_leaves_answers_nothing() -> None:
    shown = list[Event]()
    assert answered(Typist("Ada"), FIELDS, shown) is None
    assert shown == [Notice("the server still waits: answer by a JSON object with the fields, or decline")]


def test_a_form_without_fields_is_answered_by_a_key() -> None:
    assert answered(Typist("y"), {}) == {"action": "accept"}
    assert answered(Typist("n"), {}) == {"action": "decline"}
    assert answered(Typist(), {}) is None
    assert answered(Typist("y"), {"name": {"type": "of a later version"}}) == {"action": "accept"}  # as it was stored
