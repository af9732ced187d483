"""How a new store comes to its place, and how threads come in: as a whole, or not at all."""

import asyncio
import os
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest
from langchain_core.messages import AIMessage, HumanMessage

from chatcli.errors import StoreError
from chatcli.store.location import StoreLocation
from chatcli.store.open import open_store
from chatcli.store.sqlite.staging import adopt, is_unmade, new_file, staging_path
from chatcli.store.sqlite.threads import SqliteThreads
from chatcli.transfer.document import ThreadDocument
from chatcli.transfer.store_documents import import_documents


def fill(path: Path, *names: str) -> None:
    """Store a thread for each of `names` at `path`."""

    async def run() -> None:
        async with open_store(StoreLocation(path)) as store:
            said = [HumanMessage("question", id="q"), AIMessage("answer", id="a")]
            await import_documents(store, [ThreadDocument(name, f"Title of {name}", "", None, said) for name in names])

    asyncio.run(run())


def titles(path: Path) -> dict[str, str]:
    return {thread.thread_id: thread.title for thread in SqliteThreads(path).recent()}


def test_a_new_store_is_the_users_alone_and_gives_space_back(tmp_path: Path) -> None:
    path, before = tmp_path / "new" / "threads.db", os.umask(0)
    try:
        with new_file(path):
            assert not path.exists()
    finally:
        os.umask(before)
    assert (stat.S_IMODE(path.parent.stat().st_mode), stat.S_IMODE(path.stat().st_mode)) == (0o700, 0o600)
    with closing(sqlite3.connect(path)) as connection:
        found = [
            connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_size", "auto_vacuum", "journal_mode")
        ]
    assert found == [8192, 2, "wal"]  # 2: incremental
    assert [each.name for each in path.parent.iterdir() if each.name.startswith(".import-")] == []


def test_a_store_that_another_process_made_meanwhile_stays(tmp_path: Path) -> None:
    path = tmp_path / "threads.db"
    with new_file(path):
        fill(path, "faster")
    assert titles(path) == {"faster": "Title of faster"}


def test_only_no_file_and_an_empty_one_are_no_store(tmp_path: Path) -> None:
    path = tmp_path / "threads.db"
    assert is_unmade(path)
    path.touch()
    assert is_unmade(path)
    path.write_bytes(b"x")
    assert not is_unmade(path)
    assert not is_unmade(Path(os.devnull))


def test_threads_come_in_together_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "threads.db"
    fill(path, "kept", "taken")
    SqliteThreads(path).rename("kept", "Renamed")
    with staging_path(path) as staged:
        fill(staged, "new", "taken")
        with pytest.raises(StoreError):
            adopt(path, staged)
        assert titles(path) == {"kept": "Renamed", "taken": "Title of taken"}
        SqliteThreads(staged).delete(["taken"])
        SqliteThreads(staged).rename("new", "Given")
        adopt(path, staged)
    assert titles(path) == {"kept": "Renamed", "taken": "Title of taken", "new": "Given"}
    assert [message.text for message in SqliteThreads(path).newest_messages("new", 9)] == ["question", "answer"]
    assert not any(each.name.startswith(".import-") for each in tmp_path.iterdir())
