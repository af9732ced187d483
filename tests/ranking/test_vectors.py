"""The cache of vectors: what is kept, for how long, and what comes of a damaged file."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from langgraph.checkpoint.memory import InMemorySaver

from chatcli.conversation.backend import LocalBackend, delete_threads
from chatcli.documents.index import DocumentIndex
from chatcli.errors import StoreError
from chatcli.ranking import semantic
from chatcli.ranking.semantic import add_vectors, forget_vectors, key_of, read_vectors
from chatcli.store.location import StoreLocation
from chatcli.store.saver_threads import MemoryThreads


@pytest.fixture(autouse=True)
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "chatcli" / "vectors" / "vectors.db"


def test_vectors_are_kept_by_the_hash_of_the_text_and_nobody_else_reads_them(file: Path) -> None:
    add_vectors({key_of("one"): b"1", key_of("a \ud800"): b"2"})
    assert read_vectors([key_of("one"), key_of("other"), key_of("a \ud800")]) == {
        key_of("one"): b"1",
        key_of("a \ud800"): b"2",
    }
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    add_vectors({key_of("one"): b"3"})
    assert read_vectors([key_of("one")]) == {key_of("one"): b"3"}
    assert len({key_of(str(number)) for number in range(5000)}) == 5000


def test_the_vectors_of_a_search_are_written_in_one_transaction(file: Path) -> None:
    def transactions() -> int:
        return int.from_bytes(file.read_bytes()[24:28])  # the file's change counter

    add_vectors({"one": b"1"})
    before = transactions()
    add_vectors({str(number): b"2" for number in range(30)})
    assert transactions() == before + 1


def test_old_vectors_go_with_the_next_search(file: Path) -> None:
    add_vectors({"old": b"gone" * 100, "new": b"2"})
    with closing(sqlite3.connect(file)) as database, database:
        database.execute("UPDATE vectors SET written = written - ? WHERE hash = 'old'", ((semantic.DAYS + 1) * 86_400,))
    assert read_vectors(["old"]) == {}
    with closing(sqlite3.connect(file)) as database:
        assert database.execute("SELECT hash FROM vectors").fetchall() == [("new",)]
    assert b"gone" not in file.read_bytes()


def test_the_oldest_vectors_make_room_for_new_ones(file: Path) -> None:
    add_vectors({"old": b"1"})
    with closing(sqlite3.connect(file)) as database, database:
        database.execute("UPDATE vectors SET written = written - 1")
    add_vectors({str(number): b"2" for number in range(semantic.MOST)})
    with closing(sqlite3.connect(file)) as database:
        assert database.execute("SELECT count(*) FROM vectors").fetchone() == (semantic.MOST,)
    assert read_vectors(["old"]) == {}


@pytest.mark.parametrize("damage", ["text", "journal", "version", "schema"])
def test_a_file_that_cannot_be_used_is_made_again(file: Path, damage: str) -> None:
    add_vectors({"one": b"1"})
    if damage == "text":
        file.write_text("no database at all, but longer than a header of SQLite's files, which has 100 bytes" * 2)
    elif damage == "journal":
        file.with_name(f"{file.name}-journal").write_bytes(b"left by a kill")
    else:
        with closing(sqlite3.connect(file)) as database, database:
            database.execute("PRAGMA user_version = 99" if damage == "version" else "CREATE VIEW other AS SELECT 1")
    assert read_vectors(["one"]) == {}
    add_vectors({"one": b"1"})
    assert read_vectors(["one"]) == {"one": b"1"}


def test_nothing_is_kept_where_the_folder_is_none(file: Path) -> None:
    file.parent.parent.mkdir(parents=True)
    file.parent.write_text("")
    add_vectors({"one": b"1"})
    assert read_vectors(["one"]) == {}


def test_vectors_that_stay_are_told(file: Path) -> None:
    forget_vectors()
    file.mkdir(parents=True)
    with pytest.raises(StoreError, match="the cache of vectors can't be removed"):
        forget_vectors()
    assert read_vectors(["one"]) == {}


def test_all_vectors_go_when_threads_are_deleted_or_documents_forgotten(file: Path, tmp_path: Path) -> None:
    add_vectors({"one": b"1"})
    delete_threads(LocalBackend(StoreLocation()), MemoryThreads(InMemorySaver()), ["gone"])
    assert not file.exists()
    (tmp_path / "a.txt").write_text("some words\n")
    with DocumentIndex(tmp_path / "index.db") as index:
        index.update([str(tmp_path / "a.txt")])
        add_vectors({"one": b"1"})
        index.forget(str(tmp_path / "a.txt"))
    assert not file.exists()
