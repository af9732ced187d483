"""What a real MCP server asks while its tool runs: the user's answer, and the model's, reach it; nothing else does.

Before 2026-07-28 the server asks in requests of its own; since then it answers the call with its questions.
"""

import asyncio
import json
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
from mcp import types

from chatcli.conversation.conversation import Conversation
from chatcli.events import (
    WAITING,
    ApprovalRequested,
    Event,
    Notice,
    Progress,
    ToolCallFinished,
    ToolCallStarted,
    TurnFinished,
    TurnInterrupted,
)
from chatcli.sessions.requests import Ask
from chatcli.tools import questions
from chatcli.tools.mcp_host import Host
from tests.conversing import conversing
from tests.fakes.openai_server import FakeOpenAI
from tests.fakes.steps import Answer, Calls, call
from tests.waiting import WAIT_SECONDS, wait_until

both_versions = pytest.mark.parametrize("fake", ["2025-11-25", "2026-07-28"], indirect=True)


@pytest.fixture
def fake(tmp_path: Path, model: FakeOpenAI, mcp_server: dict[str, Any], request: pytest.FixtureRequest) -> FakeOpenAI:
    legacy = {"MCP_LEGACY": "1"} if getattr(request, "param", "") == "2025-11-25" else {}
    server = {**mcp_server, "env": {"MCP_NOTES": str(tmp_path), **legacy}}
    (tmp_path / "servers.json").write_text(json.dumps({"mcpServers": {"fake": server}}))
    return model


def process(fake: FakeOpenAI, *allow: str) -> AbstractAsyncContextManager[Conversation]:
    """Hold a conversation as one run of the program does, at a terminal."""
    return conversing(fake, store="sqlite:///threads.db", mcp_file="servers.json", allow=list(allow))


async def ask(conversation: Conversation, text: str = "go") -> list[Event]:
    return [event async for event in conversation.run(Ask(text, typed=True))]


def requested(events: list[Event]) -> ApprovalRequested:
    """Give the one request that the turn ended with."""
    assert isinstance(events[-1], TurnFinished), events[-1]
    assert events[-1].finish_reason == WAITING
    [request] = [event for event in events if isinstance(event, ApprovalRequested)]
    return request


async def exists(name: str) -> None:
    """Wait until the server has written the note `name`."""
    await asyncio.to_thread(wait_until, Path(name).exists)


def results(events: list[Event]) -> list[str]:
    return [event.content for event in events if isinstance(event, ToolCallFinished)]


@both_versions
async def test_a_form_is_asked_for_until_it_fits_while_other_calls_of_the_server_go_on(fake: FakeOpenAI) -> None:
    fake.script(Calls([("register", {}), ("add", {"a": 1, "b": 2})]), Answer("done"))

    async with process(fake) as conversation:
        events = await ask(conversation)
        form = requested(events)
        assert form.payload["server"] == "fake"
        assert form.response_schema is not None
        assert set(form.response_schema["properties"]) == {"name", "age", "size", "member"}
        again = requested(await ask(conversation, '{"name": "A", "age": 3}'))
        assert "Full name has minLength 2" in again.payload["problem"]
        again = requested(await ask(conversation, "Ada"))
        assert "JSON object" in again.payload["problem"]
        ended = await ask(conversation, '{"name": "Ada", "age": 36}')
        assert isinstance(ended[-1], TurnFinished)
        assert ended[-1].content == "done"
    registered, added = fake.requests[1].results
    assert json.loads(registered) == ["accept", {"name": "Ada", "age": 36, "size": "small", "member": False}]
    assert added == "3"
    assert await asyncio.to_thread(Path("answered").read_text) == "accept\n"  # the call ran once


@pytest.mark.parametrize(
    ("params", "outcome", "said"),
    [
        (
            types.ElicitRequestFormParams(message="Who?", requested_schema={"type": "object", "properties": {}}),
            types.ElicitResult(action="cancel"),
            "a form",
        ),
        (
            types.CreateMessageRequestParams(
                messages=[types.SamplingMessage(role="user", content=types.TextContent(type="text", text="Why?"))],
                max_tokens=10,
            ),
            types.ErrorData(code=-1, message="the user refused"),
            "a question to the model",
        ),
    ],
)
async def test_a_question_that_is_never_answered_does_not_hold_its_call(
    monkeypatch: pytest.MonkeyPatch, params: Any, outcome: object, said: str
) -> None:
    monkeypatch.setattr(questions, "ANSWER_SECONDS", 0)
    notices: list[Progress | Notice] = []
    host = Host("fake", notices.append, can_ask=True)
    asks = host.elicit if isinstance(params, types.ElicitRequestFormParams) else host.sample

    assert (await host.inbox.begin(asks(None, params)).task) == outcome
    [notice] = notices
    assert isinstance(notice, Notice)
    assert notice.text == f"{said} of the MCP server fake was not answered within 10 minutes: it was cancelled"


@pytest.mark.parametrize("word", ["decline", "cancel"])
async def test_a_form_is_declined_by_a_word(fake: FakeOpenAI, word: str) -> None:
    fake.script(call("register"), Answer("done"))

    async with process(fake) as conversation:
        requested(await ask(conversation))
        assert [json.loads(each) for each in results(await ask(conversation, word))] == [[word, None]]


async def test_an_answer_in_a_later_process_is_asked_for_again_since_its_call_is_gone(fake: FakeOpenAI) -> None:
    fake.script(call("register"), Answer("done"))

    async with process(fake) as conversation:
        requested(await ask(conversation))
    async with process(fake) as conversation:
        await (await conversation.session()).pending()  # shown
        requested(await ask(conversation, '{"name": "Ada", "age": 36}'))
        assert '"Eve"' in results(await ask(conversation, '{"name": "Eve", "age": 36}'))[0]


@both_versions
async def test_the_model_answers_a_server_only_if_the_user_agrees_to_what_is_shown(fake: FakeOpenAI) -> None:
    fake.script(call("think", question="why?"), Answer("because"), call("think", question="how?"), Answer("done"))

    async with process(fake) as conversation:
        asked = requested(await ask(conversation)).payload
        assert asked["action_requests"][0]["args"] == {"messages": [{"system": "Be brief."}, {"human": "why?"}]}
        assert len(fake.requests) == 1  # nothing was sent yet
        events = await ask(conversation, "approve")
        assert results(events) == ["openai:gpt-fake says because"]
        assert [event for event in events if isinstance(event, ToolCallStarted)]
        requested(events)
        assert "failed: the user refused" in results(await ask(conversation, "reject"))[0]
    assert fake.requests[1].messages == [("system", "Be brief."), ("user", "why?")]
    assert len(fake.requests) == 4


@both_versions
async def test_a_call_that_is_stopped_is_given_up_at_its_server(fake: FakeOpenAI) -> None:
    fake.script(call("wait", seconds=600))

    async with asyncio.timeout(WAIT_SECONDS), process(fake) as conversation:
        events = []
        async for event in conversation.run(Ask("go")):
            events.append(event)
            if isinstance(event, ToolCallStarted):
                await exists("waiting")
                conversation.interrupt()
        assert isinstance(events[-1], TurnInterrupted)
        await exists("given_up")


@both_versions
async def test_a_server_that_ends_while_the_user_is_asked_is_noticed_after_the_answer(fake: FakeOpenAI) -> None:
    fake.script(Calls([("register", {}), ("die", {})]), call("add", a=1, b=1), Answer("done"))

    async with asyncio.timeout(WAIT_SECONDS), process(fake) as conversation:
        events = await ask(conversation)
        if isinstance(events[-1], TurnFinished) and events[-1].finish_reason == WAITING:
            events = await ask(conversation, '{"name": "Ada", "age": 36}')
        ended = events[-1]
    assert isinstance(ended, TurnFinished)
    assert ended.content == "done"
    assert fake.requests[2].results[-1] == "2"
