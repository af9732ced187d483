"""How a thread's cost grows: 1,000 turns of 200 + 2,000 characters, beside the tutorial's chatbot.

Run it with `python tests/bench/growth.py [TURNS]`. The naive graph (a plain `add_messages` state on the same SQLite
checkpointer) is run for fewer turns, since its store grows with the square.
"""

import asyncio
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, TypedDict

import aiosqlite
from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AnyMessage, BaseMessage, HumanMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.graph import START, StateGraph
from langgraph.graph.message import add_messages
from pydantic import PrivateAttr

from chatcli.graphs.chat.graph import build_graph
from chatcli.graphs.chat.session import ChatSession
from chatcli.graphs.chat.state import TurnContext
from chatcli.models.model import Limits, Model
from chatcli.models.names import ModelName
from chatcli.roles import Setup
from chatcli.runtime.deferred_packages import put_off_collections, resume_collections
from chatcli.sessions.requests import Ask
from chatcli.store.location import StoreLocation
from chatcli.store.open import open_store

TURNS = 1000
NAIVE_TURNS = 200
QUESTION, ANSWER = 200, 2000
THREAD = "growth"


def prose(seed: int) -> Iterator[str]:
    """Yield words that do not repeat themselves as a whole, with the frequencies of natural language (Zipf)."""
    dice = random.Random(seed)
    letters, weights = "etaoinshrdlucmfwypvbgkjqxz", [12, 9, 8, 8, 7, 7, 6, 6, 6, 4, 4, 3] + [2] * 10 + [1] * 4
    vocabulary = ["".join(dice.choices(letters, weights, k=dice.randint(2, 10))) for _ in range(20_000)]
    ranks = [1 / (rank + 3) for rank in range(len(vocabulary))]
    while True:
        yield from dice.choices(vocabulary, ranks, k=1000)


class Author:
    """Writes texts of a given length."""

    def __init__(self, seed: int) -> None:
        self._words = prose(seed)

    def write(self, length: int) -> str:
        """Return `length` characters."""
        text = ""
        while len(text) < length:
            text += next(self._words) + " "
        return text[:length]


class InstantModel(BaseChatModel):
    """Answers at once, so that only the client's own time is measured."""

    _author: Author = PrivateAttr(default_factory=lambda: Author(2))

    @property
    def _llm_type(self) -> str:
        return "instant"

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        answer = AIMessage(self._author.write(ANSWER), response_metadata={"finish_reason": "stop"})
        return ChatResult(generations=[ChatGeneration(message=answer)])


class NaiveState(TypedDict):
    """The tutorial's state."""

    messages: Annotated[list[AnyMessage], add_messages]


async def run_ours(path: Path, turns: int) -> list[float]:
    """Hold a conversation of `turns` turns through `Session`; return each turn's milliseconds."""
    model = Model(ModelName("openai", "instant"), InstantModel(), Limits(window=8192, answer=1024))
    async with open_store(StoreLocation(path)) as store:
        turn = TurnContext(model)
        session = ChatSession(build_graph(store.checkpointer), store.threads, THREAD, turn, stored=Setup())

        async def ask(question: str) -> None:
            async for _event in session.run(Ask(question)):
                pass

        return await timed(ask, turns)


async def run_naive(path: Path, turns: int) -> list[float]:
    """Hold the same conversation through the tutorial's graph."""
    model = InstantModel()

    async def chatbot(state: NaiveState) -> dict[str, list[BaseMessage]]:
        return {"messages": [await model.ainvoke(state["messages"][-8:])]}

    builder = StateGraph(NaiveState)
    builder.add_node("chatbot", chatbot)
    builder.add_edge(START, "chatbot")
    async with aiosqlite.connect(path) as connection:
        graph = builder.compile(checkpointer=AsyncSqliteSaver(connection))

        async def ask(question: str) -> None:
            await graph.ainvoke({"messages": [HumanMessage(question)]}, {"configurable": {"thread_id": THREAD}})

        return await timed(ask, turns)


async def timed(ask: Callable[[str], Awaitable[None]], turns: int) -> list[float]:
    """Ask `turns` questions one after the other."""
    author = Author(1)
    milliseconds = []
    for _ in range(turns):
        question = author.write(QUESTION)
        started = time.perf_counter()
        await ask(question)
        milliseconds.append((time.perf_counter() - started) * 1000)
    return milliseconds


def around(milliseconds: list[float], turn: int) -> float:
    """Return the median of the ten turns up to `turn`."""
    return statistics.median(milliseconds[max(turn - 10, 0) : turn])


def size(path: Path) -> int:
    """Return the bytes of the store with its write-ahead log."""
    return sum(file.stat().st_size for file in path.parent.glob(f"{path.name}*"))


def resume_time(path: Path) -> float:
    """Return the seconds from process start until the thread's messages are read, the median of five runs."""
    command = [sys.executable, "-m", "chatcli", "--store", f"sqlite:///{path}", "threads", "show", THREAD, "--json"]
    seconds = []
    for _ in range(5):
        started = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


def report(name: str, milliseconds: list[float], stored: int) -> None:
    """Print a row of the table."""
    turns = len(milliseconds)
    ratio = stored / (turns * (QUESTION + ANSWER))
    times = " ".join(f"{around(milliseconds, turn):8.1f}" for turn in (10, min(100, turns), turns))
    print(f"{name:24} {turns:6} {stored / 1e6:9.2f} {ratio:9.2f} {times}")


def main() -> None:
    """Print the table."""
    turns = int(sys.argv[1]) if len(sys.argv) > 1 else TURNS
    put_off_collections()
    resume_collections()  # what was imported is left alone, as in `chat`
    with tempfile.TemporaryDirectory() as folder:
        ours, short, naive = (Path(folder) / name / "threads.db" for name in ("ours", "short", "naive"))
        print(f"{'':24} {'turns':>6} {'MB':>9} {'B per B':>9} {'ms @10':>8} {'@100':>8} {'@last':>8}")
        naive.parent.mkdir()
        times = asyncio.run(run_naive(naive, min(turns, NAIVE_TURNS)))
        report("tutorial's graph", times, size(naive))
        times = asyncio.run(run_ours(ours, turns))
        report("chatcli", times, size(ours))
        print(f"a turn at {turns} against one at 10: {around(times, turns) / around(times, 10):.2f} times")
        asyncio.run(run_ours(short, 10))
        late, early = resume_time(ours), resume_time(short)
        print(f"reading the thread, from process start: {early:.2f} s at 10 turns, {late:.2f} s at {turns}", end="")
        print(f" ({late / early:.2f} times, {(late - early) * 1000:+.0f} ms)")


if __name__ == "__main__":
    main()
