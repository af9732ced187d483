"""The text of a deleted thread is in no file of the store, even while another chat has the store open."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.messages.ai import UsageMetadata

from chatcli.graphs.chat.ask_node import MODEL_NODE
from chatcli.graphs.chat.graph import build_graph
from chatcli.store.location import StoreLocation
from chatcli.store.open import open_store
from chatcli.store.sqlite.threads import SqliteThreads
from chatcli.store.threads import Partial


@pytest.fixture(autouse=True)
def _keeps_what_is_deleted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let SQLite leave deleted bytes where they are, as builds without SQLITE_SECURE_DELETE do."""
    connect = sqlite3.connect

    def connecting(*args: Any, **options: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = connect(*args, **options)
        connection.execute("PRAGMA secure_delete = OFF")
        return connection

    monkeypatch.setattr(sqlite3, "connect", connecting)


async def test_deleted_text_stays_in_no_file_while_another_chat_is_open(tmp_path: Path) -> None:
    def files_with(word: str) -> list[str]:
        return [path.name for path in tmp_path.iterdir() if word.encode() in path.read_bytes()]

    async with open_store(StoreLocation(tmp_path / "threads.db")) as store:
        for thread_id, word in (("gone", "xylophone"), ("stays", "marimba")):
            config = {"configurable": {"thread_id": thread_id}, "metadata": {"chatcli_title": f"the {word}"}}
            graph = build_graph(store.checkpointer)
            used = UsageMetadata(input_tokens=1, output_tokens=2, total_tokens=3)
            answer = AIMessage(f"which {word}?", id="a", usage_metadata=used)
            for message in (HumanMessage(f"a {word}", id="q"), answer):
                await graph.aupdate_state(config, {"messages": [message]}, as_node=MODEL_NODE)  # type: ignore[arg-type]
            assert store.threads.search(word)
            assert store.threads.usage(thread_id)
        store.threads.journal.save("gone", Partial("q", "half of a xylophone"))
        assert files_with("xylophone")
        await asyncio.to_thread(SqliteThreads(tmp_path / "threads.db").delete, ["gone"])
        assert files_with("xylophone") == []
        with closing(sqlite3.connect(tmp_path / "threads.db")) as connection:
            assert connection.execute("SELECT DISTINCT thread_id FROM usage").fetchall() == [("stays",)]
        assert files_with("marimba")
        assert [thread.thread_id for thread in store.threads.recent()] == ["stays"]
        assert store.threads.journal.read("gone") is None


async def test_the_space_of_a_deleted_thread_is_given_back(tmp_path: Path) -> None:
    async with open_store(StoreLocation(tmp_path / "threads.db")) as store:
        for number in range(10):
            config = {"configurable": {"thread_id": "gone"}, "metadata": {"chatcli_title": "long"}}
            message = AIMessage(f"{number} " * 20_000, id=str(number))
            await build_graph(store.checkpointer).aupdate_state(config, {"messages": [message]}, as_node=MODEL_NODE)  # type: ignore[arg-type]
        await asyncio.to_thread(store.threads.delete, ["gone"])
    with closing(sqlite3.connect(tmp_path / "threads.db")) as connection:
        assert connection.execute("PRAGMA freelist_count").fetchone() == (0,)
