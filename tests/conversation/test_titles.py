"""Titles that the model writes: after the first answer, while nothing else is asked, once a thread."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from threading import Event as Flag
from typing import Any

import pytest

from chatcli.conversation import titles
from chatcli.conversation.conversation import Conversation
from chatcli.events import Event, TurnFailed, TurnFinished, TurnInterrupted
from chatcli.models.prices import spent
from chatcli.sessions.requests import Ask, Retry
from tests.conversing import conversing
from tests.fakes.openai_server import FakeOpenAI
from tests.fakes.steps import Answer, Calls, Fail, Gated, Hang, TokenCount
from tests.waiting import WAIT_SECONDS

ANSWER = Answer("Because of Rayleigh.")
TITLE = Answer('"Why the Sky Is Blue"', usage=TokenCount(100, 10))


@dataclass
class Prompt:
    """A prompt at which questions are typed; it knows when the writing of a title has ended."""

    fake: FakeOpenAI
    conversation: Conversation
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    async def ask(self, text: str) -> Event:
        self.ended.clear()
        last = [event async for event in self.conversation.run(Ask(text))][-1]
        assert isinstance(last, TurnFinished | TurnFailed | TurnInterrupted)
        await self.conversation.begin_title(last)
        return last

    async def asked_and_titled(self, text: str) -> str:
        """Ask, wait until no title is being written, and return the title."""
        await self.ask(text)
        await self.ended.wait()
        return self.title

    @property
    def title(self) -> str:
        summary = self.conversation.backend.threads().find(self.conversation.thread_id)
        return "" if summary is None else summary.title

    async def title_requested(self, count: int) -> None:
        await asyncio.to_thread(self.fake.wait_for_requests, count)


@pytest.fixture
def fake(model: FakeOpenAI, monkeypatch: pytest.MonkeyPatch) -> FakeOpenAI:
    monkeypatch.setattr(titles, "IDLE_SECONDS", 0)
    return model


@asynccontextmanager
async def at_prompt(fake: FakeOpenAI, thread: str = "t", **options: Any) -> AsyncIterator[Prompt]:
    """Give the prompt of one run of the program."""
    async with (
        asyncio.timeout(WAIT_SECONDS),
        conversing(fake, thread, **{"titles": "model", **options}) as conversation,
    ):
        prompt = Prompt(fake, conversation)
        conversation.title_writer.on_end = prompt.ended.set
        yield prompt


async def test_the_first_answer_gets_a_title_and_later_ones_none(fake: FakeOpenAI) -> None:
    async with at_prompt(fake) as prompt:
        fake.script(ANSWER, TITLE)
        assert await prompt.asked_and_titled("why is it blue?") == "Why the Sky Is Blue"
        await prompt.ask("and red?")
        await prompt.ask("and green?")
        assert prompt.title == "Why the Sky Is Blue"
    assert len(fake.requests) == 4
    [(role, asked)] = fake.requests[1].messages
    assert (role, "why is it blue?" in asked, "Because of Rayleigh." in asked) == ("user", True, True)
    assert fake.requests[1].tools == []

    async with at_prompt(fake) as prompt:
        assert await prompt.asked_and_titled("and now?") == "Why the Sky Is Blue"
    assert len(fake.requests) == 5


@pytest.mark.parametrize(
    "options",
    [{"titles": "auto"}, {"titles": "question"}, {"no_save": True}, {"store": "memory:"}],
    ids=["auto", "question", "no-save", "memory"],
)
async def test_nothing_is_asked_where_the_user_did_not_choose_it_or_keeps_nothing(
    fake: FakeOpenAI, options: dict[str, Any]
) -> None:
    async with at_prompt(fake, **options) as prompt:
        await prompt.ask("one")
        await prompt.ask("two")
    assert [request.last for request in fake.requests] == ["one", "two"]


@pytest.mark.parametrize(
    "step", [Fail(500, {"error": {"message": "no"}}), Fail(429, {"error": {"message": "no"}}), Answer("''")]
)
async def test_a_request_that_fails_is_not_sent_again(fake: FakeOpenAI, step: Any) -> None:
    async with at_prompt(fake) as prompt:
        fake.script(ANSWER, step)
        assert await prompt.asked_and_titled("why is it blue?") == "why is it blue?"
        await prompt.ask("again")
        assert prompt.title == "why is it blue?"
    assert len(fake.requests) == 3


async def test_a_turn_stops_the_request_and_a_killed_process_leaves_no_second_one(fake: FakeOpenAI) -> None:
    async with at_prompt(fake) as prompt:
        fake.script(ANSWER, Hang())
        await prompt.ask("why is it blue?")
        await prompt.title_requested(2)
        await prompt.ask("and red?")  # it would wait for ever behind that request
        await asyncio.to_thread(fake.wait_for_disconnects, 1)
        await prompt.ask("and green?")
    assert len(fake.requests) == 4

    async with at_prompt(fake, thread="other") as prompt:
        fake.script(ANSWER, Hang())
        await prompt.ask("hello")
        await prompt.title_requested(6)
    async with at_prompt(fake, thread="other") as prompt:
        assert await prompt.asked_and_titled("again") == "hello"
        assert len([turn async for turn in (await prompt.conversation.session()).run(Retry())])
    assert len(fake.requests) == 8


async def test_what_is_typed_ahead_goes_first(fake: FakeOpenAI, monkeypatch: pytest.MonkeyPatch) -> None:
    async with at_prompt(fake) as prompt:
        monkeypatch.setattr(titles, "IDLE_SECONDS", 1000)
        await prompt.ask("one")
        monkeypatch.setattr(titles, "IDLE_SECONDS", 0)
        fake.script(ANSWER, TITLE)
        assert await prompt.asked_and_titled("two") == "Why the Sky Is Blue"
    assert [request.last for request in fake.requests[:2]] == ["one", "two"]
    assert "Question: one" in fake.requests[2].last


async def test_a_title_of_the_user_stays(fake: FakeOpenAI) -> None:
    gate = Flag()

    async with at_prompt(fake) as prompt:
        fake.script(ANSWER, Gated("Why", gate, " the Sky Is Blue"))
        await prompt.ask("why is it blue?")
        await prompt.title_requested(2)
        prompt.conversation.backend.threads().rename("t", "Mine")
        gate.set()
        await prompt.ended.wait()
        assert prompt.title == "Mine"
    async with at_prompt(fake, thread="named") as prompt:
        last = [event async for event in prompt.conversation.run(Ask("hello"))][-1]
        assert isinstance(last, TurnFinished)
        prompt.conversation.backend.threads().rename("named", "Mine, too")
        await prompt.conversation.begin_title(last)
        await prompt.ended.wait()
        assert prompt.title == "Mine, too"
    assert len(fake.requests) == 3


async def test_a_turn_that_waits_or_fails_gets_no_title_yet(fake: FakeOpenAI) -> None:
    async with at_prompt(fake, tools=True) as prompt:
        fake.script(Fail(400, {"error": {"message": "no"}}), Calls([("run_shell", {"command": "true"})]))
        await prompt.ask("why?")
        await prompt.ask("why is it blue?")
        assert len(fake.requests) == 2
        fake.script(ANSWER, TITLE)
        last = [event async for event in prompt.conversation.run(Ask("approve", typed=True))][-1]
        assert isinstance(last, TurnFinished)
        await prompt.conversation.begin_title(last)
        await prompt.ended.wait()
        assert prompt.title == "Why the Sky Is Blue"


async def test_what_it_used_counts_with_the_next_answer(fake: FakeOpenAI) -> None:
    async with at_prompt(fake) as prompt:
        fake.script(Answer("a", usage=TokenCount(1, 1)), TITLE, Answer("b", usage=TokenCount(1, 1)))
        await prompt.asked_and_titled("one")
        await prompt.ask("two")
        used = spent(await prompt.conversation.answered())
        assert (used.turns, used.tokens.input, used.tokens.output) == (2, 102, 12)
