"""Sessions on a real LangGraph server: what a turn leaves there, and going back in a thread."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

import pytest

from chatcli.config.settings import Settings
from chatcli.conversation.backend import ServerBackend
from chatcli.conversation.compose import compose
from chatcli.conversation.engine import SessionRequest
from chatcli.conversation.server_engine import ServerEngine
from chatcli.errors import GraphError, NetworkError, UsageError
from chatcli.events import (
    ApprovalRequested,
    Event,
    Notice,
    TextDelta,
    ToolCallFinished,
    ToolCallStarted,
    TurnFailed,
    TurnFinished,
    TurnInterrupted,
)
from chatcli.models.names import ModelName
from chatcli.sessions.requests import Ask, Resume, Retry
from chatcli.sessions.session import Session
from tests.langgraph_server import OtherProgram

FIRST = SessionRequest(True, None, ModelName("langgraph", ""))


@asynccontextmanager
async def open_engine(url: str, assistant: str | None, silence: float | None = None) -> AsyncIterator[ServerEngine]:
    composed = compose(Settings(url=url, assistant=assistant, timeout=silence))
    assert isinstance(composed.backend, ServerBackend)
    engine = await ServerEngine.open(composed.backend, composed)
    try:
        yield engine
    finally:
        await engine.close()


@asynccontextmanager
async def opened(url: str, assistant: str | None = None, silence: float | None = None) -> AsyncIterator[Session]:
    """Give a session on a new thread."""
    async with open_engine(url, assistant, silence) as engine:
        yield await engine.session(f"thread-{secrets.token_hex(4)}", FIRST)


async def ask(session: Session, text: str) -> list[Event]:
    return [event async for event in session.run(Ask(text))]


async def answered(session: Session, text: str) -> str:
    *_, end = await ask(session, text)
    assert isinstance(end, TurnFinished), end
    return end.content


async def stop_when(session: Session, text: str, stop: Callable[[], Any]) -> Event:
    """Ask `text`, call `stop` when the answer begins, and return the turn's end."""
    last: Event | None = None
    async for event in session.run(Ask(text)):
        if isinstance(event, TextDelta) and not isinstance(last, TextDelta):
            await asyncio.to_thread(stop)
        last = event
    assert last is not None
    return last


async def give_up_waiting(session: Session, text: str) -> AsyncIterator[Event]:
    """Ask `text`, and stop the turn as soon as it has to wait for another."""
    async for event in session.run(Ask(text)):
        if isinstance(event, Notice):
            session.interrupt()
        yield event


async def questions(session: Session) -> list[str]:
    return [message.text for message in await session.history() if message.role == "user"]


async def test_turns_are_streamed_and_stored_there(langgraph_server: str, other: OtherProgram) -> None:
    async with opened(langgraph_server) as session:
        assert await session.history() == []
        events = await ask(session, "Hello?")
        assert sum(isinstance(event, TextDelta) for event in events) >= 1
        end = events[-1]
        assert isinstance(end, TurnFinished)
        assert (end.model, end.messages_in_thread) == ("langgraph:echo", 2)
        assert end.content == "You said: Hello? (message 1, somebody)"
        assert "message 3" in await answered(session, "And?")
        (named,) = other.client.threads.search(metadata={"chatcli_thread": session.thread_id})
        assert named["values"] is not None
        assert [message["content"] for message in named["values"]["messages"]][::2] == ["Hello?", "And?"]


async def test_going_back_and_branching(langgraph_server: str) -> None:
    async with opened(langgraph_server) as session:
        for question in ("One?", "Two?", "Three?"):
            await ask(session, question)
        await session.undo(2)
        assert await questions(session) == ["One?"]
        assert "message 3" in await answered(session, "Zwei?")
        turns = await session.turns()
        assert [(turn.title, turn.parent, turn.current) for turn in turns] == [
            ("One?", None, True),
            ("Two?", 1, False),
            ("Three?", 2, False),
            ("Zwei?", 1, True),
        ]
        await session.rewind(turns[2])
        assert await questions(session) == ["One?", "Two?", "Three?"]
        await session.undo(3)
        assert await questions(session) == []
        assert "message 1" in await answered(session, "Eins?")
        assert [turn.title for turn in await session.turns() if turn.current] == ["Eins?"]
        assert [event async for event in session.run(Retry())]
        assert await questions(session) == ["Eins?"]
        await session.undo()
        assert await questions(session) == []
        with pytest.raises(UsageError, match="no turn to undo"):
            await session.undo()


async def test_a_fork_goes_on_by_itself(langgraph_server: str) -> None:
    async with opened(langgraph_server) as session:
        await ask(session, "One?")
        await ask(session, "Two?")
        new_id = f"fork-{secrets.token_hex(4)}"
        await session.fork(new_id, (await session.turns())[0])
        async with open_engine(langgraph_server, None) as elsewhere:
            forked = await elsewhere.session(new_id, FIRST)
            assert await questions(forked) == ["One?"]
            await ask(forked, "Zwei?")
            assert await questions(forked) == ["One?", "Zwei?"]
        assert await questions(session) == ["One?", "Two?"]


async def test_a_stopped_answer_is_stopped_there_and_kept(langgraph_server: str, other: OtherProgram) -> None:
    async with opened(langgraph_server) as session:
        end = await stop_when(session, "Speak slowly", session.interrupt)
        assert isinstance(end, TurnInterrupted)
        assert "You said".startswith(end.content[:8])
        (thread,) = other.client.threads.search(metadata={"chatcli_thread": session.thread_id})
        assert [run["status"] for run in other.client.runs.list(thread["thread_id"])] == ["interrupted"]
        partial = (await session.history())[-1]
        assert (partial.interrupted, partial.text) == (True, end.content)
        events = await ask(session, "Next?")
        assert not any(isinstance(event, Notice) for event in events), "it waited for the run that was stopped"
        assert isinstance(events[-1], TurnFinished)
        assert "message 3" in events[-1].content


async def test_an_answer_that_another_program_stops_is_no_whole_answer(
    langgraph_server: str, other: OtherProgram
) -> None:
    async with opened(langgraph_server) as session:

        def stop() -> None:
            (thread,) = other.client.threads.search(metadata={"chatcli_thread": session.thread_id})
            (running,) = other.client.runs.list(thread["thread_id"])
            other.client.runs.cancel(thread["thread_id"], running["run_id"], wait=True)

        end = await stop_when(session, "Speak slowly", stop)
        assert isinstance(end, TurnFailed)
        assert isinstance(end.error, NetworkError)
        assert (await session.history())[-1].interrupted


class Road:
    """The way to a server, which can be interrupted: `cut` breaks the connections that are open."""

    def __init__(self, target: str) -> None:
        self._target = urlsplit(target)
        self._open: list[asyncio.StreamWriter] = []

    async def __aenter__(self) -> str:
        self._server = await asyncio.start_server(self._carry, "127.0.0.1", 0)
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self.cut()

    def cut(self) -> None:
        for writer in self._open:
            writer.transport.abort()
        self._open.clear()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(self._target.hostname, self._target.port)
        self._open += [writer, back]
        await asyncio.gather(_pass_on(reader, back), _pass_on(there, writer))


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.close()


def test_a_run_whose_connection_breaks_is_joined_again(langgraph_server: str) -> None:
    async def go() -> bool:
        road = Road(langgraph_server)
        async with road as url, open_engine(url, None) as engine:
            session = await engine.session(f"thread-{secrets.token_hex(4)}", FIRST)
            events: list[Event] = []
            async for event in session.run(Ask("Count up to the end")):
                events.append(event)
                if sum(isinstance(each, TextDelta) for each in events) in (2, 5):
                    road.cut()
            end = events[-1]
            assert isinstance(end, TurnFinished), end
            said = "You said: Count up to the end (message 1, somebody)"
            assert end.content == "".join(each.text for each in events if isinstance(each, TextDelta)) == said
            broke = "the connection to the server broke; joining the run again"
            return broke in [each.text for each in events if isinstance(each, Notice)]

    # All may have arrived before the connection is cut.
    assert any(asyncio.run(go()) for _ in range(20))


def test_a_thread_keeps_its_assistant(langgraph_server: str, other: OtherProgram) -> None:
    thread = f"thread-{secrets.token_hex(4)}"

    async def answerer(assistant: str | None) -> str:
        async with open_engine(langgraph_server, assistant) as engine:
            engine._found = [*reversed(engine._found)]  # as another server may list them
            session = await engine.session(thread, FIRST)
            await answered(session, "Hello?")
            return str(session.name)

    assert asyncio.run(answerer("echo")) == "langgraph:echo"
    (there,) = other.client.threads.search(metadata={"chatcli_thread": thread})
    other.client.runs.wait(there["thread_id"], "count", input={})
    assert asyncio.run(answerer(None)) == "langgraph:echo"


async def test_turns_wait_for_another_programs_run(langgraph_server: str, other: OtherProgram) -> None:
    async with opened(langgraph_server) as session:
        await ask(session, "Hello?")
        (thread,) = other.client.threads.search(metadata={"chatcli_thread": session.thread_id})
        message: Any = {"role": "user", "content": "Speak slowly"}
        theirs = other.client.runs.create(thread["thread_id"], "echo", input={"messages": [message]})
        stopped = [event async for event in give_up_waiting(session, "Stopped?")]
        assert isinstance(stopped[-1], TurnInterrupted)
        events = []
        async for event in session.run(Ask("Mine?")):
            events.append(event)
            if isinstance(event, Notice):
                other.client.runs.cancel(thread["thread_id"], theirs["run_id"])
        assert "another client's run" in next(event.text for event in events if isinstance(event, Notice))
        assert isinstance(events[-1], TurnFinished)
        assert events[-1].content.startswith("You said: Mine?")


async def test_a_silent_app_is_given_up_after_a_while(langgraph_server: str, other: OtherProgram) -> None:
    async with opened(langgraph_server, silence=2) as session:
        end = (await ask(session, "Be silent"))[-1]
        assert isinstance(end, TurnFailed)
        assert isinstance(end.error, NetworkError)
        assert "--timeout" in end.error.remedy
        (thread,) = other.client.threads.search(metadata={"chatcli_thread": session.thread_id})
        assert [run["status"] for run in other.client.runs.list(thread["thread_id"])] == ["interrupted"]


async def test_a_failing_app_is_reported_and_can_be_asked_again(langgraph_server: str) -> None:
    async with opened(langgraph_server) as session:
        end = (await ask(session, "Please fail"))[-1]
        assert isinstance(end, TurnFailed)
        assert isinstance(end.error, GraphError)
        assert "ValueError: the app can't answer that" in end.error.message
        assert await questions(session) == ["Please fail"]
        assert "message 2" in await answered(session, "Now?")


async def test_an_approval_waits_on_the_server(langgraph_server: str) -> None:
    async with opened(langgraph_server, "approve") as session:
        *_, request, end = await ask(session, "Send it.")
        assert isinstance(request, ApprovalRequested)
        assert request.payload == {"question": "Send it?", "to": "bob@example.org"}
        assert isinstance(end, TurnFinished)
        assert end.finish_reason == "interrupt"
        refused = (await ask(session, "Another?"))[-1]
        assert isinstance(refused, TurnFailed)
        async with open_engine(langgraph_server, None) as elsewhere:  # the thread continues with the same assistant
            resumed = await elsewhere.session(session.thread_id, FIRST)
            assert await resumed.pending() == (request,)
            *_, last = [event async for event in resumed.run(Resume({request.interrupt_id: {"yes": True}}))]
        assert isinstance(last, TurnFinished)
        assert last.content == "The answer was {'yes': True}."
        assert await session.pending() == ()


async def test_tool_calls_are_reported(langgraph_server: str) -> None:
    async with opened(langgraph_server, "weather") as session:
        events = await ask(session, "The weather?")
        called, answered = [event for event in events if isinstance(event, ToolCallStarted | ToolCallFinished)]
        assert called == ToolCallStarted("call-1", "forecast", {"city": "Rome"}, "look_up")
        assert answered == ToolCallFinished("call-1", "forecast", "Rome: sunny", node="look_up")
        assert isinstance(events[-1], TurnFinished)
        assert events[-1].content == "I looked: Rome: sunny"


def test_an_assistant_is_found_by_name_or_the_error_lists_them(langgraph_server: str) -> None:
    async def opened(assistant: str | None) -> str:
        async with open_engine(langgraph_server, assistant) as engine:
            return str((await engine.session("any", FIRST)).name)

    assert asyncio.run(opened(None)) == "langgraph:echo"
    assert asyncio.run(opened("approve")) == "langgraph:approve"
    with pytest.raises(UsageError) as refused:
        asyncio.run(opened("nobody"))
    assert "echo, approve, count" in refused.value.remedy
    assert asyncio.run(opened("count")) == "langgraph:count"
    with pytest.raises(UsageError, match="no `messages`; it holds: animal, audience, better, joke"):
        asyncio.run(opened("joke"))


async def test_an_app_gets_its_context_and_may_call_a_graph_without_a_checkpointer(langgraph_server: str) -> None:
    async with opened(langgraph_server, "greeting") as session:
        assert await answered(session, "hi") == "Good morning"


async def test_a_field_that_the_context_of_an_app_needs_is_named(langgraph_server: str) -> None:
    async with opened(langgraph_server, "addressed") as session:
        *_, end = await ask(session, "hi")
        assert isinstance(end, TurnFailed)
        assert isinstance(end.error, UsageError)
        assert end.error.message == "the graph's context needs the field name"
