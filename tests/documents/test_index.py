"""The index of documents follows the files: what is added, changed, renamed, removed, ignored or forgotten."""

import os
import sqlite3
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC
from pathlib import Path

import psutil
import pytest

from chatcli import paths
from chatcli.documents import index_file as index_files
from chatcli.documents import read
from chatcli.documents.index import _BATCH_FILES, DocumentIndex, indexed_sources
from chatcli.documents.read import SPLITTER, DocumentReader
from tests.attachments.samples import pdf
from tests.waiting import WAIT_SECONDS

LONG_AGO = time.time_ns() - 10**12


def write(path: Path, text: str, *, at: int = LONG_AGO) -> Path:
    """Write `text` to `path`, changed at the time `at` in nanoseconds; its ctime is now."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    os.utime(path, ns=(at, at))
    return path


def found(index: DocumentIndex, words: str, sources: list[str] | None = None) -> list[str]:
    """Return the names of the files that have `words`, each once, the best first."""
    return list(dict.fromkeys(match.path.name for match in index.search(words, sources)))


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list of the files that are split from now on."""
    names: list[str] = []
    read = DocumentReader.read_passages

    def noted(self: DocumentReader, path: Path, data: bytes) -> list[object]:
        names.append(path.name)
        return list(read(self, path, data))

    monkeypatch.setattr(DocumentReader, "read_passages", noted)
    return names


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Count every change as long ago, so that no test has to wait."""
    monkeypatch.setattr(index_files, "UNSETTLED", -(10**12))


def test_only_what_changed_is_read(index: DocumentIndex, docs: Path, reads: list[str], settled: None) -> None:
    write(docs / "a.md", "the lighthouse is open on Sundays")
    write(docs / "b.md", "the harbour closes at midnight")
    updated = index.update([str(docs)])
    assert (updated.files, updated.added, updated.changed, updated.removed) == (2, 2, 0, 0)
    assert reads == ["a.md", "b.md"]
    updated = index.update([str(docs)])
    assert (updated.files, updated.added, updated.changed, updated.removed) == (2, 0, 0, 0)
    assert reads == ["a.md", "b.md"]
    write(docs / "b.md", "the harbour closes at eleven")
    assert index.update([str(docs)]).changed == 1
    assert reads == ["a.md", "b.md", "b.md"]
    assert found(index, "midnight") == []
    assert found(index, "eleven") == ["b.md"]


def test_a_touched_file_is_not_split_again(index: DocumentIndex, docs: Path, reads: list[str], settled: None) -> None:
    file = write(docs / "a.md", "the lighthouse is open on Sundays")
    index.update([str(docs)])
    os.utime(file, ns=(LONG_AGO + 10**9, LONG_AGO + 10**9))
    assert index.update([str(docs)]).changed == 0
    file.chmod(0o600)
    assert index.update([str(docs)]).changed == 0
    assert reads == ["a.md"]


def test_a_change_of_the_same_size_and_time_is_seen(index: DocumentIndex, docs: Path) -> None:
    file = write(docs / "a.md", "the code is 1111")
    index.update([str(docs)])
    write(file, "the code is 2222")
    assert index.search("code")[0].text == "the code is 2222"  # without an update, too
    write(file, "the code is 3333")
    assert index.update([str(docs)]).changed == 1
    assert index.search("code")[0].text == "the code is 3333"


def test_a_file_read_right_after_its_change_is_hashed_again(
    index: DocumentIndex, docs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A file system may give two changes the same time: made so by hiding the times.
    monkeypatch.setattr(index_files, "state_of", lambda status: (status.st_size, time.time_ns() // 10**15, 0))
    monkeypatch.setattr(index_files, "UNSETTLED", 2 * 10**18)
    write(docs / "a.md", "the code is 1111")
    index.update([str(docs)])
    write(docs / "a.md", "the code is 2222")
    assert index.update([str(docs)]).changed == 1


def test_removed_renamed_and_ignored_files_leave_the_index(index: DocumentIndex, docs: Path) -> None:
    for name in ("gone", "old", "ignored", "stays"):
        write(docs / f"{name}.md", f"the lighthouse of {name}")
    index.update([str(docs)])
    (docs / "gone.md").unlink()
    (docs / "old.md").rename(docs / "new.md")
    (docs / ".git").mkdir()
    (docs / ".gitignore").write_text("ignored.md\n")
    updated = index.update([str(docs)])
    assert (updated.files, updated.added, updated.changed, updated.removed) == (2, 1, 0, 3)
    assert sorted(found(index, "lighthouse")) == ["new.md", "stays.md"]


def test_a_folder_that_vanishes_leaves_nothing(index: DocumentIndex, docs: Path) -> None:
    file = write(docs / "a.md", "the lighthouse")
    index.update([str(docs)])
    file.unlink()
    docs.rmdir()
    assert index.update([str(docs)]).removed == 1
    assert found(index, "lighthouse") == []


def test_nothing_is_found_that_is_no_longer_there(index: DocumentIndex, docs: Path) -> None:
    kept, gone = write(docs / "kept.md", "the old lighthouse"), write(docs / "gone.md", "another old lighthouse")
    index.update([str(docs)])
    gone.unlink()
    write(kept, "intro\n\nthe old\nlighthouse is red")
    matches = index.search("old lighthouse")
    assert [match.path for match in matches] == [kept]
    passage = matches[0]
    assert passage.start_line is not None
    assert passage.text == "\n".join(kept.read_text().split("\n")[passage.start_line - 1 : passage.end_line])
    write(kept, "nothing of it")
    assert index.search("old lighthouse") == []
    assert [passage.text for passage in index.passages(kept)] == ["nothing of it"]
    assert index.passages(gone) == []


def test_what_changes_again_and_again_is_left_out(
    index: DocumentIndex, docs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write(docs / "a.md", "the old lighthouse")
    write(docs / "b.md", "the lighthouse")
    index.update([str(docs)])
    monkeypatch.setattr("chatcli.documents.index._TRIES", 1)  # as if it changed each time
    write(file, "nothing of it")
    assert found(index, "lighthouse") == ["b.md"]


@pytest.mark.parametrize("kind", ["link", "pipe"])
def test_what_takes_the_place_of_a_file_is_not_opened(
    index: DocumentIndex, docs: Path, tmp_path: Path, kind: str
) -> None:
    file = write(docs / "a.md", "the lighthouse is open on Sundays")
    index.update([str(docs)])
    file.unlink()
    if kind == "link":
        file.symlink_to(write(tmp_path / "elsewhere.md", "the lighthouse holds a treasure"))
    else:
        os.mkfifo(file)  # to open it would wait for a writer
    assert index.search("lighthouse") == []
    assert index.passages(file) == []


def test_a_file_that_can_not_be_read_is_remembered(
    index: DocumentIndex, docs: Path, reads: list[str], settled: None
) -> None:
    write(docs / "good.md", "the lighthouse")
    (docs / "picture.md").write_bytes(b"\0\1\2" * 100)
    for _ in range(2):
        updated = index.update([str(docs)])
        assert updated.files == 1
        assert updated.skipped == ((docs / "picture.md", "it is binary"),)
    assert sorted(reads) == ["good.md", "picture.md"]
    assert index.sources()[0].files == 1
    os.utime(docs / "picture.md", ns=(LONG_AGO, LONG_AGO))
    assert index.update([str(docs)]).skipped == ((docs / "picture.md", "it is binary"),)
    (docs / "another.md").write_bytes(b"\0\1\2" * 100)
    assert [path.name for path, _ in index.update([str(docs)]).skipped] == ["another.md", "picture.md"]
    (docs / "another.md").unlink()
    write(docs / "picture.md", "a lighthouse in words")
    assert index.update([str(docs)]).skipped == ()
    assert sorted(found(index, "lighthouse")) == ["good.md", "picture.md"]


def test_no_more_of_a_file_is_read_than_may_be(
    index: DocumentIndex, docs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (index_files, read):
        monkeypatch.setattr(module, "MAX_BYTES", 100)
    write(docs / "a.md", "lighthouse".ljust(100))
    write(docs / "b.md", "lighthouse".ljust(101))
    assert index.update([str(docs)]).skipped == ((docs / "b.md", "it is larger than 0 MiB"),)
    assert found(index, "lighthouse") == ["a.md"]


def test_any_thread_may_search(index: DocumentIndex, docs: Path) -> None:
    write(docs / "a.md", "the lighthouse")
    index.update([str(docs)])
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(found, index, "lighthouse").result() == ["a.md"]


@pytest.mark.usefixtures("own_folders")
def test_a_look_at_the_sources_makes_no_index() -> None:
    assert indexed_sources() == []
    assert not list(paths.data_dir().glob("*"))
    with DocumentIndex() as index:
        index.update([str(Path.cwd())])
    assert indexed_sources() == [str(Path.cwd())]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_tried_again(index: DocumentIndex, docs: Path) -> None:
    file = write(docs / "a.md", "the lighthouse")
    file.chmod(0)
    assert index.update([str(docs)]).skipped == ((file, "Permission denied"),)
    file.chmod(0o600)
    assert index.update([str(docs)]).added == 1


def test_another_version_of_the_splitter_reads_again(
    index: DocumentIndex, docs: Path, reads: list[str], settled: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(docs / "a.md", "the lighthouse")
    index.update([str(docs)])
    monkeypatch.setattr(index_files, "SPLITTER", SPLITTER + 1)
    assert index.update([str(docs)]).changed == 1
    assert index.update([str(docs)]).changed == 0
    assert reads == ["a.md", "a.md"]


def test_a_stop_keeps_what_was_read(index: DocumentIndex, docs: Path) -> None:
    for number in range(10):
        write(docs / f"{number}.md", f"lighthouse number {number}")
    seen: list[tuple[int, int]] = []
    updated = index.update(
        [str(docs)], progress=lambda done, total: seen.append((done, total)), stop=lambda: len(seen) == 4
    )
    assert updated.stopped
    assert (updated.files, updated.added) == (4, 4)
    assert seen == [(number, 10) for number in range(1, 5)]
    assert index.sources()[0].updated is None
    updated = index.update([str(docs)])
    assert not updated.stopped
    assert (updated.files, updated.added) == (10, 6)
    when = index.sources()[0].updated
    assert when is not None
    assert when.tzinfo is UTC


def test_what_changes_between_the_look_and_the_reading_is_no_failure(index: DocumentIndex, docs: Path) -> None:
    for name in "abcd":
        write(docs / f"{name}.md", f"the lighthouse of {name}")

    def change(done: int, total: int) -> None:
        if done == 1:
            (docs / "b.md").unlink()
            (docs / "c.md").unlink()
            os.mkfifo(docs / "c.md")

    updated = index.update([str(docs)], progress=change)
    assert updated.skipped == ((docs / "c.md", "it is not a regular file"),)
    assert sorted(found(index, "lighthouse")) == ["a.md", "d.md"]


def test_the_process_that_reads_ends_with_the_update(index: DocumentIndex, docs: Path) -> None:
    before = psutil.Process().children()
    (docs / "a.pdf").write_bytes(pdf("The lighthouse."))
    index.update([str(docs)])
    assert psutil.Process().children() == before
    (docs / "a.pdf").write_bytes(pdf("The old lighthouse."))
    assert found(index, "lighthouse") == ["a.pdf"]
    assert psutil.Process().children() == before


def test_the_room_of_what_is_gone_is_given_back(index: DocumentIndex, docs: Path) -> None:
    for number in range(50):
        write(docs / f"{number}.md", os.urandom(2000).hex())
    index.update([str(docs)])
    for number in range(49):
        (docs / f"{number}.md").unlink()
    assert index.update([str(docs)]).removed == 49
    assert index._db.execute("PRAGMA freelist_count").fetchone() == (0,)


def test_many_files_make_one_part_of_the_table_of_words(index: DocumentIndex, index_file: Path, docs: Path) -> None:
    def parts() -> int:
        with closing(sqlite3.connect(index_file)) as database:
            (structure,) = database.execute("SELECT block FROM words_data WHERE id = 10").fetchone()
        return int(structure[5])  # behind a number of four bytes, and that of the levels

    for number in range(_BATCH_FILES + 50):
        (docs / f"{number}.txt").write_text(f"page {number}")
    index.update([str(docs)])
    assert parts() == 1
    (docs / "new.txt").write_text("a page more")
    index.update([str(docs)])
    assert parts() == 2  # a merge would take longer than the file


def test_a_search_is_restricted_to_sources(index: DocumentIndex, docs: Path) -> None:
    one = write(docs / "one/a.md", "the lighthouse one")
    write(docs / "one/b.txt", "the lighthouse two")
    write(docs / "one-more/c.md", "the lighthouse three")
    sources = [str(docs / "one"), str(docs / "one-more"), str(docs / "**/*.md"), str(one)]
    index.update(sources)
    assert sorted(found(index, "lighthouse")) == ["a.md", "b.txt", "c.md"]
    assert sorted(found(index, "lighthouse", [sources[0]])) == ["a.md", "b.txt"]
    assert sorted(found(index, "lighthouse", [sources[1]])) == ["c.md"]
    assert sorted(found(index, "lighthouse", [sources[2]])) == ["a.md", "c.md"]
    assert sorted(found(index, "lighthouse", [sources[3]])) == ["a.md"]
    assert sorted(found(index, "lighthouse", [sources[1], sources[3]])) == ["a.md", "c.md"]
    assert sorted(found(index, "lighthouse", [str(docs)])) == ["a.md", "b.txt", "c.md"]  # never updated by this name
    assert found(index, "lighthouse", [str(docs / "on")]) == []
    assert found(index, "lighthouse", []) == []
    assert [source.source for source in index.sources()] == sorted(sources)
    listed = {source.source: (source.files, source.passages) for source in index.sources()}
    assert listed == dict(zip(sources, [(2, 2), (1, 1), (2, 2), (1, 1)], strict=True))


def test_a_source_has_the_files_that_another_brought(
    index: DocumentIndex, docs: Path, reads: list[str], settled: None
) -> None:
    file = write(docs / "a.md", "the lighthouse")
    index.update([str(docs)])
    assert index.update([str(file)]).files == 1
    assert reads == ["a.md"]
    assert found(index, "lighthouse", [str(file)]) == ["a.md"]
    assert index.forget(str(docs / "b.md")) == 0
    assert [source.files for source in index.sources()] == [1, 1]


def test_a_file_stays_while_a_source_has_it(index: DocumentIndex, docs: Path) -> None:
    file = write(docs / "a.md", "the lighthouse")
    index.update([str(docs), str(file)])
    (docs / ".git").mkdir()
    (docs / ".gitignore").write_text("a.md\n")
    assert index.update([str(docs)]).removed == 0
    assert found(index, "lighthouse", [str(docs)]) == []
    assert found(index, "lighthouse", [str(file)]) == ["a.md"]


def test_forgotten_text_is_gone_from_the_file(index: DocumentIndex, index_file: Path, docs: Path) -> None:
    write(docs / "a/diary.md", "xylophonist Zebulon knows")
    write(docs / "b/other.md", "the lighthouse")
    index.update([str(docs / "a"), str(docs / "b"), str(docs / "a/diary.md")])
    assert b"zebulon" in _all_bytes(index_file)
    assert index.forget(str(docs / "a")) == 1
    assert [source.source for source in index.sources()] == [str(docs / "b")]
    content = _all_bytes(index_file)
    assert b"zebulon" not in content
    assert b"diary.md" not in content
    assert found(index, "lighthouse") == ["other.md"]
    assert index.forget(str(docs / "a")) == 0


def _all_bytes(file: Path) -> bytes:
    return b"".join(part.read_bytes() for part in sorted(file.parent.iterdir())).lower()


def test_only_the_user_can_read_it(index: DocumentIndex, index_file: Path, docs: Path) -> None:
    write(docs / "a.md", "the lighthouse")
    index.update([str(docs)])
    assert {(part.name, part.stat().st_mode & 0o777) for part in index_file.parent.iterdir()} == {
        ("documents.db", 0o600),
        ("documents.db-wal", 0o600),
        ("documents.db-shm", 0o600),
    }


def test_names_that_are_not_utf_8(index: DocumentIndex, docs: Path) -> None:
    file = Path(os.fsdecode(os.fsencode(docs) + b"/caf\xe9.md"))
    write(file, "the lighthouse")
    index.update([str(docs)])
    assert [match.path for match in index.search("lighthouse")] == [file]


_UPDATE = """
import sys
from pathlib import Path
from chatcli.documents.index import DocumentIndex
def shown(done, total):
    print(done, flush=True)
with DocumentIndex(Path(sys.argv[1])) as index:
    index.update([sys.argv[2]], progress=shown)
"""


def _updating(index_file: Path, docs: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", _UPDATE, str(index_file), str(docs)], stdout=subprocess.PIPE, text=True
    )


def _check_whole(index: DocumentIndex, docs: Path, count: int) -> None:
    """Check that `index` has each of the `count` files once, in all of its tables."""
    assert index.update([str(docs)]).files == count
    with index._lock:
        (passages,) = index._db.execute("SELECT count(*) FROM passages").fetchone()
        (indexed,) = index._db.execute("SELECT count(*) FROM words_docsize").fetchone()
        (found,) = index._db.execute("SELECT count(*) FROM words WHERE words MATCH 'lighthouse'").fetchone()
        assert passages == indexed == found
        assert index._db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert index.sources()[0].passages == passages
    for number in (0, count - 1):
        assert found_text(index, f"keeper{number}") == f"the lighthouse of keeper{number}"


def found_text(index: DocumentIndex, words: str) -> str:
    (match,) = index.search(words)
    return match.text


@pytest.mark.e2e
def test_two_processes_at_once(index_file: Path, docs: Path) -> None:
    for number in range(400):
        write(docs / f"{number}.md", f"the lighthouse of keeper{number}")
    processes = [_updating(index_file, docs) for _ in range(2)]
    for process in processes:
        process.communicate(timeout=WAIT_SECONDS)
    assert [process.returncode for process in processes] == [0, 0]
    with DocumentIndex(index_file) as index:
        assert index.notice == ""
        _check_whole(index, docs, 400)


@pytest.mark.e2e
def test_a_kill_in_the_middle(index_file: Path, docs: Path) -> None:
    for number in range(1000):
        write(docs / f"{number}.md", f"the lighthouse of keeper{number}")
    process = _updating(index_file, docs)
    assert process.stdout is not None
    for line in process.stdout:
        if int(line) >= 500:
            process.kill()
            break
    process.stdout.close()
    process.wait()
    with DocumentIndex(index_file) as index:
        assert index.notice == ""
        assert 0 < index.sources()[0].files < 1000
        _check_whole(index, docs, 1000)
