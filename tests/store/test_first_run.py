"""A new store that is cut short at any moment, and stores on disks where nothing can be written."""

import asyncio
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest
from langchain_core.messages import AIMessage, HumanMessage

from chatcli.conversation.backend import LocalBackend
from chatcli.errors import StoreError
from chatcli.store.items import open_sqlite_items
from chatcli.store.location import StoreLocation
from chatcli.store.open import open_store
from chatcli.store.sqlite.repair import find_damage
from chatcli.transfer.document import ThreadDocument
from chatcli.transfer.store_documents import import_documents
from tests.waiting import WAIT_SECONDS

_DYING = """
import asyncio, os, sqlite3, sys
from pathlib import Path

left = 0
real = sqlite3.connect

def connect(*arguments, **options):
    connection = real(*arguments, **options)
    connection.set_trace_callback(count)
    return connection

def count(statement):
    global left
    left -= 1
    if left < 0:
        os._exit(9)

sqlite3.connect = connect
from chatcli.store.location import StoreLocation
from chatcli.store.open import open_store

for number in range(int(sys.argv[2]), int(sys.argv[3])):
    if os.fork() == 0:
        left = number
        path = Path(sys.argv[1]) / f"{number}.db"
        async def make():
            async with open_store(StoreLocation(path)):
                pass
        asyncio.run(make())
        os._exit(0)
    _, status = os.wait()
    print(os.waitstatus_to_exitcode(status))
    if not status:
        break
"""
"""Makes stores, in one process each, which dies before the statement with its number."""


async def _fill(path: Path) -> None:
    async with open_store(StoreLocation(path)) as store:
        said = [HumanMessage("question", id="q"), AIMessage("answer", id="a")]
        await import_documents(store, [ThreadDocument("thread", "Title", "openai:gpt", None, said)])


@pytest.mark.e2e
def test_a_kill_at_any_statement_leaves_nothing_that_is_refused(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _DYING, str(tmp_path), "0", "500"]
    codes = subprocess.run(command, check=True, capture_output=True, text=True, timeout=WAIT_SECONDS).stdout.split()
    assert codes[0] == "9"
    assert codes[-1] == "0"  # all statements were run
    for number in range(len(codes)):
        path = tmp_path / f"{number}.db"
        assert LocalBackend(StoreLocation(path)).threads().recent() == []
        if number % 10 == 0:  # each takes its time
            asyncio.run(_fill(path))
            assert not find_damage(path)
    assert not list(tmp_path.glob(".import-*"))


@pytest.mark.parametrize("made", [0, 1, 3, 5])
def test_a_store_of_which_a_part_was_made_is_finished(tmp_path: Path, made: int) -> None:
    asyncio.run(_fill(tmp_path / "whole.db"))
    path = tmp_path / "threads.db"
    with closing(sqlite3.connect(tmp_path / "whole.db")) as whole, closing(sqlite3.connect(path)) as part:
        part.execute("PRAGMA journal_mode = WAL")
        tables = ("checkpoints", "writes", "threads", "messages", "journal")
        query = "SELECT sql FROM sqlite_schema WHERE name = ?"
        for name in tables[:made]:
            part.execute(*whole.execute(query, (name,)).fetchone())
    LocalBackend(StoreLocation(path)).threads().recent()  # which makes the index of a store that has only checkpoints
    asyncio.run(_fill(path))
    assert [found.thread_id for found in LocalBackend(StoreLocation(path)).threads().recent()] == ["thread"]
    assert not find_damage(path)


def test_an_empty_file_becomes_a_store_and_keeps_its_mode_and_links(tmp_path: Path) -> None:
    (real := tmp_path / "real.db").touch(mode=0o640)
    (link := tmp_path / "link.db").symlink_to(real)
    asyncio.run(_fill(link))
    assert link.is_symlink()
    assert real.stat().st_mode & 0o777 == 0o640
    assert len(LocalBackend(StoreLocation(link)).threads().recent()) == 1


def test_the_items_of_a_graph_can_be_the_first_in_a_store(tmp_path: Path) -> None:
    path = tmp_path / "threads.db"
    with open_sqlite_items(path) as items:
        items.put(("notes",), "key", {"text": "kept"})
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    asyncio.run(_fill(path))
    with open_sqlite_items(path) as items:
        assert items.get(("notes",), "key") is not None


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """Give a folder on a disk of its own; only root may mount one."""
    (folder := tmp_path / "disk").mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", folder], check=False).returncode:
        pytest.skip("mounting needs root")
    yield folder
    subprocess.run(["umount", folder], check=True)


def _make_read_only(disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)


@pytest.mark.parametrize("room", [0, 20_000, 60_000])
def test_a_disk_that_is_full_at_the_first_start_leaves_nothing(disk: Path, room: int) -> None:
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while file.write(bytes(4096)):
            pass
    os.truncate(filler, max(filler.stat().st_size - room, 0))
    with pytest.raises(StoreError):
        asyncio.run(_fill(disk / "threads.db"))
    assert [path.name for path in disk.iterdir()] in (["filler"], ["filler", "threads.db"], ["threads.db", "filler"])
    filler.unlink()
    asyncio.run(_fill(disk / "threads.db"))
    assert len(LocalBackend(StoreLocation(disk / "threads.db")).threads().recent()) == 1


def _read_all(path: Path) -> None:
    backend = LocalBackend(StoreLocation(path))
    threads = backend.threads()
    (summary,) = threads.recent()
    assert [match.thread_id for match in threads.search("question")] == ["thread"]
    assert [message.text for message in asyncio.run(backend.reader().messages("thread"))] == ["question", "answer"]
    document, missing = asyncio.run(backend.reader().document(summary))
    assert len(document.messages) == 2
    assert missing == ""
    assert find_damage(path) == ""


@pytest.mark.parametrize("log", ["none", "left", "left without its index"])
def test_a_store_on_a_read_only_disk_is_read(tmp_path: Path, disk: Path, log: str) -> None:
    asyncio.run(_fill(store := tmp_path / "threads.db"))
    with closing(sqlite3.connect(store)) as held:  # so that the log stays
        held.execute("SELECT 1 FROM threads").fetchall()
        with closing(sqlite3.connect(store)) as other, other:
            other.execute("UPDATE threads SET title = 'in the log'")
        kept = {"none": (), "left": ("-wal", "-shm"), "left without its index": ("-wal",)}[log]
        for suffix in ("", *kept):
            shutil.copy(f"{store}{suffix}", f"{disk / store.name}{suffix}")
    _make_read_only(disk)
    before = sorted(path.name for path in disk.iterdir())
    _read_all(disk / store.name)
    (summary,) = LocalBackend(StoreLocation(disk / store.name)).threads().recent()
    assert summary.title == ("in the log" if kept else "Title")
    with pytest.raises(StoreError, match="read-only"):
        LocalBackend(StoreLocation(disk / store.name)).threads().rename("thread", "new")
    assert sorted(path.name for path in disk.iterdir()) == before
