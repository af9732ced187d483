"""What is kept of a turn that was cut short, by its own process or by the next one."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import interrupt

from chatcli.documents.citations import CITED
from chatcli.events import INTERRUPTED, Event, Notice, TurnFinished, TurnInterrupted
from chatcli.message import FoundPassage
from chatcli.models.names import ModelName
from chatcli.sessions import turn
from chatcli.sessions.found import Retrieval
from chatcli.sessions.message_calls import NO_RESULT, REFUSED
from chatcli.sessions.repair import keep_turn, recover, recover_unless_running, refuse_calls, unanswered_calls
from chatcli.sessions.requests import Ask
from chatcli.sessions.session import Session
from chatcli.sessions.thread import GraphThread
from chatcli.store.errors import ReadOnlyError
from chatcli.store.location import StoreLocation
from chatcli.store.open import open_store
from chatcli.store.sqlite.threads import SqliteLocks
from chatcli.store.threads import Partial
from tests.waiting import WAIT_SECONDS

CALL = {"name": "weigh", "args": {}, "id": "c1", "type": "tool_call"}


class Noted(MessagesState):
    """A state with more than messages."""

    topic: str
    found: Retrieval


def first(state: Noted) -> dict[str, Any]:
    return {"messages": [AIMessage("Hello, world", id="a")]}


def second(state: Noted) -> dict[str, Any]:
    if state["messages"][0].text == "ask":
        interrupt("sure?")
    return {"messages": [AIMessage("Bye", id="b")]}


@asynccontextmanager
async def opened(path: Path, *, node: str | None = None) -> AsyncIterator[GraphThread]:
    """Yield a thread in a real store, of a graph of two nodes."""
    async with open_store(StoreLocation(path / "threads.db")) as store:
        builder = StateGraph(Noted).add_sequence([first, second]).add_edge(START, "first")
        yield GraphThread(builder.compile(checkpointer=store.checkpointer), store.threads, "t", node=node)


async def ask(thread: GraphThread, text: str = "q", **more: Any) -> None:
    """Store a question as a turn that was killed before its first node had ended."""
    config = thread.config("graph:test", title=text, turn=1)
    await thread.keep_question(config, HumanMessage(text, id="q"), more)


async def after_first(thread: GraphThread, *messages: BaseMessage) -> None:
    """Let the first node write `messages`; the second one is pending then."""
    config = thread.config("graph:test", turn=1)
    await thread.graph.aupdate_state(config, {"messages": list(messages)}, as_node="first")


async def stored(thread: GraphThread) -> list[str]:
    """Return the texts of the thread, a partial one with `...`."""
    return [
        f"{message.text}..." if message.response_metadata.get("finish_reason") == INTERRUPTED else message.text
        for message in await thread.messages()
    ]


@pytest.mark.parametrize(
    ("written", "partial", "found"),
    [
        (None, Partial("q", "Hel"), ["q", "Hel..."]),
        (None, Partial("q", ""), ["q"]),
        # What the first node wrote is whole: it is not written twice, in part or as a whole.
        (AIMessage("Hello, world", id="a"), Partial("q", "Hello, world"), ["q", "Hello, world"]),
        (AIMessage("Hello, world", id="a"), Partial("q", "Hello"), ["q", "Hello, world"]),
        (AIMessage("Hello, world", id="a"), Partial("q", "By"), ["q", "Hello, world", "By..."]),
        (AIMessage("Hello", id="a"), Partial("q", "Hello, wo"), ["q", "Hello", "Hello, wo..."]),
        (AIMessage("", id="a", tool_calls=[CALL]), Partial("q", ""), ["q", "", NO_RESULT]),
    ],
)
async def test_a_killed_turn_ends_with_what_the_journal_has(
    tmp_path: Path, written: AIMessage | None, partial: Partial, found: list[str]
) -> None:
    async with opened(tmp_path) as thread:
        await ask(thread, topic="cats")
        if written is not None:
            await after_first(thread, written)
        thread.threads.journal.save("t", partial)
        assert await recover(thread, thread.config())
        assert await stored(thread) == found
        assert thread.threads.journal.read("t") is None
        snapshot = await thread.snapshot()
        assert bool(snapshot.next) == (len(found) == (1 if written is None else 2))  # nothing was added
        assert snapshot.values["topic"] == "cats"
        if not snapshot.next:
            assert dict(snapshot.metadata or {})["chatcli_turn"] == 1  # of the question
        assert not await recover(thread, thread.config())


@pytest.mark.parametrize("case", ["nothing", "another question", "waits", "ended"])
async def test_what_is_no_unfinished_turn_gets_nothing_of_the_journal(tmp_path: Path, case: str) -> None:
    async with opened(tmp_path) as thread:
        session = Session(thread, ModelName("graph", "test"))
        if case in ("waits", "ended"):
            await gather(session.run(Ask("ask" if case == "waits" else "q")))
            before = await thread.messages()
            thread.threads.journal.save("t", Partial(str(before[0].id), "Hel"))
        else:
            await ask(thread)
            before = await thread.messages()
            if case == "another question":
                thread.threads.journal.save("t", Partial("another", "Hel"))
        assert not await recover(thread, thread.config())
        assert await thread.messages() == before
        assert thread.threads.journal.read("t") is None
        assert len(await session.pending()) == (case == "waits")


@pytest.mark.parametrize(
    ("written", "answers", "found"),
    [
        (None, [], ["q"]),
        (None, [("x", "Hel")], ["q", "Hel..."]),
        (None, [("x", "one"), ("y", "two")], ["q", "one\n\ntwo..."]),
        (AIMessage("Hello", id="a"), [("a", "Hello"), ("b", "By")], ["q", "Hello", "By..."]),
        (AIMessage("Hello", id="a"), [("a", "Hel")], ["q", "Hello"]),
        # A node may have stored what it streamed as its own message.
        (AIMessage("Hello", id="a"), [("x", "Hello"), ("b", "By")], ["q", "Hello", "By..."]),
        (AIMessage("", id="a", tool_calls=[CALL]), [("a", "")], ["q", "", NO_RESULT]),
    ],
)
async def test_a_turn_that_is_cut_short_keeps_what_is_not_stored_yet(
    tmp_path: Path, written: AIMessage | None, answers: list[tuple[str, str]], found: list[str]
) -> None:
    async with opened(tmp_path) as thread:
        await ask(thread)
        if written is not None:
            await after_first(thread, written)
        await keep_turn(thread, thread.config(), HumanMessage("q", id="q"), answers, {})
        assert await stored(thread) == found


async def test_the_same_text_in_an_earlier_turn_is_another_one(tmp_path: Path) -> None:
    async with opened(tmp_path) as thread:
        await gather(Session(thread, ModelName("graph", "test")).run(Ask("q")))
        question = HumanMessage("again", id="q2")
        await keep_turn(thread, thread.config("graph:test", title="again"), question, [], {"topic": "dogs"})
        snapshot = await thread.snapshot()
        assert (snapshot.next, snapshot.values["topic"]) == (("first",), "dogs")
        assert dict(snapshot.metadata or {})["chatcli_turn"] == 2
        await keep_turn(thread, thread.config(), question, [("x", "Hello, world")], {})
        assert (await stored(thread))[-2:] == ["again", "Hello, world..."]
        snapshot = await thread.snapshot()
        assert dict(snapshot.metadata or {})["chatcli_turn"] == 2
        await keep_turn(thread, thread.config(), question, [("x", "more")], {})  # nothing is pending
        assert (await stored(thread))[-1] == "Hello, world..."


async def test_a_turn_that_waits_for_an_answer_is_left_alone(tmp_path: Path) -> None:
    async with opened(tmp_path) as thread:
        await gather(Session(thread, ModelName("graph", "test")).run(Ask("ask")))
        [question, _] = await thread.messages()
        assert isinstance(question, HumanMessage)
        for asked in (question, None):
            await keep_turn(thread, thread.config(), asked, [("x", "more")], {})
        assert await stored(thread) == ["ask", "Hello, world"]
        assert (await thread.pending())[0].payload == "sure?"


async def test_a_turn_of_another_process_is_left_alone(tmp_path: Path) -> None:
    async with opened(tmp_path) as thread, opened(tmp_path) as other:
        await ask(thread)
        thread.threads.journal.save("t", Partial("q", "Hel"))
        assert other.threads.locks.try_lock("t")
        assert await recover_unless_running(thread) == []
        assert await stored(thread) == ["q"]
        other.threads.locks.unlock("t")
        assert await recover_unless_running(thread) == []
        assert await stored(thread) == ["q", "Hel..."]
        assert other.threads.locks.try_lock("t")  # it is free again


@pytest.mark.parametrize("partial", [Partial("q", "Hel"), Partial("another", "Hel"), Partial("a", "Hello, wor"), None])
async def test_a_thread_of_another_graph_is_read_and_not_repaired(tmp_path: Path, partial: Partial | None) -> None:
    async with opened(tmp_path) as thread, opened(tmp_path, node="first") as plain:
        await ask(thread)
        await after_first(thread, AIMessage("Hello, world", id="a"))
        if partial is not None:
            thread.threads.journal.save("t", partial)
        rest = await recover_unless_running(plain)
        assert [message.text for message in rest] == []
        assert thread.threads.journal.read("t") == partial
        thread.threads.journal.save("t", Partial("q", "By"))
        [rest_of_it] = await recover_unless_running(plain)
        assert (rest_of_it.text, rest_of_it.response_metadata) == ("By", {"finish_reason": INTERRUPTED})
        assert await stored(thread) == ["q", "Hello, world"]


async def test_what_a_killed_turn_left_is_read_where_nothing_can_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def try_lock(locks: SqliteLocks, thread_id: str) -> bool:
        raise ReadOnlyError  # as on a disk that is mounted so, also for root

    monkeypatch.setattr(SqliteLocks, "try_lock", try_lock)
    async with opened(tmp_path) as thread:
        await ask(thread)
        thread.threads.journal.save("t", Partial("q", "Hel"))
        assert [message.text for message in await recover_unless_running(thread)] == ["Hel"]
        assert (await stored(thread), thread.threads.journal.read("t")) == (["q"], Partial("q", "Hel"))


async def test_a_partial_answer_notes_what_it_cites(tmp_path: Path) -> None:
    passage = FoundPassage(
        number=1,
        path="/a.md",
        start_line=1,
        end_line=2,
        page=None,
        text="Cats sleep.",
        plain="Cats sleep.",
        headings=[],
        score=1.0,
    )
    async with opened(tmp_path, node="first") as thread:
        await ask(thread, found=Retrieval(marker="m", query="q", passages=[passage]))
        thread.threads.journal.save("t", Partial("q", "They sleep [1]"))
        assert await recover(thread, thread.config())
        noted = (await thread.messages())[-1].response_metadata[CITED]
        assert ([each["path"] for each in noted["citations"]], noted["made_up"]) == (["/a.md"], [])


async def test_the_result_of_a_refused_call_says_that_it_was_refused(tmp_path: Path) -> None:
    async with opened(tmp_path) as thread:
        await ask(thread)
        await after_first(thread, AIMessage("", tool_calls=[CALL]))
        assert await refuse_calls(thread, thread.config())
        assert await stored(thread) == ["q", "", REFUSED]
        assert not await refuse_calls(thread, thread.config())


def test_each_call_without_a_result_gets_one() -> None:
    calls: Any = [CALL, {**CALL, "id": "c2"}]
    messages = [AIMessage("", tool_calls=calls), ToolMessage("4 kg", tool_call_id="c1"), HumanMessage("x")]
    [result] = unanswered_calls(messages)
    assert isinstance(result, ToolMessage)
    assert (result.tool_call_id, result.text, result.status) == ("c2", NO_RESULT, "error")


async def gather(events: AsyncIterator[Event]) -> list[Event]:
    return [event async for event in events]


@pytest.mark.parametrize("stop", [False, True])
async def test_the_journal_is_written_during_a_turn_and_cleared_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, stop: bool
) -> None:
    assert turn.JOURNAL_INTERVAL <= 1  # the seconds of an answer that a kill may cost
    monkeypatch.setattr(turn, "JOURNAL_INTERVAL", 0.001)
    seen: list[Partial] = []

    async with open_store(StoreLocation(tmp_path / "threads.db")) as store:

        async def slow(state: Noted) -> dict[str, Any]:
            async with asyncio.timeout(WAIT_SECONDS):
                while (partial := await asyncio.to_thread(store.threads.journal.read, "t")) is None:  # noqa: ASYNC110
                    await asyncio.sleep(0.001)
            seen.append(partial)
            if stop:
                session.interrupt()
                await asyncio.sleep(600)
            return {"messages": [AIMessage("Bye", id="b")]}

        builder = StateGraph(Noted).add_sequence([first, slow]).add_edge(START, "first")
        thread = GraphThread(builder.compile(checkpointer=store.checkpointer), store.threads, "t")
        session = Session(thread, ModelName("graph", "test"))
        last = (await gather(session.run(Ask("q"))))[-1]
        [question, *_] = await thread.messages()
        assert seen == [Partial(str(question.id), "Hello, world")]
        assert store.threads.journal.read("t") is None
        assert isinstance(last, TurnInterrupted if stop else TurnFinished)
        assert await stored(thread) == ["q", "Hello, world", *([] if stop else ["Bye"])]
        assert SqliteLocks(tmp_path / "threads.db").try_lock("t")  # it is free again


async def test_a_turn_begins_with_the_repair_of_the_last_one_and_says_so(tmp_path: Path) -> None:
    async with opened(tmp_path) as thread:
        await ask(thread)
        thread.threads.journal.save("t", Partial("q", "Hel"))
        events = await gather(Session(thread, ModelName("graph", "test")).run(Ask("next")))
        assert [event.text for event in events if isinstance(event, Notice)] == [
            "the last answer was cut short; what had arrived of it is kept"
        ]
        assert (await stored(thread))[:3] == ["q", "Hel...", "next"]
