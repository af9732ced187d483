"""The rows of the index of documents: a file's state, and its passages, which are replaced in one step."""

import json
import os
import sqlite3
import time
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple, cast

from chatcli.config.secret_files import open_regular
from chatcli.documents.passage import Passage
from chatcli.documents.read import MAX_BYTES, SPLITTER, DocumentReader
from chatcli.documents.worker import UnreadableError
from chatcli.ranking.words import index_words
from chatcli.runtime.parse import inflate

UNSETTLED = 2_000_000_000
"""Nanoseconds within which a file system may give two changes the same time; FAT counts in two seconds."""
_NAMES = 3
"""How many names at the end of a path are searched."""
State = tuple[int, int, int]
"""A file's size, and the times of the last change of its content and of its entry, in nanoseconds."""


class KnownFile(NamedTuple):
    """A file as the index knows it; `problem` is why it can't be read."""

    id: int
    size: int
    mtime: int
    ctime: int
    settled: int
    """0 if it was read so shortly after a change that another change may not show in its times."""
    splitter: int
    hash: bytes
    problem: str | None

    def is_current(self, state: State) -> bool:
        """Return whether the file has surely not changed if it is in `state` now."""
        return bool(self.settled) and (self.size, self.mtime, self.ctime) == state and self.splitter == SPLITTER


@dataclass(frozen=True, slots=True)
class Content:
    """What a file held when it was read."""

    path: str
    state: State
    settled: bool
    hash: bytes
    passages: Sequence[Passage] | None
    """Its passages; None if they are those that the index has."""
    problem: str | None = None
    """Why it can't be read, if it can't."""


def state_of(status: os.stat_result) -> State:
    """Return the part of `status` that changes with the content."""
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns


def read_content(path: str, known: KnownFile | None, reader: DocumentReader) -> Content:
    """Return the content of the file `path` now; its passages only if the content is not the `known` one.

    Raises `OSError` if it can't be read now, or is no regular file any more.
    """
    began = time.time_ns()
    with open(path, "rb", opener=open_regular) as file:
        state = state_of(os.fstat(file.fileno()))
        data = file.read(MAX_BYTES + 1)
        after = state_of(os.fstat(file.fileno()))
    settled = state == after and max(state[1:]) < began - UNSETTLED
    digest = blake2b(data, digest_size=16).digest()
    if known is not None and (known.hash, known.splitter) == (digest, SPLITTER):
        return Content(path, state, settled, digest, None, known.problem)
    try:
        passages = reader.read_passages(Path(path), data)
    except UnreadableError as error:
        return Content(path, state, settled, digest, (), str(error))
    return Content(path, state, settled, digest, passages)


_FILE = "SELECT path, id, size, mtime, ctime, settled, splitter, hash, problem FROM"


def files_of_source(db: sqlite3.Connection, source: int) -> dict[str, KnownFile]:
    """Return the files of `source` in the index by path."""
    rows = db.execute(f"{_FILE} members JOIN files ON id = file WHERE source = ?", (source,)).fetchall()
    # All paths at once: with a call for each, this took as long as the walk through the files.
    paths = os.fsdecode(b"\0".join(row[0] for row in rows)).split("\0")
    return {path: KnownFile._make(row[1:]) for path, row in zip(paths, rows, strict=False)}


def known_file(db: sqlite3.Connection, path: str) -> KnownFile | None:
    """Return the file `path` as the index knows it."""
    row = db.execute(f"{_FILE} files WHERE path = ?", (os.fsencode(path),)).fetchone()
    return None if row is None else KnownFile._make(row[1:])


def write_content(db: sqlite3.Connection, content: Content, sources: Iterable[int]) -> str:
    """Make `content` what the index has of its file, a member of `sources`; return "added", "changed" or "same".

    Nothing is done for a file that another process has removed meanwhile, or whose sources it has removed.
    """
    known = known_file(db, content.path)
    query = "SELECT id FROM sources WHERE id IN (SELECT value FROM json_each(?))"
    members = db.execute(query, (json.dumps(list(sources)),)).fetchall()
    values = (*content.state, content.settled, SPLITTER, content.hash, content.problem)
    outcome = "same"
    if known is None and (content.passages is None or not members):
        return outcome
    if known is None:
        query = "INSERT INTO files (size, mtime, ctime, settled, splitter, hash, problem, path, first, count) "
        cursor = db.execute(f"{query} VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0, 0)", (*values, os.fsencode(content.path)))
        number = cast("int", cursor.lastrowid)
        outcome = "added"
    else:
        number = known.id
        query = "UPDATE files SET size = ?, mtime = ?, ctime = ?, settled = ?, splitter = ?, hash = ?, problem = ?"
        db.execute(f"{query} WHERE id = ?", (*values, number))
        # Another process may have written the same meanwhile.
        if content.passages is not None and (known.hash, known.splitter) != (content.hash, SPLITTER):
            outcome = "changed"
    if outcome != "same":
        remove_passages(db, [number])
        _add_passages(db, number, content)
    db.executemany("INSERT OR IGNORE INTO members VALUES (?, ?)", ((source, number) for (source,) in members))
    return outcome


def _add_passages(db: sqlite3.Connection, file: int, content: Content) -> None:
    passages = content.passages or ()
    (last,) = db.execute("SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'passages'").fetchone()
    first = last + 2
    numbered = list(enumerate(passages, first))
    db.executemany(
        "INSERT INTO passages (id, start_line, end_line, page, headings, text, plain) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            (
                number,
                passage.start_line,
                passage.end_line,
                passage.page,
                json.dumps(passage.headings, ensure_ascii=False) if passage.headings else "",
                _packed(passage.text),
                _packed(passage.plain) if passage.plain else None,
            )
            for number, passage in numbered
        ),
    )
    db.executemany(
        "INSERT INTO words (rowid, place, text) VALUES (?, ?, ?)",
        ((number, *indexed(passage)) for number, passage in numbered),
    )
    db.execute("UPDATE files SET first = ?, count = ? WHERE id = ?", (first, len(numbered), file))


def remove_passages(db: sqlite3.Connection, files: Iterable[int]) -> None:
    """Remove the passages of `files`."""
    for file in files:
        row = db.execute("SELECT path, first, count FROM files WHERE id = ?", (file,)).fetchone()
        if row is None:  # another process was quicker
            continue
        path, first, count = row
        # The table of words has no text of its own: it has to be given what was indexed.
        db.executemany(
            "INSERT INTO words (words, rowid, place, text) VALUES ('delete', ?, ?, ?)",
            ((number, *indexed(passage)) for number, passage in numbered_passages(db, path, first, first + count)),
        )
        db.execute("DELETE FROM passages WHERE id >= ? AND id < ?", (first, first + count))


def remove_files(db: sqlite3.Connection, files: Sequence[int]) -> None:
    """Remove `files` with all that belongs to them."""
    remove_passages(db, files)
    db.executemany("DELETE FROM files WHERE id = ?", ((file,) for file in files))


def numbered_passages(db: sqlite3.Connection, path: bytes, first: int, end: int) -> Iterator[tuple[int, Passage]]:
    """Yield the passages from `first` up to, without, `end`, all of the file `path`, with their numbers."""
    query = "SELECT id, start_line, end_line, page, headings, text, plain FROM passages WHERE id >= ? AND id < ?"
    where = Path(os.fsdecode(path))
    for number, start, last, page, headings, text, plain in db.execute(f"{query} ORDER BY id", (first, end)).fetchall():
        trail = tuple(json.loads(headings)) if headings else ()
        yield number, Passage(where, _unpacked(text), start, last, page, trail, _unpacked(plain) if plain else "")


def indexed(passage: Passage) -> tuple[str, str]:
    """Return the words of a passage as they are indexed: of its place, and of its text."""
    name = str(passage.path).rsplit("/", _NAMES)[1:]  # the folders further out are those of all files
    return index_words("\n".join((*name, *passage.headings))), index_words(passage.plain or passage.text)


_MAX_TEXT = 1 << 20
"""Bytes; a passage has a few thousand characters."""


def _packed(text: str) -> bytes:
    return zlib.compress(text.encode("utf-8", "surrogatepass"))


def _unpacked(data: bytes) -> str:
    return inflate(data, _MAX_TEXT).decode("utf-8", "surrogatepass")
