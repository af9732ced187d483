"""The text of a deleted thread is in no file of the store, even while another chat has the store open."""

import asyncio
from pathlib import Path

from langchain_core.messages import AIMessage, HumanMessage

from chatcli.graphs.chat.ask_node import MODEL_NODE
from chatcli.graphs.chat.graph import build_graph
from chatcli.store.location import StoreLocation
from chatcli.store.open import open_store
from chatcli.store.sqlite.threads import SqliteThreads
from chatcli.store.threads import Partial


async def test_deleted_text_stays_in_no_file_while_another_chat_is_open(tmp_path: Path) -> None:
    def files_with(word: str) -> list[str]:
        return [path.name for path in tmp_path.iterdir() if word.encode() in path.read_bytes()]

    async with open_store(StoreLocation(tmp_path / "threads.db")) as store:
        for thread_id, word in (("gone", "xylophone"), ("stays", "marimba")):
            config = {"configurable": {"thread_id": thread_id}, "metadata": {"chatcli_title": f"the {word}"}}
            messages = [HumanMessage(f"a {word}", id="q"), AIMessage(f"which {word}?", id="a")]
            await build_graph(store.checkpointer).aupdate_state(config, {"messages": messages}, as_node=MODEL_NODE)  # type: ignore[arg-type]
        store.threads.journal.save("gone", Partial("q", "half of a xylophone"))
        assert files_with("xylophone")
        await asyncio.to_thread(SqliteThreads(tmp_path / "threads.db").delete, ["gone"])
        assert files_with("xylophone") == []
        assert files_with("marimba")
        assert [thread.thread_id for thread in store.threads.recent()] == ["stays"]
        assert store.threads.journal.read("gone") is None
