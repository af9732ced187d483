"""Receiving an answer: how long a server may keep silent or go on, and which failures are tried again."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from email.utils import formatdate
from typing import Any

import httpx2
import openai
import pytest
from langchain_core.language_models.fake_chat_models import FakeListChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage

from chatcli.errors import CutAnswerError, NetworkError
from chatcli.graphs.chat import receive as module
from chatcli.graphs.chat.receive import MOST_CHARACTERS, receive, retry_after
from chatcli.models.errors import BrokenAnswerError
from chatcli.models.model import Limits, Model
from chatcli.models.names import ModelName
from tests.waiting import WAIT_SECONDS

MODEL = Model(ModelName("openai", "m"), FakeListChatModel(responses=[]), Limits(), address="http://server")
END = AIMessageChunk(content="", response_metadata={"finish_reason": "stop"})
Step = BaseMessage | Exception | float
"""A piece, a failure, or seconds that pass."""


def failure(status: int, **headers: str) -> Exception:
    response = httpx2.Response(status, headers=headers, request=httpx2.Request("POST", "http://server"))
    return openai.APIStatusError("no", response=response, body=None)


class Script:
    """Streams each of `attempts` in turn, on a clock that only its steps move."""

    def __init__(self, *attempts: Sequence[Step]) -> None:
        self.attempts = attempts
        self.asked = 0
        self.notes: list[str] = []

    async def _stream(self) -> AsyncIterator[BaseMessage]:
        self.asked += 1
        for step in self.attempts[self.asked - 1]:
            if isinstance(step, BaseMessage):
                yield step
            elif isinstance(step, Exception):
                raise step
            else:
                self.passed += step
                for _ in range(5):  # the loop looks at the clock
                    await asyncio.sleep(0)

    async def run(self, model: Model = MODEL, seconds: float = WAIT_SECONDS) -> AIMessage:
        loop = asyncio.get_running_loop()
        real: Callable[[], float] = loop.time
        self.passed = 0.0
        loop.time = lambda: real() + self.passed  # type: ignore[method-assign]
        try:
            return await receive(self._stream, model, seconds=seconds, report=self.notes.append)
        finally:
            del loop.time


def piece(text: str = "", **fields: Any) -> AIMessageChunk:
    return AIMessageChunk(content=text, **fields)


@pytest.mark.parametrize(
    ("said", "ends"),
    [
        (piece("word"), True),
        (piece(additional_kwargs={"reasoning_content": "Hm"}), True),
        (piece(tool_call_chunks=[{"name": None, "args": "{", "id": None, "index": 0}]), True),
        (piece(), False),
        (AIMessageChunk(content=[{"type": "text", "text": "", "index": 0, "id": "block"}]), False),
    ],
    ids=["text", "reasoning", "a call", "nothing", "labels alone"],
)
async def test_a_server_has_to_bring_something_new_in_time(said: AIMessageChunk, *, ends: bool) -> None:
    model = replace(MODEL, silence=1000.0)
    steps: list[Step] = [600.0, said]
    script = Script([*steps * 3, 600.0, END])
    if ends:
        await script.run(model)
    else:
        with pytest.raises(TimeoutError):
            await script.run(model)
    assert script.asked == 1


@pytest.mark.parametrize(("max_tokens", "most"), [(None, MOST_CHARACTERS), (10, 64_000 + 2560)])
async def test_an_answer_ends_at_some_length(max_tokens: int | None, most: int) -> None:
    model = replace(MODEL, max_tokens=max_tokens)
    assert len((await Script([piece("x" * most), END]).run(model)).text) == most
    script = Script([piece("x" * most), piece("y"), END])
    with pytest.raises(CutAnswerError, match="does not end its answer"):
        await script.run(model)
    assert script.asked == 1


async def test_a_stream_without_anything_is_a_broken_answer() -> None:
    with pytest.raises(BrokenAnswerError):
        await Script([]).run()


async def test_an_answer_that_came_in_part_is_not_asked_for_again() -> None:
    for error in (ConnectionResetError("reset"), failure(500)):
        script = Script([piece("Hel"), error], [piece("Hello"), END])
        with pytest.raises((BrokenAnswerError, openai.APIStatusError)):
            await script.run()
        assert (script.asked, script.notes) == (1, [])


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (failure(429), "the rate limit is reached"),
        (failure(408), "the server gave up waiting for the request"),
        (failure(409), "the server is busy with another request"),
        (failure(500), "the server failed"),
        (ConnectionRefusedError("refused"), "the server can't be reached"),
    ],
    ids=lambda value: str(value),
)
async def test_a_failure_that_may_pass_is_tried_four_times(
    monkeypatch: pytest.MonkeyPatch, error: Exception, reason: str
) -> None:
    monkeypatch.setattr(module, "_FIRST_PAUSE", 0.0)
    script = Script(*[[error]] * 3, [piece("Hello"), END])
    assert (await script.run()).text == "Hello"
    assert script.notes == [f"openai:m: {reason}; asking again in 0 s"] * 3
    script = Script(*[[error]] * 9)
    with pytest.raises(type(error)):
        await script.run()
    assert script.asked == 4


@pytest.mark.parametrize("error", [failure(400), failure(401), TimeoutError("late"), httpx2.ReadTimeout("late")])
async def test_another_failure_is_final(error: Exception) -> None:
    script = Script(*[[error]] * 4)
    with pytest.raises(type(error)):
        await script.run()
    assert (script.asked, script.notes) == (1, [])


async def test_the_local_model_is_asked_once() -> None:
    script = Script(*[[failure(500)]] * 4)
    with pytest.raises(openai.APIStatusError):
        await script.run(replace(MODEL, name=ModelName("local", "m")))
    assert script.asked == 1


async def test_the_pause_is_the_servers_as_long_as_there_is_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_FIRST_PAUSE", 10_000.0)
    script = Script([failure(429, **{"retry-after": "0"})], [piece("Hello"), END])
    assert (await script.run()).text == "Hello"
    assert script.notes[0].endswith("asking again in 0 s")
    script = Script([failure(429, **{"retry-after": "70"})])
    with pytest.raises(NetworkError, match="asks to wait 70 seconds"):
        await script.run(seconds=60)
    assert script.asked == 1


def test_a_date_is_the_seconds_until_then() -> None:
    assert retry_after(formatdate(4_000_000_000, usegmt=True)) < 4_000_000_000 - 1_700_000_000  # type: ignore[operator]
