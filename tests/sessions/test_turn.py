"""How a turn ends, whatever cuts it short, and what it adds up to."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import interrupt

from chatcli.errors import (
    ChatcliError,
    InternalError,
    StoppedGraphError,
    StoreError,
    UnansweredRequestError,
    UsageError,
)
from chatcli.events import (
    NO_ANSWER,
    STOPPED,
    WAITING,
    ApprovalRequested,
    Event,
    Notice,
    TextDelta,
    TurnFailed,
    TurnFinished,
    TurnInterrupted,
    TurnStarted,
    Usage,
)
from chatcli.sessions.message_calls import NO_RESULT
from chatcli.sessions.question import store_unsent_question
from chatcli.sessions.requests import Ask, Continue
from chatcli.sessions.session import Session
from chatcli.sessions.thread import GraphThread
from chatcli.sessions.turn import RunningTurn, _coalesce_text, stopped_notice
from chatcli.store.threads import TurnLocks
from chatcli.store.usage import Tokens
from tests.sessions.test_any_graph import gather, one_node, opened, weighing

TWO = StateGraph(MessagesState)
TWO.add_node("one", lambda state: {"messages": [AIMessage("One.")]}).add_edge(START, "one")
TWO.add_node("two", lambda state: {"messages": [AIMessage("Two.")]}).add_edge("one", "two")


def says(text: str, **fields: Any) -> StateGraph[Any]:
    return one_node(lambda state: {"messages": [AIMessage(text, **fields)]})


def notices(events: list[Event]) -> list[tuple[str, str]]:
    return [(event.text, event.level) for event in events if isinstance(event, Notice)]


async def turn_of(builder: StateGraph[Any], **options: Any) -> list[Event]:
    async with opened(builder, **options) as session:
        return await gather(session.run(Ask("q")))


@pytest.mark.parametrize(
    ("metadata", "reason", "notice"),
    [
        ({}, "stop", []),
        ({"finish_reason": "stop"}, "stop", []),
        (
            {"finish_reason": "length"},
            "length",
            [("the answer was cut at its length limit; --max-tokens sets it", "warning")],
        ),
        ({"stop_reason": "refusal"}, "content_filter", []),
    ],
)
async def test_a_turn_ends_for_the_reason_that_the_model_gave(
    metadata: dict[str, str], reason: str, notice: list[tuple[str, str]]
) -> None:
    events = await turn_of(says("Hi", response_metadata=metadata))
    assert events[0] == TurnStarted("t", "graph:test")
    end = events[-1]
    assert isinstance(end, TurnFinished)
    assert (end.finish_reason, end.content, end.messages_in_thread) == (reason, "Hi", 2)
    assert notices(events) == notice


async def test_a_graph_without_an_answer_says_so() -> None:
    events = await turn_of(one_node(lambda state: {}))
    assert isinstance(events[-1], TurnFinished)
    assert events[-1].finish_reason == NO_ANSWER
    assert notices(events) == [("the graph ended without an answer", "warning")]


async def test_a_turn_at_a_breakpoint_says_where_it_stopped() -> None:
    events = await turn_of(TWO, interrupt_before=["two"])
    assert isinstance(events[-1], TurnFinished)
    assert (events[-1].finish_reason, events[-1].content) == (STOPPED, "One.")
    assert events[-2] == stopped_notice(["two"])
    assert "before two;" in stopped_notice(["two"]).text


def test_what_a_graph_waits_for_comes_last_and_its_breakpoint_is_none() -> None:
    def ask(state: MessagesState) -> dict[str, Any]:
        return {"messages": [AIMessage(interrupt("sure?"))]}

    events = asyncio.run(turn_of(one_node(ask)))
    assert isinstance(events[-1], TurnFinished)
    assert events[-1].finish_reason == WAITING
    assert isinstance(events[-2], ApprovalRequested)
    assert notices(events) == []


async def test_the_usage_and_the_price_are_of_all_answers_of_the_turn() -> None:
    usage: Any = {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15, "input_token_details": {"cache_read": 4}}
    answers = [AIMessage("a", usage_metadata=usage), AIMessage("b", usage_metadata={**usage, "total_tokens": 16})]
    priced: list[Tokens] = []

    async with opened(one_node(lambda state: {"messages": answers})) as session:
        graph_input = {"messages": [HumanMessage("q", id="q")]}

        def cost(tokens: Tokens) -> float:
            priced.append(tokens)
            return 0.25

        events = [event async for event in RunningTurn(session._thread, "graph:test", graph_input, cost=cost).run()]
    assert isinstance(events[-1], TurnFinished)
    end = events[-1]
    assert (end.usage, end.cost_usd, priced) == (Usage(20, 10, 31), 0.25, [Tokens(20, 10, 8)])


@pytest.mark.parametrize("fault", [KeyError("the node's own fault"), SystemExit(3)])
async def test_a_failure_keeps_what_had_arrived_and_the_question(fault: BaseException) -> None:
    def fail(state: MessagesState) -> dict[str, Any]:
        raise fault

    builder = StateGraph(MessagesState).add_sequence([("one", TWO.nodes["one"].runnable), ("fail", fail)])
    builder.add_edge(START, "one")

    async with opened(builder) as session:
        end = (await gather(session.run(Ask("q"))))[-1]
        assert isinstance(end, TurnFailed)
        assert isinstance(end.error, InternalError if isinstance(fault, KeyError) else ChatcliError)
        assert (end.content, end.model) == ("One.", "graph:test")
        assert [message.text for message in await session._thread.messages()] == ["q", "One."]
        assert not session.running


async def test_an_answer_that_can_not_be_stored_is_said_to_be_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    async def full(thread: GraphThread, **options: object) -> None:
        raise StoreError("the disk is full", remedy="Make room.")

    def fail(state: MessagesState) -> dict[str, Any]:
        monkeypatch.setattr(GraphThread, "snapshot", full)
        raise KeyError("the node's own fault")

    builder = StateGraph(MessagesState).add_sequence([("one", TWO.nodes["one"].runnable), ("fail", fail)])
    end = (await turn_of(builder.add_edge(START, "one")))[-1]
    assert isinstance(end, TurnFailed)
    assert (end.content, end.error.message) == ("One.", "the disk is full; this answer is not stored")
    assert end.error.remedy == "Make room."


async def test_a_turn_that_is_stopped_before_it_began_keeps_its_question() -> None:
    async with opened(says("never")) as session:
        question = HumanMessage("q", id="q")
        turn = RunningTurn(session._thread, "graph:test", {"messages": [question]}, question)
        turn.interrupt()
        events = [event async for event in turn.run()]
        assert [type(event) for event in events] == [TurnStarted, TurnInterrupted]
        snapshot = await session._thread.snapshot()
        assert ([message.text for message in snapshot.values["messages"]], snapshot.next) == (["q"], ("speak",))
        assert dict(snapshot.metadata or {})["chatcli_title"] == "q"


class HeldAtFirst(TurnLocks):
    """The locks of a store whose thread another process has at first."""

    def __init__(self) -> None:
        self.tries = 0

    def try_lock(self, thread_id: str) -> bool:
        self.tries += 1
        return self.tries > 2


async def test_a_turn_waits_while_another_process_has_one() -> None:
    async with opened(says("Hi")) as session:
        locks = session._thread.threads.locks = HeldAtFirst()
        events = await gather(session.run(Ask("q")))
        assert notices(events) == [("another chat is answering on this thread; waiting for it", "info")]
        assert locks.tries == 3
        assert isinstance(events[-1], TurnFinished)


async def test_text_that_piled_up_is_joined_unless_something_is_between() -> None:
    async def run(*events: Event) -> list[Event]:
        arrived: asyncio.Queue[Event | None] = asyncio.Queue()
        for event in (*events, None):
            arrived.put_nowait(event)
        return [event async for event in _coalesce_text(arrived)]

    a, b, notice = TextDelta("a", "n"), TextDelta("b", "n"), Notice("x")
    other, draft = TextDelta("c", "m"), TextDelta("d", "m", draft=True)
    assert (await run(a, b)) == [TextDelta("ab", "n")]
    assert (await run(a, notice, b, other, draft, draft)) == [*(a, notice, b, other, TextDelta("dd", "m", draft=True))]


async def _questions(session: Session) -> list[str]:
    return [message.text for message in await session._thread.messages() if message.type == "human"]


@pytest.mark.parametrize("state", ["empty", "waits", "stopped"])
async def test_a_question_that_was_never_asked_is_stored_unless_it_may_be_an_answer(state: str) -> None:
    def ask(state: Mapping[str, Any]) -> dict[str, Any]:
        return {"messages": [AIMessage(interrupt("sure?"))]}

    stops = {"interrupt_before": ["two"]} if state == "stopped" else {}
    async with opened(one_node(ask) if state == "waits" else TWO, **stops) as session:
        if state != "empty":
            await gather(session.run(Ask("first")))
        await store_unsent_question(session._thread, session.name, "q", [], {})
        assert await _questions(session) == (["q"] if state == "empty" else ["first"])


async def test_a_consumer_that_gives_up_ends_the_turn() -> None:
    async with opened(weighing()) as session:
        events = session.run(Ask("hang"))
        async for event in events:
            if isinstance(event, Notice):
                break
        await events.aclose()
        assert not session.running
        texts = [message.text for message in await session._thread.messages()]
        assert texts == ["hang", "Let me weigh it.", NO_RESULT]


async def test_a_graph_that_waits_or_stopped_takes_no_other_question_and_does_not_just_go_on() -> None:
    def ask(state: MessagesState) -> dict[str, Any]:
        return {"messages": [AIMessage(interrupt("sure?"))]}

    async def refusal(session: Session, request: Ask | Continue) -> ChatcliError:
        end = (await gather(session.run(request)))[-1]
        assert isinstance(end, TurnFailed)
        return end.error

    async with opened(one_node(ask)) as session:
        await gather(session.run(Ask("q")))
        for request in (Continue(), Ask("another")):
            assert isinstance(await refusal(session, request), UnansweredRequestError)
    async with opened(TWO, interrupt_before=["two"]) as session:
        await gather(session.run(Ask("q")))
        assert isinstance(await refusal(session, Ask("another")), StoppedGraphError)
        assert isinstance((await gather(session.run(Continue())))[-1], TurnFinished)
        assert isinstance(await refusal(session, Continue()), UsageError)


async def test_only_a_question_that_nothing_is_stored_behind_is_taken_back() -> None:
    async with opened(says("Hi")) as session:
        await gather(session.run(Ask("q")))
        assert not await session.take_back(began=False)
        assert [message.text for message in await session._thread.messages()] == ["q", "Hi"]
        await store_unsent_question(session._thread, session.name, "never sent", (), {})
        assert await session.take_back(began=False)
        assert [message.text for message in await session._thread.messages()] == ["q", "Hi"]
