"""Sessions on graphs of the user's own: what they say, what they wait for, and what is kept when they are cut short."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langgraph.config import get_stream_writer
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.types import interrupt

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
from chatcli.graph.thread import GraphThread
from chatcli.models.names import ModelName
from chatcli.session import Session
from chatcli.store.location import StoreLocation
from chatcli.store.open import open_store

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
        await asyncio.sleep(60)
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


async def opened(builder: StateGraph[Any], **options: Any) -> AsyncIterator[Session]:
    async with open_store(StoreLocation(None)) as store:
        thread = GraphThread(builder.compile(checkpointer=store.checkpointer, **options), store.threads, "t")
        yield Session(thread, ModelName("graph", "test"))


async def gather(events: AsyncIterator[Event]) -> list[Event]:
    return [event async for event in events]


def test_an_interrupt_ends_the_turn_and_is_answered_in_another() -> None:
    async def run() -> None:
        async for session in opened(asking()):
            events = await gather(session.run_turn("hi"))
            [request] = [event for event in events if isinstance(event, ApprovalRequested)]
            assert request.payload == {"question": "first?"}
            assert isinstance(events[-1], TurnFinished)
            assert events[-1].finish_reason == WAITING
            assert await session.pending() == (request,)

            refused = (await gather(session.run_turn("what?")))[-1]
            assert isinstance(refused, TurnFailed)
            assert "--resume-with" in refused.error.remedy

            events = await gather(session.resume({request.interrupt_id: "one"}))
            [request] = [event for event in events if isinstance(event, ApprovalRequested)]
            assert request.payload == "second?"
            last = (await gather(session.resume({request.interrupt_id: ["two"]})))[-1]
            assert isinstance(last, TurnFinished)
            assert (last.content, last.messages_in_thread) == ("one and ['two']", 2)
            assert await session.pending() == ()
            assert [turn.title for turn in await session.turns()] == ["hi"]

    asyncio.run(run())


def test_tool_calls_are_told_apart_from_text() -> None:
    async def run() -> None:
        async for session in opened(weighing()):
            events = await gather(session.run_turn("How heavy?"))
            said = [event for event in events if isinstance(event, TextDelta | ToolCallStarted | ToolCallFinished)]
            assert said == [
                TextDelta("Let me weigh it.", "call_tool"),
                ToolCallStarted("call-1", "weigh", {"what": "a cat"}),
                ToolCallFinished("call-1", "weigh", "4 kg"),
                TextDelta("\n\nIt weighs 4 kg.", "conclude"),
            ]

    asyncio.run(run())


def test_a_turn_that_is_stopped_in_a_tool_leaves_a_thread_that_providers_take() -> None:
    async def run() -> None:
        async for session in opened(weighing()):
            last: Event | None = None
            async for event in session.run_turn("hang"):
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

    asyncio.run(run())


def test_going_back_leaves_the_state_as_it_was() -> None:
    async def run() -> None:
        async for session in opened(asking()):
            for text in ("one", "two"):
                await gather(session.run_turn(text))
                while pending := await session.pending():
                    await gather(session.resume({request.interrupt_id: text for request in pending}))
            assert (await session._thread.snapshot()).values["asked"] == 2
            await session.undo()
            snapshot = await session._thread.snapshot()
            assert snapshot.values["asked"] == 1
            assert [shown.text for shown in await session.history()] == ["one", "one and one"]
            await session.undo()
            assert await session.history() == []
            assert (await session._thread.snapshot()).values.get("asked") is None
            assert [turn.current for turn in await session.turns()] == [False, False]

    asyncio.run(run())
