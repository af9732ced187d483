"""What a session does to its thread: edits of the state, going back, and the answers to what the graph waits for."""

import asyncio
from threading import Event as Signal
from typing import Any

import pytest
from langchain_core.messages import AIMessage
from langgraph.graph import START, StateGraph
from langgraph.types import interrupt

from chatcli.errors import UnansweredRequestError, UsageError
from chatcli.events import ApprovalRequested, Event, Notice, TurnFailed, TurnFinished, TurnInterrupted, TurnStarted
from chatcli.sessions.requests import AnswerInWords, Ask, Resume, Retry
from chatcli.sessions.session import Session
from tests.sessions.test_any_graph import Counted, asking, gather, opened
from tests.waiting import WAIT_SECONDS


def count(state: Counted) -> dict[str, Any]:
    asked = (state.get("asked") or 0) + 1
    return {"messages": [AIMessage(f"answer {asked}")], "asked": asked}


COUNTING = StateGraph(Counted).add_node("count", count).add_edge(START, "count")


def both(state: Counted) -> dict[str, Any]:
    return {"messages": [AIMessage(interrupt(f"{len(state['messages'])}?"))]}


TWO_ASK = StateGraph(Counted).add_node("one", both).add_node("two", both).add_edge(START, "one").add_edge(START, "two")


async def texts(session: Session) -> list[str]:
    return [shown.text for shown in await session.history()]


def end_of(events: list[Event]) -> TurnFinished:
    assert isinstance(events[-1], TurnFinished), events
    return events[-1]


def failure(events: list[Event]) -> str:
    assert isinstance(events[-1], TurnFailed), events
    return events[-1].error.message


async def _undo(session: Session) -> None:
    await session.undo()


async def _rewind(session: Session) -> None:
    await session.rewind((await session.turns())[-1])


@pytest.mark.parametrize("back", [_undo, _rewind])
async def test_an_edit_of_the_state_is_a_branch_that_is_left_first(back: Any) -> None:
    async with opened(COUNTING) as session:
        await gather(session.run(Ask("one")))
        assert await session.edit_state("asked", "7") == 7
        assert (len(await session.turns()), await session._thread.turn_number(new=False)) == (1, 1)
        await back(session)
        assert (await session.state())["asked"] == 1
        assert await texts(session) == ["one", "answer 1"]
        await session.edit_state("asked", "7")
        await session.edit_state("asked", "8")
        await session.undo(2)
        assert (await session.state())["asked"] == 1
        await session.edit_state("asked", "7")
        assert end_of(await gather(session.run(Ask("two")))).content == "answer 8"
        await session.undo()
        assert (await session.state())["asked"] == 7  # the question was asked after the edit
        await session.undo(2)
        assert (await session.state(), await texts(session)) == ({}, [])


@pytest.mark.parametrize(
    ("asked", "name", "text", "words"),
    [
        (True, "nothing", "1", "has no key nothing"),
        (True, "messages", "[]", "has no key messages"),
        (True, "asked", "many", "does not fit"),
        (False, "asked", "1", "no state yet"),
    ],
)
async def test_an_edit_that_can_not_be_made_is_refused(name: str, text: str, words: str, *, asked: bool) -> None:
    async with opened(COUNTING) as session:
        if asked:
            await gather(session.run(Ask("one")))
        before = await session._thread.checkpoint_id()
        with pytest.raises(UsageError, match=words):
            await session.edit_state(name, text)
        assert await session._thread.checkpoint_id() == before


async def test_no_more_turns_are_undone_than_there_are() -> None:
    async with opened(COUNTING) as session:
        for text in ("one", "two", "three"):
            await gather(session.run(Ask(text)))
        for count in (0, 4, -1):
            with pytest.raises(UsageError, match=f"there are 3 turns to undo, not {count}"):
                await session.undo(count)
        await session.undo(2)
        assert await texts(session) == ["one", "answer 1"]
        await gather(session.run(Ask("four")))
        turns = await session.turns()
        assert [(turn.title, turn.parent, turn.current) for turn in turns] == [
            *(("one", None, True), ("two", 1, False), ("three", 2, False), ("four", 1, True))
        ]
        assert await session._thread.turn_number(new=False) == 2
        await session.rewind(turns[2])
        assert (await texts(session))[-1] == "answer 3"
        assert await session._thread.turn_number(new=False) == 3
        await session.rewind(None)
        assert (await texts(session), await session._thread.turn_number(new=False)) == ([], 0)


async def test_a_question_is_asked_again_on_a_new_branch_or_where_it_waits() -> None:
    async with opened(COUNTING) as session:
        assert "no question" in failure(await gather(session.run(Retry())))
        await gather(session.run(Ask("one")))
        assert end_of(await gather(session.run(Retry()))).content == "answer 1"
        assert [turn.parent for turn in await session.turns()] == [None, None]
        session.interrupt()  # without a turn, it does nothing
        question = (await session._thread.messages())[0]
        await session.rewind(None)
        await session._thread.keep_question(session._thread.config(session.name, turn=1), question, {})  # type: ignore[arg-type]
        assert end_of(await gather(session.run(Retry()))).content == "answer 1"
        assert await texts(session) == ["one", "answer 1"]


async def test_nobody_answers_what_he_has_not_seen() -> None:
    async with opened(asking()) as session:
        await gather(session.run(Ask("hi")))
        other = Session(session._thread, session.name)  # as in another process
        [shown] = await gather(other.run(Ask("yes", typed=True)))
        assert isinstance(shown, ApprovalRequested)
        assert (await other.open_request()) == shown
        events = await gather(other.run(Ask("yes", typed=True)))
        assert [event.payload for event in events if isinstance(event, ApprovalRequested)] == ["second?"]
        assert end_of(await gather(other.run(Ask("no", typed=True)))).content == "yes and no"
        assert await other.open_request() is None
        third = Session(session._thread, session.name)
        await gather(third.run(Ask("again")))
        fourth = Session(session._thread, session.name)
        await fourth.pending(shown=False)
        assert isinstance((await gather(fourth.run(Ask("yes", typed=True))))[0], ApprovalRequested)
        fifth = Session(session._thread, session.name)
        await fifth.pending()
        assert end_of(await gather(fifth.run(Ask("yes", typed=True)))).finish_reason == "interrupt"


async def test_a_turn_goes_on_when_all_of_several_requests_are_answered() -> None:
    async with opened(TWO_ASK) as session:
        events = await gather(session.run(Ask("hi")))
        first, second = (event for event in events if isinstance(event, ApprovalRequested))
        assert await gather(session.run(Ask("yes", typed=True))) == [second]
        assert await session.open_request() == second
        end_of(await gather(session.run(Ask("no", typed=True))))
        assert sorted(await texts(session)) == ["hi", "no", "yes"]
        assert await session.pending() == ()
        await gather(session.run(Ask("again")))
        pending = await session.pending()
        assert "waits for 2 answers" in failure(await gather(session.run(Resume("yes"))))
        assert "waits for" in failure(await gather(session.run(Resume({}))))
        assert "waits for" in failure(await gather(session.run(Resume({"unknown": 1}))))
        end_of(await gather(session.run(Resume({request.interrupt_id: "yes" for request in pending}))))
        assert "waits for no answer" in failure(await gather(session.run(Resume({first.interrupt_id: "x"}))))


async def test_requests_come_in_the_order_in_which_they_are_answered() -> None:
    later = Signal()

    def first(state: Counted) -> dict[str, Any]:
        later.wait(WAIT_SECONDS)
        return {"messages": [AIMessage(interrupt("the first?"))]}

    def second(state: Counted) -> dict[str, Any]:
        try:
            return {"messages": [AIMessage(interrupt("the second?"))]}
        finally:
            later.set()

    graph = StateGraph(Counted).add_node("1", first).add_node("2", second).add_edge(START, "1").add_edge(START, "2")

    async with opened(graph) as session:
        events = await gather(session.run(Ask("hi")))
        shown = [event.payload for event in events if isinstance(event, ApprovalRequested)]
        assert shown == [each.payload for each in await session.pending()] == ["the first?", "the second?"]


async def test_what_waits_refuses_a_question_another_try_and_an_edit() -> None:
    async with opened(asking()) as session:
        await gather(session.run(Ask("hi")))
        failed = (await gather(session.run(Ask("what?"))))[-1]
        assert isinstance(failed, TurnFailed)
        assert isinstance(failed.error, UnansweredRequestError)
        assert "waits for an answer" in failure(await gather(session.run(Retry())))
        with pytest.raises(UnansweredRequestError):
            await session.edit_state("asked", "1")
        assert await texts(session) == ["hi"]
        end_of(await gather(session.run(AnswerInWords("one"))))
        end_of(await gather(session.run(Resume("two"))))
        assert (await texts(session))[-1] == "one and two"
        assert "nothing to go on" in failure(await gather(session.run(Resume(None))))
        assert "nothing to go on" in failure(await gather(session.run(AnswerInWords("null"))))


async def test_a_turn_that_is_stopped_while_it_is_prepared_asks_nothing() -> None:
    async with opened(COUNTING) as session:
        events = session.run(Ask("one"))
        begun = asyncio.ensure_future(anext(events))
        await asyncio.sleep(0)
        session.interrupt()
        assert isinstance(await begun, TurnStarted)
        assert isinstance((await gather(events))[-1], TurnInterrupted)
        assert "answer 1" not in await texts(session)
        assert end_of(await gather(session.run(Ask("two")))).content == "answer 1"


async def stopped_when_ready(session: Session, question: Ask) -> None:
    """Run the turn of `question`, and stop it when it is prepared and before it runs."""
    begun = asyncio.ensure_future(gather(session.run(question)))
    await asyncio.sleep(0)
    [preparing] = session._work._tasks
    preparing.add_done_callback(lambda _: session.interrupt())
    assert isinstance((await begun)[-1], TurnInterrupted)


async def test_a_stop_when_the_question_is_ready_stops_the_turn() -> None:
    async with opened(COUNTING) as session:
        await stopped_when_ready(session, Ask("one"))
        assert "answer 1" not in await texts(session)


async def test_an_answer_that_was_stopped_before_it_was_given_is_given_anew() -> None:
    async with opened(asking()) as session:
        await gather(session.run(Ask("hi")))
        await stopped_when_ready(session, Ask("yes", typed=True))
        await gather(session.run(Ask("perhaps", typed=True)))
        assert end_of(await gather(session.run(Ask("no", typed=True)))).content == "perhaps and no"


async def test_no_session_runs_after_its_turn() -> None:
    async with opened(COUNTING) as session:
        running = [session.running async for _ in session.run(Ask("one"))]
        assert (any(running), session.running) == (True, False)


async def test_a_watched_session_says_what_a_turn_changed() -> None:
    async with opened(COUNTING) as session:
        session.watching = True
        events = await gather(session.run(Ask("one")))
        assert events[-2] == Notice("state: asked = 1")
