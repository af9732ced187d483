"""What is kept in memory of a thread is what a fresh reader of the store sees."""

import random
from pathlib import Path

from langchain_core.language_models.fake_chat_models import FakeMessagesListChatModel
from langchain_core.messages import AIMessage

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
