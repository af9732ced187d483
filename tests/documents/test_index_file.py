"""The file of the index: damaged, of another version, on a full disk, held by another process."""

import errno
import os
import sqlite3
import subprocess
import zlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from chatcli.documents import index_file as index_files
from chatcli.documents.index import IN_LOG, DocumentIndex
from chatcli.errors import StoreError

DAMAGED = "the index of documents was damaged: it is built again"


@pytest.fixture
def filled(docs: Path, index_file: Path) -> Path:
    """Return the file of an index with a hundred documents."""
    for number in range(100):
        words = " ".join(f"word{number * place}" for place in range(200))
        (docs / f"{number}.md").write_text(f"the lighthouse of keeper{number}\n\n{words}")
    with DocumentIndex(index_file) as index:
        index.update([str(docs)])
    return index_file


def check_works(index: DocumentIndex, docs: Path) -> None:
    """Check that `index` finds what is in the files."""
    (found,) = index.search("keeper42", [str(docs)], limit=1)
    assert found.path.name == "42.md"
    assert index.update([str(docs)]).files == 100


@pytest.mark.parametrize("content", [b"", b"This is no database. " * 500, b"SQLite format 3\0" + b"\xff" * 5000])
def test_what_is_no_database_is_replaced(docs: Path, filled: Path, content: bytes) -> None:
    filled.write_bytes(content)
    filled.chmod(0o644)
    with DocumentIndex(filled) as index:
        assert index.notice == (DAMAGED if content else "")
        index.update([str(docs)])
        check_works(index, docs)
    assert filled.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("statement", ["PRAGMA user_version = 99", "PRAGMA application_id = 1"])
def test_another_version_is_replaced_and_keeps_its_sources(docs: Path, filled: Path, statement: str) -> None:
    with closing(sqlite3.connect(filled)) as connection:
        connection.execute(statement)
    with DocumentIndex(filled) as index:
        assert index.notice == "the index of documents was of another version: it is built again"
        assert [(source.source, source.files) for source in index.sources()] == [(str(docs), 0)]
        index.update([str(docs)])
        check_works(index, docs)


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 0.7, 0.9])
def test_damage_in_the_middle_is_never_shown(docs: Path, filled: Path, share: float) -> None:
    size = filled.stat().st_size
    with filled.open("r+b") as file:
        file.seek(int(size * share))
        file.write(os.urandom(size // 10))
    with DocumentIndex(filled) as index:
        index.update([str(docs)])
        for number in range(0, 100, 7):
            (found,) = index.search(f"keeper{number}", limit=1)
            lines = found.path.read_text().split("\n")
            assert found.start_line is not None
            assert found.text == "\n".join(lines[found.start_line - 1 : found.end_line])
            assert found.path.name == f"{number}.md"


@pytest.mark.parametrize("text", [b"\x00\x11\x22\x33", zlib.compress(b"x" * 2**21), zlib.compress(b"\xff")])
def test_damage_that_a_search_meets(docs: Path, filled: Path, text: bytes) -> None:
    with closing(sqlite3.connect(filled)) as connection:
        connection.execute("UPDATE passages SET text = ?", (text,))
        connection.commit()
    with DocumentIndex(filled) as index:
        assert index.notice == ""
        assert index.search("keeper42", limit=1)[0].path.name == "42.md"
        assert index.notice == DAMAGED
        check_works(index, docs)


def test_a_process_goes_on_when_another_replaces_the_file(docs: Path, filled: Path) -> None:
    with DocumentIndex(filled) as first:
        first.search("lighthouse")
        with closing(sqlite3.connect(filled)) as connection:
            connection.execute("PRAGMA user_version = 99")
        with DocumentIndex(filled) as second:
            second.update([str(docs)])
            check_works(first, docs)
            check_works(second, docs)


def test_a_new_file_of_another_process_is_not_removed(docs: Path, filled: Path) -> None:
    class Late(sqlite3.Connection):
        """Is closed when another process has replaced the damaged file."""

        def close(self) -> None:
            super().close()
            filled.rename(filled.with_name("old"))  # not removed: the new one would get its number
            with DocumentIndex(filled) as other:
                other.update([str(docs)])

    with closing(index_files.rebuild_index(filled, sqlite3.connect(filled, factory=Late))) as database:
        assert database.execute("SELECT count(*) FROM files").fetchone() == (100,)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Give a folder on a disk of 2 MB; only root may mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "none", folder], check=False).returncode:
        pytest.skip("mounting needs root")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_full_disk(docs: Path, small_disk: Path) -> None:
    with DocumentIndex(small_disk / "documents.db") as index:
        (docs / "a.md").write_text("the lighthouse")
        index.update([str(docs)])
        for number in range(40):
            (docs / f"{number}.md").write_text(os.urandom(50_000).hex())
        with pytest.raises(StoreError, match="the index of documents can't be used: the disk is full") as raised:
            index.update([str(docs)])
        assert raised.value.remedy
        assert [found.path.name for found in index.search("lighthouse")] == ["a.md"]
        for number in range(40):
            (docs / f"{number}.md").write_text(f"keeper{number}")
        assert index.update([str(docs)]).files == 41
        assert index.search("keeper39")
        assert index._db.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_a_writer_that_does_not_end_is_reported(docs: Path, filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index_files, "BUSY_TIMEOUT", 0.1)
    with closing(sqlite3.connect(filled)) as writer, DocumentIndex(filled) as index:
        writer.execute("BEGIN IMMEDIATE")
        assert index.search("keeper42")  # reading does not wait
        (docs / "new.md").write_text("the new lighthouse")
        with pytest.raises(StoreError, match="another process is writing to it"):
            index.update([str(docs)])
        writer.execute("ROLLBACK")
        assert index.update([str(docs)]).added == 1


def test_forgotten_text_that_a_reader_keeps_in_the_log_is_reported(
    docs: Path, filled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index_files, "BUSY_TIMEOUT", 0.1)
    log = filled.with_name(f"{filled.name}-wal")
    with closing(sqlite3.connect(filled, isolation_level=None)) as reader, DocumentIndex(filled) as index:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM files").fetchone()
        assert index.forget(str(docs)) == 100
        assert index.notice == IN_LOG
        assert log.stat().st_size > 0
        reader.execute("COMMIT")
        assert index.forget(str(docs)) == 0
        assert index.notice == ""
    assert not log.exists()  # the last that closes the index removes it


def test_a_closed_index_is_not_taken_for_a_damaged_one(docs: Path, filled: Path) -> None:
    index = DocumentIndex(filled)
    index.close()
    with pytest.raises(StoreError, match="closed"):
        index.search("keeper42")
    with DocumentIndex(filled) as index:
        assert index.sources()[0].files == 100


@pytest.mark.parametrize(
    ("error", "damage", "reason", "remedy"),
    [
        (sqlite3.OperationalError("database is locked"), False, "another process is writing to it", "Try again"),
        (sqlite3.OperationalError("database or disk is full"), False, "the disk is full", "Free some space"),
        (sqlite3.OperationalError("attempt to write a readonly database"), False, "readonly", "Make it writable"),
        (sqlite3.OperationalError("unable to open database file"), False, "unable to open", "Make it writable"),
        (sqlite3.OperationalError("disk I/O error"), False, "disk I/O error", "Nothing of your documents is lost"),
        (sqlite3.ProgrammingError("Cannot operate on a closed database."), False, "closed", "Nothing of"),
        (sqlite3.DatabaseError("database disk image is malformed"), True, "malformed", "Nothing of"),
        (sqlite3.DatabaseError("file is not a database"), True, "not a database", "Nothing of"),
        (zlib.error("invalid"), True, "invalid", "Nothing of"),
        (OSError(errno.ENOSPC, "No space left on device"), None, "the disk is full", "Free some space"),
        (OSError(errno.EACCES, "Permission denied"), None, "Permission denied", "Make it writable"),
        (OSError(errno.EROFS, "Read-only file system"), None, "Read-only file system", "Make it writable"),
    ],
)
def test_what_an_error_means_and_what_to_do(error: Exception, damage: bool | None, reason: str, remedy: str) -> None:
    if damage is not None:
        assert index_files.is_damage(error) is damage
    told = index_files.as_store_error(error, Path("documents.db"))
    assert told.message.startswith("the index of documents can't be used: ")
    assert reason in told.message
    assert (told.remedy or "").startswith(remedy)


def test_a_place_that_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    with pytest.raises(StoreError, match="the index of documents can't be used"):
        DocumentIndex(tmp_path / "data" / "documents.db")
