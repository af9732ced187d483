"""What user graphs keep across threads: LangGraph's store, where the threads are."""

import os
import sqlite3
import stat
import subprocess
from contextlib import closing, suppress
from pathlib import Path

import psycopg
import pytest

from tests.e2e.program import Chat, Result
from tests.postgres import Postgres

SAMPLES = Path(__file__).parent.parent / "sample_graphs"
NOTES, PACKAGES = SAMPLES / "notes.py", SAMPLES / "packages.py"
"""Importing the packages takes a second."""
OF_PACKAGES = (
    "placing",
    "extracting",
    "formatting",
    "remembering",
    "own_memory",
    "planning",
    "deep",
    "supervisor",
    "swarm",
)


def ask(chat: Chat, graph: str, question: str, *more: str) -> Result:
    return chat("--graph", f"{PACKAGES if graph in OF_PACKAGES else NOTES}:{graph}", *more, question)


def answer(chat: Chat, graph: str, question: str, *more: str) -> str:
    result = ask(chat, graph, question, *more)
    assert result.returncode == 0, result
    return result.stdout


def test_a_graph_without_a_store_finds_its_items_in_the_next_process(chat: Chat) -> None:
    assert answer(chat, "notes", "one") == "I knew: \n"
    assert answer(chat, "blocking", "two") == "I knew: one\n"
    assert answer(chat, "in_loop", "three") == "I knew: one, two\n"
    assert answer(chat, "inner", "four") == "I knew: one, three, two\n"
    assert [path.name for path in chat.home.files() if path.suffix == ".db"] == ["threads.db"]


def test_threads_go_and_items_stay(chat: Chat) -> None:
    answer(chat, "notes", "one", "-t", "t")
    assert chat("threads", "delete", "t", "--yes").returncode == 0
    assert answer(chat, "notes", "two") == "I knew: one\n"


def test_a_store_of_the_graph_itself_is_kept(chat: Chat) -> None:
    assert answer(chat, "own_notes", "one") == "I knew: \n"
    assert answer(chat, "own_notes", "two") == "I knew: \n"


def test_nothing_is_kept_of_a_conversation_in_memory(chat: Chat) -> None:
    (chat.home.work / "questions.txt").write_text("one\ntwo\n")
    said = chat("--no-save", "--graph", f"{NOTES}:notes", "--script", "questions.txt")
    assert said.stdout.splitlines()[-1] == "AI: I knew: one", said
    assert answer(chat, "notes", "three", "--no-save") == "I knew: \n"


def test_a_table_of_another_program_is_left_alone(chat: Chat) -> None:
    path = chat.home.work / "threads.db"
    store = f"sqlite:///{path}"
    answer(chat, "own_notes", "hello", "--store", store)
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("CREATE TABLE store (article TEXT, price INTEGER)")
    assert ask(chat, "own_notes", "hello", "--store", store).returncode == 0  # it does not use the store
    refused = ask(chat, "notes", "one", "--store", store)
    assert refused.returncode == 5, refused
    assert "another program has a table 'store' there" in refused.stderr
    with closing(sqlite3.connect(path)) as database:
        assert not database.execute("SELECT 1 FROM sqlite_schema WHERE name = 'store_migrations'").fetchall()


def test_an_item_that_cant_be_read_is_a_failure_of_the_store_and_repaired(chat: Chat) -> None:
    answer(chat, "notes", "one", "-t", "t")
    answer(chat, "notes", "two", "-t", "t")
    (path,) = [path for path in chat.home.files() if path.suffix == ".db"]
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE store SET value = CAST('{\"text' AS BLOB) WHERE key = 'note-0'")
    failed = ask(chat, "notes", "three", "--json")
    assert failed.returncode == 5, failed
    assert failed.json()["error"]["code"] == "store"
    assert "chat doctor --repair" in failed.stderr
    repaired = chat("doctor", "--repair")
    assert "1 of the items that graphs keep can't be read, 1 are kept" in repaired.stdout + repaired.stderr, repaired
    assert answer(chat, "notes", "three") == "I knew: two\n"
    assert len(chat.messages("t")) == 4


def test_items_of_a_damaged_file_are_recovered(chat: Chat) -> None:
    answer(chat, "notes", "one", "-t", "t")
    (path,) = [path for path in chat.home.files() if path.suffix == ".db"]
    with path.open("r+b") as file:
        file.write(b"\0" * 100)  # SQLite's header
    assert ask(chat, "notes", "two").returncode == 5
    assert chat("doctor", "--repair").returncode == 0
    assert answer(chat, "notes", "two") == "I knew: one\n"


def test_a_full_disk_is_a_failure_of_the_store(chat: Chat) -> None:
    (disk := chat.home.root / "disk").mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", disk], check=False).returncode:
        pytest.skip("mounting needs root")
    try:
        store = f"sqlite:///{disk}/threads.db"
        answer(chat, "notes", "one", "-t", "t", "--store", store)
        with (disk / "filler").open("wb", buffering=0) as filler, suppress(OSError):
            while filler.write(bytes(4096)):
                pass
        os.truncate(disk / "filler", (disk / "filler").stat().st_size - 80_000)  # for the index of the log
        failed = ask(chat, "notes", os.urandom(60_000).hex(), "--store", store)
        assert failed.returncode == 5, failed
        assert "the disk is full" in failed.stderr
        assert stat.S_IMODE((disk / "threads.db").stat().st_mode) == 0o600
    finally:
        subprocess.run(["umount", disk], check=True)


def test_processes_make_the_tables_one_after_the_other(chat: Chat) -> None:
    running = [chat.start("--graph", f"{NOTES}:notes", str(number)) for number in range(3)]
    results = [process.finish(120) for process in running]
    assert [result.returncode for result in results] == [0, 0, 0], results


def test_the_store_is_in_the_postgresql_database_of_the_threads(chat: Chat, postgres: Postgres) -> None:
    chat.home.env["CHATCLI_STORE"] = uri = postgres.new_database()
    assert answer(chat, "notes", "one") == "I knew: \n"
    assert answer(chat, "in_loop", "two") == "I knew: one\n"
    with psycopg.connect(uri) as database:
        assert database.execute("SELECT count(*) FROM store").fetchone() == (2,)


def test_a_postgresql_table_of_another_program_is_left_alone(chat: Chat, postgres: Postgres) -> None:
    chat.home.env["CHATCLI_STORE"] = uri = postgres.new_database()
    with psycopg.connect(uri) as database:
        database.execute("CREATE TABLE store (article text)")
    assert ask(chat, "own_notes", "hello").returncode == 0
    refused = ask(chat, "notes", "one")
    assert refused.returncode == 5, refused
    assert "another program has a table 'store' there" in refused.stderr
    with psycopg.connect(uri) as database:
        assert database.execute("SELECT to_regclass('store_migrations')").fetchone() == (None,)


def test_objects_of_the_project_are_restored_and_nothing_is_printed(chat: Chat) -> None:
    assert answer(chat, "placing", "Rome", "-t", "place") == "kept None\n"
    again = ask(chat, "placing", "Oslo", "-t", "place")
    assert (again.stdout, again.stderr) == ("kept Place(city='Rome')\n", "")
    answer(chat, "extracting", "Ann", "-t", "people")
    assert answer(chat, "extracting", "Bob", "-t", "people") == "found Bob, knew ['Ann']\n"
    assert "Blocked" not in ask(chat, "formatting", "Ann", "-t", "formatted").stderr
    assert "Blocked" not in ask(chat, "formatting", "Ann", "-t", "formatted").stderr
    assert chat("threads", "show", "place").stderr == ""
    assert "Blocked" not in chat("--graph", f"{PACKAGES}:notes", "-t", "people", "by another graph").stderr


def test_langmem_trustcall_and_agents_of_other_packages_work(chat: Chat) -> None:
    manage, search = 'call manage_memory {"content": "likes tea"}', 'call search_memory {"query": "tea"}'
    assert "created memory" in answer(chat, "remembering", manage)
    assert "likes tea" in answer(chat, "remembering", search)
    assert answer(chat, "own_memory", search) == "Done: []\n"
    todo = 'call write_todos {"todos": [{"content": "a", "status": "pending"}]}'
    assert "Updated todo list" in answer(chat, "planning", todo)
    write = 'call write_file {"file_path": "/a.md", "content": "hello"}'
    assert "/a.md" in answer(chat, "deep", write, "-t", "deep")
    assert "hello" in answer(chat, "deep", 'call read_file {"file_path": "/a.md"}', "-t", "deep")
    task = 'call task {"description": "sing", "subagent_type": "helper"}'
    assert "You said: sing" in answer(chat, "deep", task)
    assert "transferred to adder" in answer(chat, "supervisor", "call transfer_to_adder {}")
    assert "transferred to bob" in answer(chat, "swarm", "call transfer_to_bob {}", "-t", "swarm")
    assert answer(chat, "swarm", "hello", "-t", "swarm") == "bob: hello\n"
