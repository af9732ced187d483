"""A new store, made by several processes at the same moment."""

import asyncio
import multiprocessing
import sqlite3
import threading
from contextlib import closing
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest

from chatcli.store.location import StoreLocation
from chatcli.store.open import open_store
from chatcli.store.sqlite.open import open_sqlite
from chatcli.store.sqlite.threads import SqliteThreads, connect
from tests.waiting import WAIT_SECONDS

PROCESSES = 4
STORES = 25


async def _open(path: Path) -> None:
    async with open_store(StoreLocation(path)) as store:
        assert store.threads.recent() == []


def _open_with_the_others(folder: Path, barrier: Barrier) -> None:
    try:
        for number in range(STORES):
            barrier.wait(WAIT_SECONDS)
            asyncio.run(_open(folder / f"{number}.db"))
    except BaseException:
        barrier.abort()
        raise


@pytest.mark.e2e
def test_processes_make_a_store_together(tmp_path: Path) -> None:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["chatcli.store.open"])
    barrier = context.Barrier(PROCESSES)
    processes = [context.Process(target=_open_with_the_others, args=(tmp_path, barrier)) for _ in range(PROCESSES)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(WAIT_SECONDS)
    assert [process.exitcode for process in processes] == [0] * PROCESSES


def test_a_store_that_is_being_made_has_no_threads_yet(tmp_path: Path) -> None:
    with closing(sqlite3.connect(path := tmp_path / "threads.db")) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
    threads = SqliteThreads(path)
    assert threads.recent() == []
    assert threads.starting_with("a", 1) == []
    assert threads.search("sky") == []
    assert threads.newest_messages("a", 1) == []
    assert threads.find("a") is None


def test_a_task_cancelled_while_it_opens_a_store_leaves_no_thread_that_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def stopped(path: Path, steps: int) -> None:
        opening = asyncio.create_task(_open(path))
        for _ in range(steps):
            await asyncio.sleep(0)
        opening.cancel()
        await asyncio.wait([opening])

    failures: list[threading.ExceptHookArgs] = []
    monkeypatch.setattr(threading, "excepthook", failures.append)
    before = set(threading.enumerate())
    for steps in range(1, 7):
        asyncio.run(stopped(tmp_path / f"{steps}.db", steps))
    for thread in set(threading.enumerate()) - before:
        thread.join(WAIT_SECONDS)
    assert failures == []


# The first: a commit outlasts a loss of power, also on macOS. The others bound the write-ahead log.
@pytest.mark.parametrize(
    ("setting", "value"), [("fullfsync", 1), ("wal_autocheckpoint", 24), ("journal_size_limit", 196_608)]
)
async def test_each_connection_has_the_settings(tmp_path: Path, setting: str, value: int) -> None:
    async with open_sqlite(tmp_path / "threads.db") as (saver, _threads):
        rows = await saver.conn.execute_fetchall(f"PRAGMA {setting}")
        assert [row[0] for row in rows] == [value]
    with closing(connect(tmp_path / "threads.db")) as connection:
        assert connection.execute(f"PRAGMA {setting}").fetchone() == (value,)
