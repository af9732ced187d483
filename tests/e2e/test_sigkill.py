"""A process that is killed outright, at any moment, costs nothing that was stored or had been shown for a while."""

import random
import sqlite3
import subprocess
import time
from contextlib import closing
from pathlib import Path

from tests.e2e.program import Chat
from tests.fakes.openai_server import FakeOpenAI
from tests.fakes.steps import Answer, Request, Stall
from tests.waiting import WAIT_SECONDS, wait_until

THREADS = [f"killed-{number}" for number in range(8)]
"""They take turns: a turn costs more the longer its thread is."""


def answer_to(question: str) -> str:
    return f"the answer to {question}: " + " ".join(f"{question}-{word}" for word in range(40))


def answering(request: Request) -> Answer:
    """Take some 50 ms for an answer."""
    return Answer(answer_to(request.last.splitlines()[-1]), chunks=10, delay=0.005)


def test_kills_lose_nothing(chat: Chat, fake: FakeOpenAI, weekly: bool) -> None:
    kills = 200 if weekly else 50
    fake.default = answering
    dice = random.Random(7)
    turn = 0.0
    """Seconds that a turn takes at the moment."""
    shown: dict[str, str] = {}
    for number in range(kills):
        question = f"q{number}"
        running = chat.start("-t", THREADS[number % len(THREADS)], question)
        # The first turn of a thread may end: then the thread exists, and the time of a turn is known.
        limit = dice.uniform(0, 2 * turn) if number >= len(THREADS) else WAIT_SECONDS
        begun = time.monotonic()
        try:
            running.process.wait(limit)
            turn = time.monotonic() - begun
        except subprocess.TimeoutExpired:
            turn = max(turn, limit)
        running.process.kill()
        shown[question] = running.finish().stdout

    database = Path(chat.home.env["XDG_DATA_HOME"]) / "chatcli" / "threads.db"
    with sqlite3.connect(database) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()
    messages = [message for thread in THREADS for message in chat.messages(thread)]
    questions = [message["content"] for message in messages if message["role"] == "user"]
    assert len(set(questions)) == len(questions)
    sent = {request.last.splitlines()[-1] for request in fake.requests}
    assert sent <= set(questions), "a question is stored before it is sent"
    whole = {question for question, text in shown.items() if text == answer_to(question) + "\n"}
    assert kills / 20 < len(whole) < kills * 19 / 20, "the kills fell before and after the ends of turns"
    answers = {
        message["content"] for message in messages if message["role"] == "assistant" and not message["interrupted"]
    }
    assert {answer_to(question) for question in whole} <= answers


def test_an_answer_on_its_way_survives_a_kill(chat: Chat, fake: FakeOpenAI) -> None:
    fake.script(Stall("the beginning of an answer"))
    running = chat.start("-t", "abc", "why?")
    running.wait_for_output("the beginning of an answer")
    wait_for_journal(chat)
    running.process.kill()
    running.finish()
    assert [(m["content"], m["interrupted"]) for m in chat.messages("abc")] == [
        ("why?", False),
        ("the beginning of an answer", True),
    ]
    result = chat("-t", "abc", "go on")
    assert result.returncode == 0, result
    assert [text for _, text in fake.requests[-1].messages] == ["why?", "the beginning of an answer", "go on"]


ASKING = """
from langchain_openai import ChatOpenAI
from langgraph.graph import START, MessagesState, StateGraph

async def ask(state):
    return {"messages": [await ChatOpenAI(model="gpt-fake").ainvoke(state["messages"])]}

graph = StateGraph(MessagesState).add_node(ask).add_edge(START, "ask")
"""
"""A user graph, which asks a model."""


def test_an_answer_of_a_user_graph_survives_a_kill(chat: Chat, fake: FakeOpenAI) -> None:
    (chat.home.work / "asking.py").write_text(ASKING)
    fake.script(Stall("the beginning of an answer"))
    running = chat.start("--graph", "asking.py:graph", "--node", "ask", "-t", "abc", "why?")
    running.wait_for_output("the beginning of an answer")
    wait_for_journal(chat)
    running.process.kill()
    running.finish()
    kept = [("why?", False), ("the beginning of an answer", True)]
    assert [(m["content"], m["interrupted"]) for m in chat.messages("abc")] == kept
    assert "the beginning of an answer" in chat("threads", "export", "abc").stdout
    result = chat("-t", "abc", "go on")
    assert result.returncode == 0, result
    assert [text for _, text in fake.requests[-1].messages] == ["why?", "the beginning of an answer", "go on"]
    answered = [("go on", False), ("You said: go on", False)]
    assert [(m["content"], m["interrupted"]) for m in chat.messages("abc")] == [*kept, *answered]


def wait_for_journal(chat: Chat) -> None:
    """Wait until the answer that is on its way stands in the journal."""
    database = Path(chat.home.env["XDG_DATA_HOME"]) / "chatcli" / "threads.db"

    def is_written() -> bool:
        with closing(sqlite3.connect(database)) as connection:
            return connection.execute("SELECT text FROM journal").fetchone() is not None

    wait_until(is_written)
