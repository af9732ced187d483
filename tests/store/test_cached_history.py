"""What is kept in memory of a thread is what a fresh reader of the store sees."""

import random
import sys
from dataclasses import replace
from pathlib import Path

from langchain_core.language_models.fake_chat_models import FakeMessagesListChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage

from chatcli.graphs.chat.graph import build_graph
from chatcli.graphs.chat.session import ChatSession
from chatcli.graphs.chat.state import TurnContext
from chatcli.message import MessageShown
from chatcli.models.model import Limits, Model
from chatcli.models.names import ModelName
from chatcli.sessions.requests import Ask
from chatcli.store.location import StoreLocation
from chatcli.store.open import Store, open_store

ANSWER = AIMessage("an answer", response_metadata={"finish_reason": "stop"})
MODEL = Model(ModelName("openai", "list"), FakeMessagesListChatModel(responses=[ANSWER]), Limits())


def session_on(store: Store) -> ChatSession:
    return ChatSession(build_graph(store.checkpointer), store.threads, "shared", TurnContext(MODEL))


async def ask(session: ChatSession, question: str) -> None:
    async for _ in session.run(Ask(question)):
        pass


async def fresh(location: StoreLocation) -> list[MessageShown]:
    async with open_store(location) as store:
        return await session_on(store).history()


async def test_two_sessions_that_take_turns_rewind_and_fork_see_what_is_stored(tmp_path: Path) -> None:
    location = StoreLocation(tmp_path / "threads.db")
    dice = random.Random(3)

    async with open_store(location) as first, open_store(location) as second:
        sessions = [session_on(first), session_on(second)]
        for number in range(30):
            session = dice.choice(sessions)
            turns = await session.turns()
            if turns and dice.random() < 0.3:
                await session.rewind(dice.choice([*turns, None]))
            else:
                await ask(session, f"question {number}")
            expected = await fresh(location)
            assert await sessions[0].history() == expected
            assert await sessions[1].history() == expected


async def calls_of_turn(folder: Path, messages: int) -> int:
    """Return how many functions a turn calls that sends a few of so many `messages`, in a thread that is loaded."""
    async with open_store(StoreLocation(folder / f"{messages}.db")) as store:
        answers: list[BaseMessage] = [ANSWER.model_copy(update={"id": None}) for _ in range(4)]  # each gets its own ID
        turn = TurnContext(replace(MODEL, client=FakeMessagesListChatModel(responses=answers)), context_tokens=100)
        session = ChatSession(build_graph(store.checkpointer), store.threads, "long", turn)
        await ask(session, "the first question")
        kinds: list[type[HumanMessage | AIMessage]] = [HumanMessage, AIMessage]
        older: list[BaseMessage] = [kinds[place % 2]("some words", id=f"{place}") for place in range(messages)]
        await session._thread.append(session._thread.config(), older)
        for _ in range(2):
            await ask(session, "a question")
        counted = 0

        def count_call(frame: object, event: str, argument: object) -> None:
            nonlocal counted
            counted += event in ("call", "c_call")

        sys.setprofile(count_call)
        try:
            await ask(session, "a question")
        finally:
            sys.setprofile(None)
        return counted


async def test_a_late_turn_does_what_an_early_one_does(tmp_path: Path) -> None:
    early, late = [await calls_of_turn(tmp_path, messages) for messages in (200, 4000)]
    # For its mode "messages", LangGraph goes over all IDs before a node and after it; nothing else does.
    assert late < 1.2 * early + 2 * (4000 - 200)
