"""A damaged store that is rescued: what is kept of it, and that the damaged one outlasts it, as it was."""

import asyncio
import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from langchain_core.messages import AIMessage, HumanMessage

from chatcli.errors import StoreError
from chatcli.store.items import open_sqlite_items
from chatcli.store.location import StoreLocation
from chatcli.store.open import open_store
from chatcli.store.sqlite.threads import SqliteThreads
from chatcli.store.threads import Partial
from chatcli.transfer.document import ThreadDocument
from chatcli.transfer.rescue import rescue
from chatcli.transfer.store_documents import import_documents

PARTIAL = Partial("q", "on its way")


@pytest.fixture
def damaged(tmp_path: Path) -> Path:
    """Return a store as a killed process left it, with a write-ahead log: one of its two threads is damaged."""
    made, path = tmp_path / "made" / "threads.db", tmp_path / "kept" / "threads.db"
    path.parent.mkdir()

    async def fill() -> None:
        async with open_store(StoreLocation(made)) as store:
            for name in ("good", "bad"):
                said = [HumanMessage(f"{name} question", id=f"{name}-q"), AIMessage(f"{name} answer", id=f"{name}-a")]
                await import_documents(store, [ThreadDocument(name, f"The {name} one", "openai:gpt", None, said)])
            store.threads.rename("good", "Renamed")
            store.threads.journal.save("good", PARTIAL)

    asyncio.run(fill())
    with open_sqlite_items(made) as items:
        items.put(("notes",), "key", {"text": "kept"})
    with closing(sqlite3.connect(made)) as connection:
        messages = "thread_id = 'bad' AND channel = 'messages'"
        [(last,)] = connection.execute(f"SELECT max(checkpoint_id) FROM writes WHERE {messages}")
        connection.execute(f"UPDATE writes SET value = x'00' WHERE {messages} AND checkpoint_id = ?", (last,))
        connection.execute("UPDATE threads SET updated_at = '2001-02-03T04:05:06.789Z' WHERE thread_id = 'good'")
        connection.commit()
        for suffix in ("", "-wal"):
            shutil.copy(f"{made}{suffix}", f"{path}{suffix}")
    assert path.with_name("threads.db-wal").stat().st_size > 0
    return path


def _texts(path: Path, thread_id: str) -> list[str]:
    return [message.text for message in SqliteThreads(path).newest_messages(thread_id, 9)]


def test_what_can_be_read_is_kept_and_the_damaged_store_beside_it(damaged: Path) -> None:
    log = damaged.with_name("threads.db-wal")
    before, log_before = damaged.read_bytes(), log.read_bytes()
    lines = asyncio.run(rescue(damaged))
    assert lines[0].startswith("the thread bad was damaged: ")
    assert lines[0].endswith(", 2 of 2 messages are kept")  # the index of messages has their texts
    backup = damaged.with_name("threads.db.damaged")
    assert lines[-1] == f"the damaged store is kept as {backup}"
    assert (backup.read_bytes(), backup.with_name(f"{backup.name}-wal").read_bytes()) == (before, log_before)
    assert not log.exists()  # SQLite would apply it to the new store
    threads = SqliteThreads(damaged)
    assert _texts(damaged, "good") == ["good question", "good answer"]
    assert _texts(damaged, "bad") == ["bad question", "bad answer"]
    good = threads.find("good")
    assert good is not None
    assert (good.title, good.updated_at) == ("Renamed", "2001-02-03T04:05:06.789Z")
    assert threads.journal.read("good") == PARTIAL
    with open_sqlite_items(damaged) as items:
        found = items.get(("notes",), "key")
    assert found is not None
    assert found.value == {"text": "kept"}
    assert "kept as" in asyncio.run(rescue(damaged))[-1]
    assert backup.read_bytes() == before
    assert damaged.with_name("threads.db.damaged-2").exists()


def test_the_copies_are_on_the_disk_before_the_store_is_replaced(
    damaged: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, real, synced = damaged.stat(), os.fsync, list[tuple[str, bool]]()

    def fsync(descriptor: int) -> None:
        for name in ("threads.db.damaged", "threads.db.damaged-wal"):
            copy = damaged.with_name(name)
            if copy.exists() and os.path.samestat(os.fstat(descriptor), copy.stat()):
                synced.append((name, os.path.samestat(damaged.stat(), before)))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr("chatcli.runtime.files.write_to_disk.__defaults__", (None,))
    asyncio.run(rescue(damaged))
    assert synced == [("threads.db.damaged", True), ("threads.db.damaged-wal", True)]


def test_a_file_in_which_nothing_can_be_read_stays(tmp_path: Path) -> None:
    path = tmp_path / "threads.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE other (name)")
    before = path.read_bytes()
    with pytest.raises(StoreError, match=r"nothing in .* can be read"):
        asyncio.run(rescue(path))
    assert (path.read_bytes(), list(tmp_path.iterdir())) == (before, [path])
