"""Sessions on user graphs: their events, their interrupts, and what is kept of a turn that is stopped."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from langchain_core.language_models.fake_chat_models import FakeListChatModel
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.runnables import RunnableConfig
from langchain_openai import ChatOpenAI
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.config import get_stream_writer
from langgraph.func import entrypoint
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.types import Overwrite, interrupt

from chatcli.events import (
    WAITING,
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
from chatcli.sessions.requests import Ask, Resume
from chatcli.sessions.session import Session
from chatcli.sessions.thread import GraphThread
from chatcli.store.location import StoreLocation
from chatcli.store.open import foreign_store, open_store
from tests.fakes.openai_server import FakeOpenAI

CALL = {"name": "weigh", "args": {"what": "a cat"}, "id": "call-1", "type": "tool_call"}


class Counted(MessagesState):
    """A state with more than messages."""

    asked: int


def ask_twice(state: Counted) -> dict[str, Any]:
    """Wait for two answers, one after the other."""
    first = interrupt({"question": "first?"})
    second = interrupt("second?")
    return {"messages": [AIMessage(f"{first} and {second}")], "asked": state.get("asked", 0) + 1}


def call_tool(state: MessagesState) -> dict[str, Any]:
    return {"messages": [AIMessage("Let me weigh it.", tool_calls=[CALL])]}


async def weigh(state: MessagesState) -> dict[str, Any]:
    if state["messages"][0].text == "hang":
        get_stream_writer()({"notice": "weighing"})
        await asyncio.sleep(600)
    return {"messages": [ToolMessage("4 kg", tool_call_id="call-1", name="weigh")]}


def conclude(state: MessagesState) -> dict[str, Any]:
    return {"messages": [AIMessage("It weighs 4 kg.")]}


def asking() -> StateGraph[Any]:
    builder = StateGraph(Counted)
    builder.add_node("ask_twice", ask_twice)
    builder.add_edge(START, "ask_twice")
    return builder


def weighing() -> StateGraph[Any]:
    builder = StateGraph(MessagesState)
    builder.add_sequence([call_tool, weigh, conclude])
    builder.add_edge(START, "call_tool")
    builder.add_edge("conclude", END)
    return builder


@asynccontextmanager
async def opened(builder: StateGraph[Any], **options: Any) -> AsyncIterator[Session]:
    async with open_store(StoreLocation(None)) as store:
        thread = GraphThread(builder.compile(checkpointer=store.checkpointer, **options), store.threads, "t")
        yield Session(thread, ModelName("graph", "test"))


async def gather(events: AsyncIterator[Event]) -> list[Event]:
    return [event async for event in events]


async def test_an_interrupt_ends_the_turn_and_is_answered_in_another() -> None:
    async with opened(asking()) as session:
        events = await gather(session.run(Ask("hi")))
        [request] = [event for event in events if isinstance(event, ApprovalRequested)]
        assert request.payload == {"question": "first?"}
        assert isinstance(events[-1], TurnFinished)
        assert events[-1].finish_reason == WAITING
        assert await session.pending() == (request,)

        refused = (await gather(session.run(Ask("what?"))))[-1]
        assert isinstance(refused, TurnFailed)
        assert "--resume-with" in refused.error.remedy

        events = await gather(session.run(Resume({request.interrupt_id: "one"})))
        [request] = [event for event in events if isinstance(event, ApprovalRequested)]
        assert request.payload == "second?"
        last = (await gather(session.run(Resume({request.interrupt_id: ["two"]}))))[-1]
        assert isinstance(last, TurnFinished)
        assert (last.content, last.messages_in_thread) == ("one and ['two']", 2)
        assert await session.pending() == ()
        assert [turn.title for turn in await session.turns()] == ["hi"]


async def test_tool_calls_and_text_are_separate_events() -> None:
    async with opened(weighing()) as session:
        events = await gather(session.run(Ask("How heavy?")))
        said = [event for event in events if isinstance(event, TextDelta | ToolCallStarted | ToolCallFinished)]
        assert said == [
            TextDelta("Let me weigh it.", "call_tool"),
            ToolCallStarted("call-1", "weigh", {"what": "a cat"}, "call_tool"),
            ToolCallFinished("call-1", "weigh", "4 kg", node="call_tool"),
            TextDelta("\n\nIt weighs 4 kg.", "conclude"),
        ]


async def test_a_turn_that_is_stopped_in_a_tool_leaves_a_thread_that_providers_take() -> None:
    async with opened(weighing()) as session:
        last: Event | None = None
        async for event in session.run(Ask("hang")):
            if isinstance(event, Notice):
                session.interrupt()
            last = event
        assert isinstance(last, TurnInterrupted)
        question, call, result = await session._thread.messages()
        assert isinstance(question, HumanMessage)
        assert isinstance(call, AIMessage)
        assert isinstance(result, ToolMessage)
        assert (result.tool_call_id, result.status) == ("call-1", "error")
        assert (await session._thread.snapshot()).next == ()


async def test_going_back_leaves_the_state_as_it_was() -> None:
    async with opened(asking()) as session:
        for text in ("one", "two"):
            await gather(session.run(Ask(text)))
            while pending := await session.pending():
                await gather(session.run(Resume({request.interrupt_id: text for request in pending})))
        assert (await session._thread.snapshot()).values["asked"] == 2
        await session.undo()
        snapshot = await session._thread.snapshot()
        assert snapshot.values["asked"] == 1
        assert [shown.text for shown in await session.history()] == ["one", "one and one"]
        await session.undo()
        assert await session.history() == []
        assert (await session._thread.snapshot()).values.get("asked") is None
        assert [turn.current for turn in await session.turns()] == [False, False]


SAME = AIMessage("same")


def one_node(node: Any) -> StateGraph[Any]:
    return StateGraph(MessagesState).add_node("speak", node).add_edge(START, "speak")


async def last_event(builder: StateGraph[Any]) -> TurnFinished:
    async with opened(builder) as session:
        last = (await gather(session.run(Ask("hi"))))[-1]
    assert isinstance(last, TurnFinished), last
    return last


async def model_says(text: str) -> AIMessage:
    return await FakeListChatModel(responses=[text]).ainvoke("hi")


async def copy_of_model(state: MessagesState) -> dict[str, Any]:
    return {"messages": [AIMessage((await model_says("same")).text)]}


async def copy_and_more(state: MessagesState) -> dict[str, Any]:
    return {"messages": [AIMessage((await model_says("same")).text), AIMessage("same")]}


async def joined(state: MessagesState) -> dict[str, Any]:
    return {"messages": [AIMessage((await model_says("one")).text + (await model_says("two")).text)]}


async def unstreamed_model(state: MessagesState) -> dict[str, Any]:
    model = ChatOpenAI(model="gpt-fake", disable_streaming=True)
    return {"messages": [AIMessage((await model.ainvoke([HumanMessage("hi")])).text)]}


async def relay(state: MessagesState) -> dict[str, Any]:
    inner = await one_node(copy_of_model).compile().ainvoke({"messages": state["messages"]})
    return {"messages": [AIMessage(inner["messages"][-1].text)]}


@pytest.mark.parametrize(
    ("node", "content"),
    [
        pytest.param(lambda state: {"messages": [AIMessage("one"), AIMessage("one")]}, "one one", id="messages"),
        pytest.param(lambda state: {"messages": [("ai", "same")] * 3}, "same same same", id="plain data"),
        pytest.param(lambda state: {"messages": Overwrite([*state["messages"], SAME])}, "same", id="overwritten"),
        pytest.param(lambda state: {"messages": ("ai", "same")}, "same", id="one tuple"),
        pytest.param(copy_of_model, "same", id="a copy of what was streamed"),
        pytest.param(copy_and_more, "same same", id="a copy, and one more"),
        pytest.param(joined, "one two", id="two streams joined"),
        pytest.param(unstreamed_model, "You said: hi", id="a copy of what came at once"),
        pytest.param(relay, "same", id="a copy of what a graph inside said"),
        pytest.param(
            one_node(lambda state: {"messages": [("ai", "same")] * 2}).compile(), "same same", id="a subgraph"
        ),
    ],
)
async def test_a_text_is_shown_as_often_as_it_is_written(
    node: Any, content: str, fake: FakeOpenAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", fake.base_url)
    monkeypatch.setenv("OPENAI_API_KEY", fake.key or "any")
    assert (await last_event(one_node(node))).content.replace("\n\n", " ") == content


class LateSaver(InMemorySaver):
    """A saver that lets everything else run before it stores a checkpoint, or fails."""

    fails = False

    async def aput(self, config: RunnableConfig, *rest: Any) -> RunnableConfig:
        for _ in range(100):
            await asyncio.sleep(0)
        if self.fails:
            raise OSError(28, "No space left on device")
        return await super().aput(config, *rest)


def questions_in(saver: InMemorySaver) -> str:
    return str([found.checkpoint["channel_values"] for found in saver.list({"configurable": {"thread_id": "t"}})])


async def on_late_store(node: Any, saver: LateSaver) -> Event:
    store = foreign_store(saver)
    graph = node if not isinstance(node, StateGraph) else node.compile()
    thread = GraphThread(graph.copy(update={"checkpointer": saver}), store.threads, "t")
    session = Session(thread, ModelName("graph", "test"))
    await gather(session.run(Ask("the first question")))
    return (await gather(session.run(Ask("the second question"))))[-1]


@pytest.mark.parametrize("kind", ["async", "sync", "functional"])
def test_no_node_runs_before_the_question_is_stored(kind: str) -> None:
    saver = LateSaver()
    seen = []

    async def look(state: Any) -> dict[str, Any]:
        return look_at_once(state)

    def look_at_once(state: Any) -> dict[str, Any]:
        seen.append(questions_in(saver))
        return {"messages": [AIMessage("seen")]}

    node = entrypoint()(look) if kind == "functional" else one_node(look if kind == "async" else look_at_once)
    asyncio.run(on_late_store(node, saver))
    first, second = seen
    assert "the first question" in first
    assert "the second question" in second


async def test_a_question_that_can_not_be_stored_is_not_asked() -> None:
    saver = LateSaver()
    saver.fails = True
    ran: list[Any] = []
    last = await on_late_store(one_node(ran.append), saver)
    assert isinstance(last, TurnFailed)
    assert "No space left" in last.error.message
    assert ran == []
