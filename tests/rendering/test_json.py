import io
import json
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

import pytest

from chatcli.errors import ContextError, NetworkError
from chatcli.events import (
    ApprovalRequested,
    Event,
    FlowAnswer,
    Listing,
    Notice,
    Progress,
    ReasoningDelta,
    TextDelta,
    TurnFailed,
    TurnInterrupted,
    TurnStarted,
    Usage,
)
from chatcli.message import Cited, MessageShown
from chatcli.rendering.display import ScreenCleared
from chatcli.rendering.json import JsonLinesRenderer, JsonRenderer, message_fields
from tests.rendering.screen import finished

Kind = type[JsonRenderer] | type[JsonLinesRenderer]


def show(kind: Kind, *events: Event) -> tuple[list[Any], str]:
    out, err = io.StringIO(), io.StringIO()
    renderer = kind(out, err)
    for event in events:
        renderer.render(event)
    renderer.close()
    assert out.getvalue().isascii()
    assert "\x1b" not in out.getvalue()
    return [json.loads(line) for line in out.getvalue().splitlines()], err.getvalue()


def test_a_turn_is_one_object() -> None:
    objects, err = show(
        JsonRenderer, TurnStarted("t1", "m"), TextDelta("Hé\x1b"), Notice("n"), finished("Hé\x1b", Usage(1, 2, 3))
    )
    assert err == "n\n"
    assert objects == [
        {
            "thread_id": "t1",
            "checkpoint_id": "c1",
            "model": "fake:model",
            "role": "assistant",
            "content": "Hé\x1b",
            "finish_reason": "stop",
            "interrupted": False,
            "usage": {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3},
            "elapsed_ms": 812,
            "messages_in_context": 3,
            "messages_in_thread": 4,
        }
    ]


@pytest.mark.parametrize(
    ("brought", "fields"),
    [
        ({"finish_reason": "length"}, {"finish_reason": "length"}),
        ({"output": 0}, {"output": 0}),
        ({"memory_used": ("likes tea",)}, {"memory_used": ["likes tea"]}),
        ({"langflow": FlowAnswer("s", "AI", "a")}, {"langflow": {"session_id": "s", "sender": "AI", "text": "a"}}),
        ({"cited": Cited((), (9,))}, {"citations": [], "unknown_citations": 1}),
    ],
)
def test_an_object_has_what_its_turn_brought(brought: dict[str, Any], fields: dict[str, Any]) -> None:
    without, with_it = show(JsonRenderer, finished("a"), replace(finished("a"), **brought))[0]
    assert with_it == {**without, **fields}


@pytest.mark.parametrize("kind", [JsonRenderer, JsonLinesRenderer])
@pytest.mark.parametrize(
    "end", [TurnFailed("t", "m", "a [9]", NetworkError("down")), TurnInterrupted("t", "c", "m", "a [9]", 5)]
)
def test_a_turn_that_was_cut_off_says_what_it_cites(kind: Kind, end: TurnFailed | TurnInterrupted) -> None:
    [ended], _ = show(kind, replace(end, cited=Cited((), (9,))))
    assert (ended["content"], ended["citations"], ended["unknown_citations"]) == ("a [9]", [], 1)


def test_requests_are_those_of_their_turn() -> None:
    request = ApprovalRequested("i", {"path": PurePosixPath("a")}, among=2)
    asked = {"interrupt_id": "i", "payload": {"path": "a"}}
    waits, other = show(JsonRenderer, request, finished("a"), finished("b"))[0]
    assert waits["approvals"] == [asked]
    assert "approvals" not in other
    assert show(JsonLinesRenderer, request, TextDelta("a"))[0] == [
        {"type": "approval_requested", **asked},
        {"type": "text_delta", "text": "a"},
    ]


def test_a_message_of_a_thread_has_its_citations() -> None:
    message = MessageShown("assistant", "half", interrupted=True, cited=Cited((), (9,)))
    shown = {"role": "assistant", "content": "half", "interrupted": True}
    assert message_fields(message) == {**shown, "citations": [], "unknown_citations": 1}


@pytest.mark.parametrize(
    ("kind", "options", "lines"),
    [
        (JsonRenderer, {}, "plain\nwarning: odd\nwarning: grave\nerror: bad\n"),
        (JsonRenderer, {"quiet": True}, "warning: grave\nerror: bad\n"),
        (JsonLinesRenderer, {}, "warning: grave\n"),
    ],
)
def test_notices_are_lines_beside_the_objects(kind: Kind, options: dict[str, bool], lines: str) -> None:
    err = io.StringIO()
    renderer = kind(io.StringIO(), err, **options)
    passing, urgent = Notice("in a log", passing=True), Notice("grave", "warning", urgent=True)
    for event in (Notice("plain\x1b[2J"), Notice("odd", "warning"), passing, urgent, Notice("bad", "error")):
        renderer.render(event)
    assert err.getvalue() == lines


@pytest.mark.parametrize("kind", [JsonRenderer, JsonLinesRenderer])
def test_an_object_is_written_at_once(kind: Kind) -> None:
    written = io.BytesIO()
    out = io.TextIOWrapper(written)
    kind(out, io.StringIO()).render(finished("a"))
    assert json.loads(written.getvalue())["content"] == "a"


def test_a_failure_is_one_object_and_one_line() -> None:
    objects, err = show(JsonRenderer, TurnFailed("t1", "m", "", NetworkError("timed\x1b[31m out")))
    error = {"code": "network", "message": "timed\x1b[31m out", "retryable": True}
    assert objects == [{"thread_id": "t1", "error": error}]
    assert err == "error: timed out\n"


def test_a_failure_keeps_what_had_arrived() -> None:
    failure = TurnFailed("t1", "m", "half", ContextError("too long", remedy="/compact"))
    objects, err = show(JsonRenderer, failure)
    assert objects[0]["content"] == "half"
    assert err == "error: too long\n/compact\n"


def test_an_interrupted_turn_is_a_failure_with_its_text() -> None:
    objects, err = show(JsonRenderer, TextDelta("ha"), TurnInterrupted("t1", "c1", "m", "ha", 5))
    error = {"code": "interrupted", "message": "interrupted", "retryable": False}
    assert objects == [{"thread_id": "t1", "error": error, "content": "ha"}]
    assert err == "error: interrupted\n"


def test_a_listing_is_an_array() -> None:
    objects, _ = show(JsonRenderer, Listing("Threads", ("ID", "Last used"), (("a", "now"),)))
    assert objects == [[{"id": "a", "last_used": "now"}]]


def test_lines_are_the_events_as_they_happen() -> None:
    failure = TurnFailed("t1", "m", "x", NetworkError("down"))
    objects, err = show(
        JsonLinesRenderer,
        TurnStarted("t1", "m"),
        ReasoningDelta("hm"),
        TextDelta("a\ud800"),
        Notice("n", "warning"),
        finished("a"),
        TurnInterrupted("t1", "c1", "m", "a", 5),
        failure,
    )
    assert [line["type"] for line in objects] == [
        "turn_started",
        "reasoning_delta",
        "text_delta",
        "notice",
        "turn_finished",
        "turn_interrupted",
        "turn_failed",
    ]
    assert objects[3] == {"type": "notice", "text": "n", "level": "warning"}
    assert objects[4]["usage"] == {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0}
    assert objects[6]["error"] == {"code": "network", "message": "down", "retryable": True}
    assert err == "error: down\n"


def test_events_that_the_contract_does_not_name_are_left_out() -> None:
    objects, err = show(
        JsonLinesRenderer,
        Progress("loading"),
        Progress("loading", finished=True),
        Listing("", ("a",), ()),
        ScreenCleared(),
    )
    assert objects == []
    assert err == "loading...\nloading: done\n"


class _BrokenPipe(io.StringIO):
    def write(self, text: str) -> int:
        raise BrokenPipeError


@pytest.mark.parametrize("kind", [JsonRenderer, JsonLinesRenderer])
def test_a_broken_pipe_is_the_callers_to_handle(kind: Kind) -> None:
    with pytest.raises(BrokenPipeError):
        kind(_BrokenPipe(), io.StringIO()).render(finished())
