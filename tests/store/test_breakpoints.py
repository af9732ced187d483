"""What a store keeps of a graph that stopped at a breakpoint, and of edits of its state."""

from operator import add
from typing import Annotated, Any

import pytest
from langchain_core.messages import AIMessage
from langgraph.graph import END, START, MessagesState, StateGraph

from chatcli.errors import StoppedGraphError, UsageError
from chatcli.events import STOPPED, TurnFailed, TurnFinished
from chatcli.models.names import ModelName
from chatcli.sessions.requests import Ask, Resume
from chatcli.sessions.session import Session
from chatcli.sessions.thread import GraphThread
from chatcli.store.location import StoreLocation
from chatcli.store.open import Store, open_store
from chatcli.store.threads import Partial
from tests.sample_graphs.states import paused_work


class Asked(MessagesState):
    """The input of the graph below: its own state has more."""


class Counted(Asked):
    count: int
    notes: Annotated[list[str], add]


def count_up(state: Counted) -> dict[str, Any]:
    return {"messages": [AIMessage(f"counted {state.get('count', 0)}")], "count": state.get("count", 0) + 1}


counter = StateGraph(Counted, input_schema=Asked)
counter.add_node("route", lambda state: {})
counter.add_node("count", count_up)
counter.add_edge(START, "route")
counter.add_conditional_edges("route", lambda state: "count", ["count"])
counter.add_edge("count", END)


def thread_on(store: Store, thread_id: str) -> GraphThread:
    graph = paused_work.copy(update={"checkpointer": store.checkpointer})
    return GraphThread(graph, store.threads, thread_id)


def session_on(store: Store, thread_id: str) -> Session:
    return Session(thread_on(store, thread_id), ModelName("graph", "paused"))


async def test_a_stop_and_an_edit_stay_in_the_thread_and_in_its_fork(location: StoreLocation) -> None:
    async with open_store(location) as store:
        session = session_on(store, "t")
        *_, end = [event async for event in session.run(Ask("first"))]
        assert isinstance(end, TurnFinished)
        assert end.finish_reason == STOPPED
        assert await session.edit_state("language", "Spanish") == "Spanish"
        await session.fork("u")
        for thread_id in ("t", "u"):
            other = session_on(store, thread_id)  # as another process does
            *_, refused = [event async for event in other.run(Ask("second"))]
            assert isinstance(refused, TurnFailed)
            assert isinstance(refused.error, StoppedGraphError)
            *_, end = [event async for event in other.run(Resume(None))]
            assert isinstance(end, TurnFinished), end
            assert (end.content, end.finish_reason) == ("with Spanish", "stop")
            *_, refused = [event async for event in other.run(Resume(None))]
            assert isinstance(refused, TurnFailed)
            assert isinstance(refused.error, UsageError)
        await session.edit_state("language", "French")
        await session.edit_state("turns", "5")
        assert (await session.state())["turns"] == 6
        await session.undo()
        assert ((await session.state())["turns"], (await session.state())["language"]) == (1, "French")
        await session.undo()
        assert (await session.state())["language"] == "Spanish"
        [turn] = await session.turns()
        assert turn.current
        await session.edit_state("language", "Greek")
        await session.rewind(turn)  # the end of the turn is before the edit
        assert (await session.state())["language"] == "Spanish"
        await session.undo()
        assert await session.history() == []


async def test_a_process_that_went_on_and_was_killed_leaves_no_breakpoint(location: StoreLocation) -> None:
    if location.in_memory:
        pytest.skip("a store in memory ends with its process")

    async with open_store(location) as store:
        session = session_on(store, "t")
        async for _ in session.run(Ask("first")):
            pass
        asked, *_ = await thread_on(store, "t").messages()
        store.threads.journal.save("t", Partial(str(asked.id), "half of"))
        *_, end = [event async for event in session.run(Ask("second"))]
        assert isinstance(end, TurnFinished), end
        shown = [message.text for message in await session.history()]
        assert shown == ["first", "0 before, in no language", "half of", "second", "1 before, in no language"]


async def test_a_key_that_is_not_in_the_input_is_edited(location: StoreLocation) -> None:
    async with open_store(location) as store:
        thread = GraphThread(counter.compile(checkpointer=store.checkpointer), store.threads, "t")
        session = Session(thread, ModelName("graph", "counter"))
        *_, end = [event async for event in session.run(Ask("first"))]
        assert isinstance(end, TurnFinished)
        assert end.content == "counted 0"
        assert await session.edit_state("count", "7") == 7
        assert await session.edit_state("notes", '["mine"]') == ["mine"]
        *_, end = [event async for event in session.run(Ask("second"))]
        assert isinstance(end, TurnFinished)
        assert end.content == "counted 7"
        assert await session.edit_state("count", "1") == 1
        await session.undo()
        assert await session.state() == {"count": 8, "notes": ["mine"]}
        assert [message.text for message in await session.history()][-1] == "counted 7"
