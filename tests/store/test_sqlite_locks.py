"""The locks of a SQLite store: among the turns of one process, and while another process writes."""

import asyncio
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from langchain_core.messages import HumanMessage
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import empty_checkpoint
from langgraph.store.base import PutOp, SearchOp

from chatcli.store.items import ItemOptions, ItemStore
from chatcli.store.location import StoreLocation
from chatcli.store.sqlite.open import open_sqlite
from chatcli.store.sqlite.threads import SqliteLocks


def test_two_turns_of_one_process_exclude_each_other(tmp_path: Path) -> None:
    one, two = SqliteLocks(tmp_path / "threads.db"), SqliteLocks(tmp_path / "threads.db")
    assert one.try_lock("abc")
    assert not two.try_lock("abc")
    assert two.try_lock("another")
    two.unlock("abc")  # which it has not
    assert not two.try_lock("abc")
    one.unlock("abc")
    assert two.try_lock("abc")


_OTHER = """
import sys
from pathlib import Path
from chatcli.store.sqlite.threads import SqliteLocks

assert SqliteLocks(Path(sys.argv[1])).try_lock("abc")
print("locked", flush=True)
sys.stdin.read()
"""


@pytest.mark.e2e
def test_a_lock_of_another_process_is_free_when_that_ends(tmp_path: Path) -> None:
    file = tmp_path / "threads.db"
    one, two = SqliteLocks(file), SqliteLocks(file)
    command = [sys.executable, "-c", _OTHER, str(file)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "locked\n"
        assert not one.try_lock("abc")
        assert two.try_lock("another")
        other.kill()
    assert two.try_lock("abc")  # who was refused has not taken it
    assert not one.try_lock("abc")


def test_a_store_that_is_removed_and_made_again_has_locks_of_its_own(tmp_path: Path) -> None:
    file = tmp_path / "threads.db"
    assert SqliteLocks(file).try_lock("abc")
    (tmp_path / "threads.db-lock").unlink()
    assert SqliteLocks(file).try_lock("another")
    assert (tmp_path / "threads.db-lock").exists()


@contextmanager
def locked_for_a_moment(file: Path) -> Iterator[None]:
    """Change the schema of the store at `file`, and hold its write lock at the beginning of the block."""
    with closing(sqlite3.connect(file, isolation_level=None, check_same_thread=False)) as other:
        other.execute("CREATE TABLE of_another (value TEXT)")
        other.execute("BEGIN IMMEDIATE")
        timer = threading.Timer(0.3, other.execute, ["COMMIT"])
        timer.start()
        try:
            yield
        finally:
            timer.join()


async def test_a_message_waits_for_another_processs_write_after_a_change_of_the_schema(tmp_path: Path) -> None:
    async with open_sqlite(tmp_path / "threads.db") as (saver, threads):
        config = RunnableConfig(configurable={"thread_id": "t", "checkpoint_ns": ""})
        config = await saver.aput(config, empty_checkpoint(), {"source": "loop", "step": 0}, {})
        await saver.aput_writes(config, [("messages", HumanMessage("one", id="1"))], "task-1")
        with locked_for_a_moment(tmp_path / "threads.db"):
            await saver.aget_tuple(config)  # finds the schema changed, so the write opens the index again
            await saver.aput_writes(config, [("messages", HumanMessage("two", id="2"))], "task-2")
        found = await asyncio.to_thread(threads.search, "two")
        assert [match.thread_id for match in found] == ["t"]


async def test_items_that_are_read_and_written_at_once_wait_for_another_processs_write(tmp_path: Path) -> None:
    file = tmp_path / "threads.db"

    async with open_sqlite(file):
        pass
    items = ItemStore(StoreLocation(file), ItemOptions(), checkpointer=None)
    items.put(("notes",), "a", {"text": "one"})
    with locked_for_a_moment(file):
        found, _ = items.batch([SearchOp(("notes",)), PutOp(("notes",), "b", {"text": "two"})])
    assert [item.key for item in found] == ["a"]  # type: ignore[union-attr]
    assert {item.key for item in items.search(("notes",))} == {"a", "b"}
    items.close()
