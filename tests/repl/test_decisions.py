"""Which keys decide on a call, and which do not."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from chatcli.events import ApprovalRequested, Event, Notice
from chatcli.rendering.display import LinesShown
from chatcli.repl.decisions import read_decisions, read_key


class Typist:
    """Types one text after the other, then leaves."""

    def __init__(self, *texts: str, lines: tuple[str, ...] = ()) -> None:
        self._texts = [*texts, ""]
        self._lines = [*lines, ""]
        self.unread_texts: list[str] = []
        self.asked: list[str] = []

    @contextmanager
    def single_keys(self) -> Iterator[None]:
        yield

    async def keys(self) -> str:
        self._last = self._texts.pop(0)
        return self._last

    def unread(self) -> None:
        self.unread_texts.append(self._last)

    async def line(self, question: str, *, default: str = "") -> str | None:
        self.asked.append(default)
        return self._lines.pop(0) or None


def request(*names: str, **limits: Any) -> ApprovalRequested:
    actions = [{"name": name, "args": {"what": "x"}} for name in names]
    reviews = [{"action_name": name, "scopes": ["thread", "always"], **limits} for name in names]
    return ApprovalRequested("i", {"action_requests": actions, "review_configs": reviews})


def decided(typist: Typist, asked: ApprovalRequested, shown: list[Event] | None = None) -> Any:
    events: list[Event] = [] if shown is None else shown
    text = asyncio.run(read_decisions(typist, events.append, asked))
    return None if text is None else json.loads(text)


@pytest.mark.parametrize(
    ("typed", "decision"),
    [
        ("y", {"type": "approve"}),
        ("y\r", {"type": "approve"}),
        ("t", {"type": "approve", "scope": "thread"}),
        ("a", {"type": "approve", "scope": "always"}),
        ("n", {"type": "reject"}),
    ],
)
def test_a_key_decides(typed: str, decision: dict[str, Any]) -> None:
    assert decided(Typist(typed), request("weigh")) == [decision]
    assert decided(Typist("\r", "\x1b[A", "\n", "\x1by", "\t", typed), request("weigh")) == [decision]


@pytest.mark.parametrize(
    "typed", ["", "\x03", "\x04", "\x1b", "\r", "\n", "\x1b[A", "\x1by", "\x1b\r", "\x1bOP", "\x00"]
)
def test_no_other_key_decides(typed: str) -> None:
    typist = Typist(typed)
    assert decided(typist, request("weigh")) is None
    assert typist.unread_texts == []


@pytest.mark.parametrize("typed", ["", "\x03", "\x04", "\x1b"])
def test_a_key_after_the_user_left_decides_nothing(typed: str) -> None:
    assert decided(Typist(typed, "y"), request("weigh")) is None


@pytest.mark.parametrize("typed", ["Y", "q", "yy", "yes", "approve\r", "/undo", "\ny\n", "\x1b[Ay\ny", "1", "é"])
def test_words_begin_a_line(typed: str) -> None:
    typist = Typist(typed)
    assert decided(typist, request("weigh")) is None
    assert typist.unread_texts == [typed]


def test_each_call_is_shown_and_decided_on_alone_and_none_without_the_others() -> None:
    shown: list[Event] = []
    decisions = decided(Typist("y", "n", "t"), request("a", "b", "c"), shown)
    assert [decision["type"] for decision in decisions] == ["approve", "reject", "approve"]
    asked = [event.lines[:2] for event in shown if isinstance(event, LinesShown)][::2]
    assert [[line for line, _ in lines] for lines in asked] == [
        ["call 1 of 3:", 'a(what="x")'],
        ["call 2 of 3:", 'b(what="x")'],
        ["call 3 of 3:", 'c(what="x")'],
    ]
    assert decided(Typist("y", "\x03"), request("a", "b")) is None


def test_what_was_decided_is_told_and_the_problem_of_an_earlier_answer_once() -> None:
    shown: list[Event] = []
    asked = request("a", "b", "c")
    asked.payload["problem"] = "no number"
    decided(Typist("y", "n", "a"), asked, shown)
    told = [event.text for event in shown if isinstance(event, Notice)]
    assert told == ["approved", "refused", "approved, always"]
    lines = [line for event in shown if isinstance(event, LinesShown) for line, _ in event.lines]
    assert (lines[0], lines.count("error: no number")) == ("error: no number", 1)


@pytest.mark.parametrize(
    ("typed", "key"), [("\r", "n"), ("\n", "n"), ("y", "y"), ("\x1b", ""), ("", ""), ("yes", ""), ("\x1b[A", "")]
)
def test_enter_alone_is_the_default(typed: str, key: str) -> None:
    shown: list[Event] = []
    assert asyncio.run(read_key(Typist(typed), shown.append, {"y": "yes", "n": "no"}, default="n")) == key


def test_only_what_the_request_allows_is_offered() -> None:
    shown: list[Event] = []
    asked = request("a", allowed_decisions=["approve", "reject"], scopes=[])
    typist = Typist("t")
    assert decided(typist, asked, shown) is None
    assert typist.unread_texts == ["t"]
    [*_, offered] = [event for event in shown if isinstance(event, LinesShown)]
    assert offered.lines == [("Call the tool? y once, n no", "bold")]
    typist = Typist("y")
    assert decided(typist, request("a", allowed_decisions=["respond"])) is None
    assert typist.unread_texts == []  # no key was read


def test_an_edit_asks_for_arguments_until_they_are_an_object() -> None:
    typist = Typist("e", lines=("[1]", '{"what": "y"}'))
    edited = {"type": "edit", "edited_action": {"name": "a", "args": {"what": "y"}}}
    assert decided(typist, request("a")) == [edited]
    assert typist.asked == ['{"what": "x"}', "[1]"]
    assert decided(Typist("e", "n"), request("a")) == [{"type": "reject"}]
