"""A clock that moves: no turn is lost, whichever way it goes, since a checkpoint's ID sorts after its parent's."""

import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Annotated, Any, TypedDict

import langgraph.checkpoint.base.id as generator
import pytest
from langchain_core.messages import AIMessage, AnyMessage
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.graph import START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.types import Command, interrupt

from chatcli.events import TurnFinished
from chatcli.graphs.chat.graph import build_graph
from chatcli.sessions.history import current_branch
from chatcli.store.location import StoreLocation
from chatcli.store.savers import with_ordered_ids
from tests.fakes.openai_server import FakeOpenAI
from tests.store.conftest import Bench, open_bench

HOUR = 3600
YEAR = 365 * 24 * HOUR
MOVES = [0, -20, -HOUR, 2 * HOUR, -YEAR, 20, 2 * YEAR, -2 * YEAR, -1]


class Clock:
    """A clock that goes on by a millisecond whenever it is read, moved by `offset` seconds."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, in_memory: bool) -> None:
        self.offset = 0
        self._in_memory = in_memory
        ticks = count(time.time_ns(), 10**6)
        monkeypatch.setattr(time, "time_ns", lambda: next(ticks) + self.offset * 10**9)
        monkeypatch.setattr(generator, "_last_v6_timestamp", None)  # another test's may be years ahead
        self._monkeypatch = monkeypatch

    def move(self, seconds: int) -> None:
        """Move the clock; this process then knows of no ID, as a new process or another machine.

        A store in memory has neither.
        """
        self.offset += seconds
        if not self._in_memory:
            self._monkeypatch.setattr(generator, "_last_v6_timestamp", None)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch, location: StoreLocation) -> Clock:
    """Give the clock, which is right again after the test."""
    return Clock(monkeypatch, in_memory=location.in_memory)


Reopen = Callable[[], AbstractAsyncContextManager[Bench]]


@pytest.fixture
def reopen(location: StoreLocation, server: FakeOpenAI) -> Reopen:
    """Give what opens the same store anew, unless it is in memory."""
    place = StoreLocation(location.path, location.uri, shared=location.in_memory)
    return lambda: open_bench(place, server)


async def assert_whole(bench: Bench, thread_id: str, questions: list[str]) -> None:
    """Assert that the current branch has `questions` with their answers, and that its IDs go up."""
    shown = await bench.session(thread_id).history()
    assert [message.text for message in shown if message.role == "user"] == questions
    assert sum(message.role == "assistant" for message in shown) == len(questions)
    summary = bench.store.threads.find(thread_id)
    assert summary is not None
    assert summary.turns == len(questions)
    assert all(step.checkpoint_id > (step.parent_id or "") for step in bench.store.threads.steps(thread_id))


async def test_turns_after_the_clock_moved(reopen: Reopen, clock: Clock) -> None:
    questions: list[str] = []
    for number, seconds in enumerate(MOVES):
        clock.move(seconds)
        async with reopen() as bench:
            for turn in range(2):
                questions.append(f"question {number}.{turn}")
                await bench.ask("moved", questions[-1])
                sent = [text for _role, text in bench.server.requests[-1].messages]
                assert [text for text in sent if text.startswith("question")] == questions
                clock.offset -= HOUR  # in the same process, too
            await assert_whole(bench, "moved", questions)


async def test_a_fork_an_undo_and_a_rewind_after_the_clock_stepped_back(reopen: Reopen, clock: Clock) -> None:
    async with reopen() as bench:
        for question in ("one", "two", "three"):
            await bench.ask("left", question)
    clock.move(-YEAR)
    async with reopen() as bench:
        bench.store.threads.fork("left", "forked")
        await bench.ask("forked", "four")
        await assert_whole(bench, "forked", ["one", "two", "three", "four"])
        clock.move(-HOUR)
        turns = await bench.session("left").turns()
        clock.move(-HOUR)
        await bench.session("left").rewind(turns[0])
        await assert_whole(bench, "left", ["one"])
        clock.move(-HOUR)
        await bench.ask("left", "another two")
        await assert_whole(bench, "left", ["one", "another two"])
        clock.move(-HOUR)
        await bench.session("left").rewind(None)
        assert await bench.session("left").history() == []
        clock.move(-HOUR)
        await bench.ask("left", "from the beginning")
        await assert_whole(bench, "left", ["from the beginning"])
        assert len(await bench.session("left").turns()) == 5


async def test_a_machine_that_is_behind_goes_on_from_what_the_other_one_wrote(
    location: StoreLocation, server: FakeOpenAI, clock: Clock
) -> None:
    if location.in_memory:
        pytest.skip("a store in memory belongs to one process")

    questions = []
    async with open_bench(location, server) as ahead, open_bench(location, server) as behind:
        for turn in range(4):
            for bench, seconds in ((ahead, 20), (behind, -20)):
                clock.move(seconds)
                questions.append(f"question {turn} {seconds}")
                await bench.ask("shared", questions[-1])
                await assert_whole(bench, "shared", questions)


class State(TypedDict):
    """The state of a graph of a user's."""

    messages: Annotated[list[AnyMessage], add_messages]


def user_graph() -> StateGraph[Any]:
    """Return a graph whose subgraph keeps a state of its own, and asks something in its second step."""

    def count(state: State) -> dict[str, Any]:
        return {"messages": [AIMessage(f"inner {sum(message.type == 'human' for message in state['messages'])}")]}

    def confirm(_state: State) -> dict[str, Any]:
        return {"messages": [AIMessage(f"told {interrupt('go on?')}")]}

    inner: Any = StateGraph(State)
    inner.add_node(count)
    inner.add_node(confirm)
    inner.add_edge(START, "count")
    inner.add_edge("count", "confirm")
    outer: StateGraph[State] = StateGraph(State)
    outer.add_node("inner", inner.compile(checkpointer=True))
    outer.add_edge(START, "inner")
    return outer


async def test_a_user_graph_with_a_subgraph_after_the_clock_moved(reopen: Reopen, clock: Clock) -> None:
    expected: list[str] = []
    config: Any = {"configurable": {"thread_id": "graph"}}
    for number, seconds in enumerate(MOVES):
        clock.move(seconds)
        question = f"question {number}"
        expected += [question, f"inner {number + 1}", f"told yes {number}"]
        async with reopen() as bench:
            graph = user_graph().compile(checkpointer=bench.store.checkpointer)
            await graph.ainvoke({"messages": [("user", question)]}, config)
        clock.move(-HOUR)  # in mid-turn
        async with reopen() as bench:
            graph = user_graph().compile(checkpointer=bench.store.checkpointer)
            found = await graph.ainvoke(Command(resume=f"yes {number}"), config)
            assert [message.content for message in found["messages"]] == expected
    async with reopen() as bench:
        pairs = [
            (one.config["configurable"]["checkpoint_id"], one.parent_config["configurable"]["checkpoint_id"])
            async for one in bench.store.checkpointer.alist({"configurable": {"thread_id": "graph"}})
            if one.parent_config
        ]
        assert pairs
        assert all(child > parent for child, parent in pairs)


async def test_a_graph_with_a_checkpointer_of_its_own_after_the_clock_stepped_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monkeypatch, in_memory=False)
    config: Any = {"configurable": {"thread_id": "own"}}

    for number in range(3):
        async with AsyncSqliteSaver.from_conn_string(str(tmp_path / "own.db")) as own:
            graph = user_graph().compile(checkpointer=with_ordered_ids(own))
            await graph.ainvoke({"messages": [("user", f"question {number}")]}, config)
        clock.move(-HOUR)
        async with AsyncSqliteSaver.from_conn_string(str(tmp_path / "own.db")) as own:
            graph = user_graph().compile(checkpointer=with_ordered_ids(own))
            found = await graph.ainvoke(Command(resume="yes"), config)
            assert len(found["messages"]) == 3 * (number + 1)


def as_before(bench: Bench) -> Bench:
    """Return `bench` with LangGraph's own checkpointer, so that IDs are the clock's, as in older versions."""
    saver: Any = bench.store.checkpointer
    kind: Any = AsyncSqliteSaver if isinstance(saver, AsyncSqliteSaver) else AsyncPostgresSaver
    before = kind(saver.conn, serde=saver.serde)
    before.get_next_version = saver.get_next_version
    return replace(bench, graph=build_graph(before))


class Torn:
    """A conversation in the thread "torn" of the store that `reopen` opens, with what it must show."""

    def __init__(self, reopen: Reopen) -> None:
        self.questions: list[str] = []
        self._reopen = reopen

    async def reopened(self, *works: Callable[[Bench], Awaitable[None]]) -> None:
        """Do each of `works` on the store, opened anew."""
        for work in works:
            async with self._reopen() as bench:
                await work(bench)

    async def ask(self, bench: Bench) -> None:
        """Ask another question."""
        self.questions.append(f"question {len(self.questions)}")
        events = await bench.ask("torn", self.questions[-1])
        assert isinstance(events[-1], TurnFinished), events

    async def ask_before(self, bench: Bench) -> None:
        """Ask another question of an older version."""
        await self.ask(as_before(bench))

    async def go_on(self, bench: Bench) -> None:
        """Ask another question, which is sent with all that were asked before."""
        await self.ask(bench)
        assert [text for role, text in bench.server.requests[-1].messages if role == "user"] == self.questions
        await self.check(bench)
        summary = bench.store.threads.find("torn")
        assert summary is not None
        assert summary.turns == len(self.questions)

    async def undo(self, bench: Bench) -> None:
        """Take the last question back."""
        await bench.session("torn").undo()
        del self.questions[-1]
        await self.check(bench)

    async def fork(self, bench: Bench) -> None:
        """Copy the current branch."""
        await bench.session("torn").fork("copy")
        await self.check(bench, "copy")

    async def check(self, bench: Bench, thread_id: str = "torn") -> None:
        """Assert that the thread shows all questions with their answers, in the order in which they were asked."""
        shown = await bench.session(thread_id).history()
        assert [message.text for message in shown if message.role == "user"] == self.questions
        assert sum(message.role == "assistant" for message in shown) == len(self.questions)
        assert len(current_branch(await bench.session(thread_id).turns())) == len(self.questions)


@pytest.mark.parametrize("location", ["sqlite", "postgres"], indirect=True)
@pytest.mark.parametrize(
    "moves", [[-HOUR], [-HOUR, 20, 20], [-HOUR, 20, 2 * HOUR, 0], [-20, 5, HOUR, -HOUR, 1, 3 * HOUR]], ids=str
)
async def test_a_thread_that_an_older_version_tore_apart_is_whole(
    reopen: Reopen, clock: Clock, moves: list[int]
) -> None:
    torn = Torn(reopen)
    await torn.reopened(torn.ask, torn.ask)
    for seconds in moves:
        clock.move(seconds)
        await torn.reopened(torn.ask_before)
    clock.move(-HOUR)
    await torn.reopened(torn.check, torn.go_on)
    for work in (torn.undo, torn.fork, torn.go_on, torn.undo, torn.undo, torn.undo, torn.go_on, torn.go_on):
        clock.move(-20)
        await torn.reopened(work)


@pytest.mark.parametrize("location", ["sqlite", "postgres"], indirect=True)
async def test_a_fork_of_a_thread_that_an_older_version_tore_apart_is_whole(reopen: Reopen, clock: Clock) -> None:
    torn = Torn(reopen)
    await torn.reopened(torn.ask)
    for seconds in (-HOUR, 1, 1):
        clock.move(seconds)
        await torn.reopened(torn.ask_before)
    await torn.reopened(torn.fork)
