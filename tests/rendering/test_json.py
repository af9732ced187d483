import io
import json
from typing import Any

import pytest

from chatcli.errors import ContextError, NetworkError
from chatcli.events import (
    Event,
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
from chatcli.rendering.display import ScreenCleared
from chatcli.rendering.json import JsonLinesRenderer, JsonRenderer
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
