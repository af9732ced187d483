"""Stores that other programs made, newer ones, damaged ones, and disks without room."""

import asyncio
import os
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.graph import END, START, MessagesState, StateGraph

from tests.e2e.checks import assert_reported
from tests.e2e.program import Chat, Home
from tests.fakes.openai_server import FakeOpenAI
from tests.fakes.steps import Answer

COMMANDS = [
    ("-t", "abc", "hello"),
    ("threads", "list"),
    ("threads", "search", "hello"),
    ("threads", "delete", "abc"),
    ("threads", "prune", "--yes", "--older-than", "0h"),
    ("threads", "import", "-"),
]
THREAD = '{"format": "chatcli-thread", "version": 1, "thread_id": "x", "messages": [{"role": "user", "content": "x"}]}'


def _answer(state: MessagesState) -> dict[str, list[AnyMessage]]:
    return {"messages": [AIMessage(f"plain answer to {state['messages'][-1].text}", id=f"a{len(state['messages'])}")]}


async def _plain_thread(path: Path) -> None:
    """Let the graph of LangGraph's tutorial run two turns on its own saver."""
    builder = StateGraph(MessagesState)
    builder.add_node("chatbot", _answer)
    builder.add_edge(START, "chatbot")
    builder.add_edge("chatbot", END)
    async with AsyncSqliteSaver.from_conn_string(str(path)) as saver:
        graph = builder.compile(checkpointer=saver)
        for text in ("one", "two"):
            await graph.ainvoke({"messages": [HumanMessage(text)]}, {"configurable": {"thread_id": "1"}})


def test_a_thread_of_a_plain_langgraph_graph_opens_shows_and_continues(
    chat: Chat, fake: FakeOpenAI, home: Home
) -> None:
    store = home.work / "plain.db"
    asyncio.run(_plain_thread(store))
    uri = f"sqlite:///{store}"
    said = ["one", "plain answer to one", "two", "plain answer to two"]
    assert chat("--store", uri, "-t", "1", "three").stdout == "You said: three\n"
    assert [text for _, text in fake.requests[0].messages] == [*said, "three"]
    shown = chat("threads", "show", "1", "--json", "--store", uri).json()
    assert [message["content"] for message in shown["messages"]] == [*said, "three", "You said: three"]
    assert chat("threads", "export", "1", "--store", uri).stdout.count("plain answer") == 2
    assert {match["thread_id"] for match in chat("threads", "search", "plain", "--json", "--store", uri).json()} == {
        "1"
    }


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_a_store_of_a_newer_chatcli_is_left_alone(
    chat: Chat, fake: FakeOpenAI, home: Home, arguments: tuple[str, ...]
) -> None:
    store = home.work / "newer.db"
    with closing(sqlite3.connect(store)) as connection:
        connection.executescript("PRAGMA user_version = 99; CREATE TABLE checkpoints (a); CREATE TABLE writes (a);")
    before = store.read_bytes()
    result = chat(*arguments, env={"CHATCLI_STORE": f"sqlite:///{store}"}, input=THREAD if "-" in arguments else None)
    assert_reported(result, 5)
    assert "newer chatcli" in result.stderr
    assert store.read_bytes() == before
    assert [path.name for path in home.work.iterdir()] == ["newer.db"]


@pytest.mark.parametrize("damage", ["text", "cut", "zeros"])
def test_a_damaged_store_is_left_byte_for_byte(chat: Chat, fake: FakeOpenAI, home: Home, damage: str) -> None:
    store = home.work / "damaged.db"
    env = {"CHATCLI_STORE": f"sqlite:///{store}"}
    fake.default = Answer("hello " * 5_000)
    assert chat("-t", "abc", "hello", env=env).returncode == 0
    whole = store.read_bytes()
    # The first page says how long the file is and which tables there are: it stays, to be believed.
    damaged = {
        "text": b"this is no database. " * 999,
        "cut": whole[: 8192 * 3 // 2],
        "zeros": whole[:8192] + bytes(len(whole) - 8192),
    }[damage]
    store.write_bytes(damaged)
    for arguments in COMMANDS:
        result = chat(*arguments, env=env, input=THREAD if "-" in arguments else None)
        assert_reported(result, 5)
        assert store.read_bytes() == damaged, arguments


@pytest.fixture
def small_disk(home: Home) -> Iterator[Path]:
    """Give a folder on a disk of 1 MB; only root may mount one."""
    folder = home.root / "disk"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", folder], check=False).returncode:
        pytest.skip("mounting needs root")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_disk_that_fills_costs_nothing_that_was_stored(
    chat: Chat, fake: FakeOpenAI, home: Home, small_disk: Path
) -> None:
    env = {"CHATCLI_STORE": f"sqlite:///{small_disk}/threads.db"}
    assert chat("-t", "abc", "hello", env=env).returncode == 0
    incompressible = os.urandom(1_000_000).hex()
    result = chat("-t", "abc", input=incompressible, env=env)
    assert_reported(result, 5)
    assert "disk is full" in result.stderr
    (home.work / "big.json").write_text(THREAD.replace('"content": "x"', f'"content": "{incompressible}"'))
    assert_reported(chat("threads", "import", "big.json", env=env), 5)
    assert not list(small_disk.glob(".import-*"))
    with closing(sqlite3.connect(small_disk / "threads.db")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    listed = chat("threads", "list", "--json", env=env).json()
    assert [(thread["thread_id"], thread["title"]) for thread in listed] == [("abc", "hello")]
    assert chat("-t", "abc", "again", env=env).stdout == "You said: again\n"
    shown = chat("threads", "show", "abc", "--json", env=env).json()["messages"]
    assert [message["content"] for message in shown][:2] == ["hello", "You said: hello"]


def test_an_answer_that_the_full_disk_does_not_take_is_named(
    chat: Chat, fake: FakeOpenAI, home: Home, small_disk: Path
) -> None:
    env = {"CHATCLI_STORE": f"sqlite:///{small_disk}/threads.db"}
    assert chat("-t", "abc", "hello", env=env).returncode == 0
    fake.default = Answer(os.urandom(1_000_000).hex())
    # Once: what the journal of a slow run takes may leave no room for another question.
    result = chat("-t", "abc", "again", "--json", env=env)
    assert_reported(result, 5)
    assert result.json()["error"]["code"] == "store"
    for shown in (result.stderr, result.json()["error"]["message"]):
        assert "the disk is full; this answer is not stored" in shown


def test_a_turn_on_a_read_only_disk_is_refused_before_it_is_sent(
    chat: Chat, fake: FakeOpenAI, home: Home, small_disk: Path
) -> None:
    env = {"CHATCLI_STORE": f"sqlite:///{small_disk}/threads.db"}
    assert chat("-t", "abc", "hello", env=env).returncode == 0
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    for reading in ("list --json", "show abc", "search hello", "export abc"):
        assert "hello" in chat("threads", *reading.split(), env=env).stdout
    for writing in ("-t abc again", "-t new again", "threads delete abc --yes"):
        result = chat(*writing.split(), env=env)
        assert_reported(result, 5)
        assert "read-only" in result.stderr
    assert len(fake.requests) == 1
