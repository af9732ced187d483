"""Documents that are written into a store."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langgraph.checkpoint.base import BaseCheckpointSaver

from chatcli.store.location import StoreLocation
from chatcli.store.open import open_store
from chatcli.store.sqlite.open import SqliteSaver
from chatcli.transfer.document import ThreadDocument
from chatcli.transfer.store_documents import import_documents


async def test_the_work_of_an_import_grows_with_its_turns(tmp_path: Path) -> None:
    short, long = [await _work(tmp_path / f"{turns}.db", turns) for turns in (20, 80)]
    assert long < 5 * short


async def _work(path: Path, turns: int) -> int:
    """Import a thread of `turns` turns; return how many hundreds of instructions SQLite ran to write it."""
    ticks = 0

    def tick() -> None:
        nonlocal ticks
        ticks += 1

    @asynccontextmanager
    async def watched() -> AsyncIterator[BaseCheckpointSaver[str]]:
        async with store.staging() as staged:
            assert isinstance(staged, SqliteSaver)
            await staged.conn.set_progress_handler(tick, 100)
            yield staged
            await staged.conn.set_progress_handler(lambda: None, 0)

    messages: list[BaseMessage] = []
    for number in range(turns):
        messages += [
            HumanMessage(f"question {number}", id=f"q{number}"),
            AIMessage(f"answer {number}", id=f"a{number}"),
        ]
    async with open_store(StoreLocation(path)) as store:
        await import_documents(replace(store, staging=watched), [ThreadDocument("long", "", "", None, messages)])
        (thread,) = store.threads.recent()
        assert thread.turns == turns
    return ticks
