"""Databases that somebody crafted: no file beside them is touched, and nothing of their schema runs."""

import asyncio
import os
import re
import shutil
import sqlite3
import struct
import zlib
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from langchain_core.messages import AIMessage, HumanMessage

import chatcli
from chatcli.conversation.backend import LocalBackend
from chatcli.documents.index import DocumentIndex
from chatcli.errors import StoreError, UsageError
from chatcli.runtime.parse import inflate
from chatcli.runtime.sqlite import check_side_files, connect, unchecked
from chatcli.store.errors import DamagedError, as_sqlite_failure
from chatcli.store.items import open_sqlite_items
from chatcli.store.location import StoreLocation
from chatcli.store.open import open_store
from chatcli.store.serde import CompressedSerializer, compress, decompress, most_bytes
from chatcli.store.sqlite.repair import find_damage
from chatcli.store.sqlite.threads import SqliteThreads
from chatcli.store.threads import ThreadSummary
from chatcli.transfer.document import ThreadDocument
from chatcli.transfer.llm_log import read_llm_log
from chatcli.transfer.store_documents import import_documents

_MAGIC = bytes.fromhex("d9d505f920a163d7")


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Return the file of a store with a thread."""
    path = tmp_path / "threads.db"

    async def fill() -> None:
        async with open_store(StoreLocation(path)) as opened:
            said = [HumanMessage("question", id="q"), AIMessage("answer", id="a")]
            await import_documents(opened, [ThreadDocument("thread", "Title", "openai:gpt", "Be brief.", said)])
        with open_sqlite_items(path) as items:
            items.put(("notes",), "key", {"text": "kept"})

    asyncio.run(fill())
    return path


def _hot_journal(victim: Path) -> bytes:
    """Return a rollback journal whose super-journal is `victim`."""
    name = str(victim).encode()
    header = _MAGIC + struct.pack(">IIIII", 0, 0, 1, 512, 8192)
    checksum = sum(name) & 0xFFFFFFFF
    return header.ljust(512, b"\0") + struct.pack(">I", 0) + name + struct.pack(">II", len(name), checksum) + _MAGIC


def _journal(store: Path, victim: Path) -> None:
    store.with_name(f"{store.name}-journal").write_bytes(_hot_journal(victim))


def _empty_journal(store: Path, _victim: Path) -> None:
    store.with_name(f"{store.name}-journal").touch()


def _journal_link(store: Path, victim: Path) -> None:
    store.with_name(f"{store.name}-journal").symlink_to(victim)


def _side_link(suffix: str) -> Callable[[Path, Path], None]:
    return lambda store, victim: store.with_name(store.name + suffix).symlink_to(victim)


def _side_name(suffix: str) -> Callable[[Path, Path], None]:
    return lambda store, victim: store.with_name(store.name + suffix).hardlink_to(victim)


def _side_folder(store: Path, _victim: Path) -> None:
    store.with_name(f"{store.name}-wal").mkdir()


def _journal_of_the_link(store: Path, victim: Path) -> None:
    (other := store.with_name("other")).mkdir()
    shutil.move(store, other / "real.db")
    (other / "real.db-journal").write_bytes(_hot_journal(victim))
    store.symlink_to(other / "real.db")


def _second_name_with_a_log(store: Path, victim: Path) -> None:
    victim.unlink()
    victim.hardlink_to(store)
    store.with_name(f"{store.name}-wal").write_bytes(b"\x37\x7f\x06\x82")


_SIDES: dict[str, Callable[[Path, Path], None]] = {
    "journal": _journal,
    "empty journal": _empty_journal,
    "linked journal": _journal_link,
    "journal of the linked file": _journal_of_the_link,
    "linked log": _side_link("-wal"),
    "linked index of the log": _side_link("-shm"),
    "linked lock": _side_link("-lock"),
    "log that is another file": _side_name("-wal"),
    "index of the log that is another file": _side_name("-shm"),
    "folder": _side_folder,
    "another name": _second_name_with_a_log,
}


def _open_index(path: Path) -> None:
    with DocumentIndex(path):
        pass


def _open_items(path: Path) -> None:
    with open_sqlite_items(path):
        pass


def _search(path: Path) -> None:
    SqliteThreads(path).search("question")


def _state(path: Path) -> None:
    asyncio.run(LocalBackend(StoreLocation(path)).reader().state("thread"))


def _repair(path: Path) -> None:
    LocalBackend(StoreLocation(path)).repair()


_OPENERS = [_search, _state, _open_items, find_damage, _repair, read_llm_log]


@pytest.mark.parametrize("make", _SIDES.values(), ids=_SIDES)
def test_a_side_file_that_chatcli_did_not_write_is_refused(
    store: Path, tmp_path: Path, make: Callable[[Path, Path], None]
) -> None:
    (victim := tmp_path / "victim").write_bytes(b"precious")
    make(store, victim)
    before = {
        path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file() and not path.name.endswith("-lock")
    }
    for open_it in _OPENERS:
        with pytest.raises(StoreError):
            open_it(store)
        for path, content in before.items():
            assert path.read_bytes() == content, (open_it, path)


def test_a_side_file_that_another_process_removes_meanwhile_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, lstat = tmp_path / "threads.db", os.lstat
    file.touch()

    def remove_when_found(name: str) -> os.stat_result:
        if not name.endswith("-shm"):
            return lstat(name)
        with Path(name).open("w") as found:  # found, removed, and only then looked at: it has no name left
            Path(name).unlink()
            return os.fstat(found.fileno())

    monkeypatch.setattr(os, "lstat", remove_when_found)
    assert check_side_files(file) == file


@pytest.mark.parametrize("make", [_journal, _side_link("-wal"), _side_name("-shm")])
def test_an_index_of_documents_with_such_a_file_is_built_again(
    tmp_path: Path, make: Callable[[Path, Path], None]
) -> None:
    (victim := tmp_path / "victim").write_bytes(b"precious")
    file = tmp_path / "documents.db"
    _open_index(file)
    make(file, victim)
    _open_index(file)
    assert victim.read_bytes() == b"precious"
    _open_index(file)


_SCHEMAS = {
    "view": "CREATE VIEW evil AS SELECT 1",
    "view of ours": "DROP TABLE journal; CREATE VIEW journal AS SELECT 'thread' AS thread_id, '' AS question_id",
    "trigger": "CREATE TRIGGER evil AFTER UPDATE ON threads BEGIN DELETE FROM checkpoints; END",
    "trigger of ours": "DROP TRIGGER index_text;"
    "CREATE TRIGGER index_text AFTER INSERT ON messages BEGIN DELETE FROM checkpoints; END",
    "virtual table": "CREATE VIRTUAL TABLE evil USING fts5 (a)",
    "other search": "DROP TABLE messages_fts; CREATE VIRTUAL TABLE messages_fts USING fts5 (text)",
    "generated": "ALTER TABLE threads ADD COLUMN evil AS (hex(zeroblob(100000000)))",
    "stored": "CREATE TABLE evil (a, b GENERATED ALWAYS AS (a || a) STORED)",
    "check": "CREATE TABLE evil (a CHECK (length(randomblob(100000000)) > 1))",
    "default": "CREATE TABLE evil (a DEFAULT (randomblob(100000000)))",
    "index on an expression": "CREATE INDEX evil ON threads (hex(title))",
    "partial index": "CREATE INDEX evil ON threads (title) WHERE hex(title) > ''",
    "hidden by a comment": "CREATE TABLE evil (a /* ' */ CHECK (a > 1) /* ' */)",
    "hidden by the row": "CREATE TABLE evil (a); PRAGMA writable_schema = ON;"
    "UPDATE sqlite_schema SET sql = 'CREATE VIEW evil AS SELECT 1', rootpage = 0 WHERE name = 'evil'",
}


@pytest.mark.parametrize("script", _SCHEMAS.values(), ids=_SCHEMAS)
def test_a_schema_that_chatcli_did_not_write_is_refused_and_its_threads_are_rescued(store: Path, script: str) -> None:
    with closing(sqlite3.connect(store)) as connection:
        connection.executescript(script)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    before = store.read_bytes()
    for open_it in (_search, _state, _open_items, find_damage):
        with pytest.raises((StoreError, sqlite3.DatabaseError) if open_it is _open_items else StoreError):
            open_it(store)
        assert store.read_bytes() == before
    _repair(store)
    assert [
        message.text for message in asyncio.run(LocalBackend(StoreLocation(store)).reader().messages("thread"))
    ] == [
        "question",
        "answer",
    ]
    with open_sqlite_items(store) as items:
        assert items.get(("notes",), "key") is not None


def test_an_index_of_documents_with_another_schema_is_built_again(tmp_path: Path) -> None:
    file = tmp_path / "documents.db"
    _open_index(file)
    with closing(sqlite3.connect(file)) as connection:
        connection.executescript("CREATE TRIGGER evil AFTER INSERT ON sources BEGIN SELECT randomblob(100000000); END")
    _open_index(file)
    with closing(sqlite3.connect(file)) as connection:
        assert not connection.execute("SELECT 1 FROM sqlite_schema WHERE type = 'trigger'").fetchall()


def test_a_log_whose_table_is_none_is_refused(tmp_path: Path) -> None:
    log = tmp_path / "logs.db"
    with closing(sqlite3.connect(log)) as connection:
        connection.execute("CREATE TABLE conversations (id, name, model)")
        connection.execute("CREATE VIRTUAL TABLE responses USING fts5 (id, conversation_id, model, prompt, response)")
    with pytest.raises(UsageError, match="no table responses"):
        read_llm_log(log)


def test_a_query_that_does_not_end_is_stopped(tmp_path: Path) -> None:
    (file := tmp_path / "a.db").touch()
    with (
        closing(connect(file, unchecked, timeout=1, steps=3_000_000)) as connection,
        pytest.raises(sqlite3.OperationalError, match="interrupted"),
    ):
        connection.execute("WITH RECURSIVE a (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM a) SELECT max(n) FROM a")


def test_parents_in_a_circle_do_not_run_for_ever(store: Path) -> None:
    with closing(sqlite3.connect(store)) as connection, connection:
        connection.execute("UPDATE checkpoints SET parent_checkpoint_id = checkpoint_id")
    SqliteThreads(store).newest_messages("thread", 100)


def test_a_value_is_read_up_to_a_size(store: Path) -> None:
    bomb = zlib.compress(bytes(1 << 28), 9)
    with pytest.raises(zlib.error):
        decompress(bomb)
    with pytest.raises(zlib.error):
        inflate(zlib.compress(bytes(11)), 10)
    assert inflate(zlib.compress(bytes(10)), 10) == bytes(10)
    serde = CompressedSerializer()
    for text in ("word " * 2_000_000, "w" * 100):
        assert serde.loads_typed(serde.dumps_typed(text)) == text
    assert len(decompress(compress(bytes(1 << 20)))) == 1 << 20 <= most_bytes(b"")
    with closing(sqlite3.connect(store)) as connection, connection:
        connection.execute("UPDATE writes SET value = ?, type = 'msgpack+zlib' WHERE channel = 'messages'", (bomb,))
    with pytest.raises(StoreError, match="the thread thread is damaged"):
        asyncio.run(LocalBackend(StoreLocation(store)).reader().messages("thread"))


def test_sqlite_is_opened_in_one_module() -> None:
    root = Path(chatcli.__file__).parent
    found = {
        str(path.relative_to(root))
        for path in root.rglob("*.py")
        if re.search(r"\b(sqlite3|aiosqlite)\.connect\(|from_conn_string", path.read_text())
    }
    assert {name for name in found if "postgres" not in name} == {"runtime/sqlite.py"}


_VALUES = ("NULL", "7", "1.5", "'text'", "CAST(x'eda080' AS TEXT)", "x'00ff'")


def _use_index(path: Path) -> list[Callable[[], object]]:
    threads = LocalBackend(StoreLocation(path)).threads()
    return [
        threads.recent,
        lambda: threads.find("thread"),
        lambda: threads.starting_with("t", 5),
        lambda: threads.search("question"),
        lambda: threads.exchanges("question", 5, ""),
        lambda: threads.newest_messages("thread", 5),
        lambda: threads.steps("thread"),
        threads.usage,
        lambda: threads.journal.read("thread"),
        lambda: find_damage(path),
    ]


def _use_checkpoints(path: Path) -> list[Callable[[], object]]:
    backend = LocalBackend(StoreLocation(path))
    summary = ThreadSummary("thread", "", "", 1, "", "")
    return [
        lambda: asyncio.run(backend.reader().messages("thread")),
        lambda: asyncio.run(backend.reader().state("thread")),
        lambda: asyncio.run(backend.reader().tree("thread")),
        lambda: asyncio.run(backend.reader().document(summary)),
    ]


def _columns(path: Path) -> list[tuple[str, str]]:
    tables = ("checkpoints", "writes", "threads", "messages", "journal", "usage")
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("INSERT INTO journal VALUES ('thread', 'q', 'partial')")
        query = "SELECT name FROM pragma_table_info(?)"
        return [(table, name) for table in tables for (name,) in connection.execute(query, (table,))]


def _fails(use: Callable[[], object]) -> str:
    """Return the failure of `use` that no user may see."""
    try:
        use()
    except (StoreError, UsageError) as error:
        return error.message if "\n" in error.message else ""
    except Exception as error:  # noqa: BLE001 - each is a finding
        return repr(error)
    return ""


def test_a_value_of_any_type_in_any_column_is_read_or_reported(store: Path) -> None:
    SqliteThreads(store).usage()
    failures = []
    for table, column in _columns(store):
        for value in _VALUES:
            shutil.copy(store, copy := store.with_name("copy.db"))
            try:
                with closing(sqlite3.connect(copy)) as connection, connection:
                    connection.execute(f"UPDATE OR REPLACE {table} SET {column} = {value}")
            except sqlite3.IntegrityError:
                continue
            uses = [*_use_index(copy), *(_use_checkpoints(copy) if table in ("checkpoints", "writes") else ())]
            found = [(number, failure) for number, use in enumerate(uses) if (failure := _fails(use))]
            failures += [(table, column, value, *failure) for failure in found]
            for left in copy.parent.glob("copy.db*"):
                left.unlink()
    assert failures == []


def test_one_changed_byte_of_the_header_is_repaired(store: Path, weekly: bool) -> None:
    data = store.read_bytes()
    masks = (0x01, 0x68)
    for place in range(100):
        for mask in masks if weekly else masks[place % 2 :][:1]:
            store.write_bytes(data[:place] + bytes([data[place] ^ mask]) + data[place + 1 :])
            LocalBackend(StoreLocation(store)).repair()
            said = asyncio.run(LocalBackend(StoreLocation(store)).reader().messages("thread"))
            assert [message.text for message in said] == ["question", "answer"], (place, mask)
            for left in store.parent.glob("threads.db?*"):
                left.unlink()


def test_a_damaged_version_is_not_taken_for_a_newer_one(store: Path) -> None:
    with closing(sqlite3.connect(store)) as connection:
        connection.execute("PRAGMA user_version = 106")
    with pytest.raises(StoreError, match="its beginning is damaged"):
        SqliteThreads(store).recent()


def test_an_index_that_sqlite_does_not_open_is_damaged() -> None:
    """SQLite 3.53 says so of a header in which another byte was changed."""
    failure = as_sqlite_failure(sqlite3.DatabaseError("vtable constructor failed: messages_fts"))
    assert isinstance(failure, DamagedError)
