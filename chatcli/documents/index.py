"""The index of documents: it follows the user's files, and finds the passages that match a question."""

import json
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Self, TypeVar

from chatcli import paths
from chatcli.documents import index_file
from chatcli.documents.find import WalkCache, find_files
from chatcli.documents.passage import Passage
from chatcli.documents.read import DocumentReader
from chatcli.ranking.search import Match, Scope
from chatcli.ranking.semantic import forget_vectors, rank_matches

_T = TypeVar("_T")
_BATCH_BYTES, _BATCH_SECONDS, _BATCH_FILES = 2_000_000, 1.0, 200
"""What is written in one transaction, at most: others wait meanwhile, and a kill loses it."""
_OF_SOURCES = "FROM files WHERE id IN (SELECT file FROM members WHERE source IN (SELECT value FROM json_each(?)))"
IN_LOG = "another process is reading the index of documents: forgotten text leaves its log when all have closed it"
_TRIES = 3
"""How often a search begins again because files change under it; what still changes then is left out."""


@dataclass(frozen=True, slots=True)
class Updated:
    """What an update found."""

    files: int
    """How many files the sources have that can be read."""
    added: int
    """How many of them are new."""
    changed: int
    """How many have another content, or are read another way, than before."""
    removed: int
    """How many are gone, or are no longer a source's."""
    skipped: tuple[tuple[Path, str], ...]
    """The files that can't be read, with the reason; also those that were met before."""
    stopped: bool = False
    """Whether `stop` ended it before everything was read."""


@dataclass(frozen=True, slots=True)
class IndexedSource:
    """A source in the index: its files, their passages and bytes, and when it was last brought up to date (UTC)."""

    source: str
    files: int
    passages: int
    bytes: int
    updated: datetime | None


class DocumentIndex:
    """The passages of the user's files, in a SQLite file of their own, which only this user can read.

    Everything here blocks; any thread may call it, one at a time gets its turn. The file is never needed to be whole: a
    damaged one, or one of another version, is built again, and `notice` has a line about it for the user.

    `file` is by default `documents.db` in the data folder. All methods raise `StoreError` if it can't be used.
    """

    def __init__(self, file: Path | None = None) -> None:
        self._file = file or _own_file()
        self._lock = threading.RLock()
        self._db, self.notice = index_file.open_index(self._file)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    def update(
        self,
        sources: Sequence[str],
        *,
        progress: Callable[[int, int], None] | None = None,
        stop: Callable[[], bool] | None = None,
    ) -> Updated:
        """Bring the index up to date with the files of `sources`: one `stat` a file, and those that changed are read.

        It writes as it goes, so that a stop or a kill loses little; the next update goes on from there. `sources` are
        absolute paths or globs, as `resolve_source` returns them. `progress` is called with how many files are read,
        and how many there are to read; `stop` before each file that is read, and the update ends when it returns True.
        """
        return self._guarded(lambda: self._update(sources, progress, stop))

    def search(self, words: str, sources: Sequence[str] | None = None, *, limit: int = 10) -> list[Passage]:
        """Return up to `limit` passages that match `words`, the best first; all are weak when nothing is relevant.

        What is returned stands in the files at this moment. A file that changed since the update is read again first.
        `words` are any text, such as a question. Only files of `sources` are searched; None means all that is indexed.
        """
        return self._guarded(lambda: self._search(words, sources, limit))

    def passages(self, path: Path) -> list[Passage]:
        """Return the passages of the document `path` in order; none if it is not in the index."""
        return self._guarded(lambda: self._passages(path))

    def sources(self) -> list[IndexedSource]:
        """Return the indexed sources, by name."""
        return self._guarded(self._sources)

    def forget(self, source: str) -> int:
        """Remove `source` from the index, and return how many files went with it.

        These are the files that belong to it or stand below it, and the sources there. A file that belongs to another
        source, too, is back when that is used again. Their text is really gone from the index, not marked as deleted.
        """
        return self._guarded(lambda: self._forget(source))

    def _guarded(self, work: Callable[[], _T]) -> _T:
        """Return the result of `work`; if the file is damaged, build it again from its sources first."""
        with self._lock:
            try:
                try:
                    return work()
                except index_file.DAMAGE as error:
                    if not index_file.is_damage(error):
                        raise
                self._db, self.notice = index_file.rebuild_index(self._file, self._db), index_file.DAMAGED
                self._update([source.source for source in self._sources()], None, None)
                return work()
            except sqlite3.Error as error:
                raise index_file.as_store_error(error, self._file) from error

    def _update(
        self, sources: Sequence[str], progress: Callable[[int, int], None] | None, stop: Callable[[], bool] | None
    ) -> Updated:
        ids = self._source_ids(sources)
        scan = self._scan_sources(ids)
        removed = self._update_membership(scan)
        batch = _Batch(self._db, scan.members)
        failed: list[tuple[Path, str]] = []
        to_read = [
            path
            for path, state in scan.states.items()
            if (known := scan.known.get(path)) is None or not known.is_current(state)
        ]
        stopped = False
        with closing(DocumentReader()) as reader:
            for place, path in enumerate(to_read):
                if stop is not None and stop():
                    stopped = True
                    break
                try:
                    batch.add(index_file.read_content(path, scan.known.get(path), reader))
                except FileNotFoundError:
                    continue  # the next update removes it
                except OSError as error:  # perhaps of the moment, so it is not remembered
                    failed.append((Path(path), error.strerror or str(error)))
                if progress is not None:
                    progress(place + 1, len(to_read))
        batch.write()
        added, changed = batch.outcomes.count("added"), batch.outcomes.count("changed")
        if not stopped:
            now = time.time()
            with index_file.transaction(self._db, write=True):
                query = "UPDATE sources SET updated = ? WHERE id = ?"
                self._db.executemany(query, ((now, id_) for id_ in ids.values()))
        if batch.outcomes or removed:
            with suppress(sqlite3.OperationalError):  # another process is writing: the next update does it
                (files,) = self._db.execute("SELECT count(*) FROM files").fetchone()
                if added + changed > files // 10:  # it takes 1 % of the time of reading, and 30 % off each search
                    self._db.execute("INSERT INTO words (words) VALUES ('optimize')")
                self._db.executescript("PRAGMA incremental_vacuum")  # execute() would free a single page
        numbers = json.dumps(list(ids.values()))
        (readable,) = self._db.execute(f"SELECT count(*) {_OF_SOURCES} AND problem IS NULL", (numbers,)).fetchone()
        unreadable = self._db.execute(f"SELECT path, problem {_OF_SOURCES} AND problem IS NOT NULL", (numbers,))
        failed += ((Path(os.fsdecode(path)), problem) for path, problem in unreadable)
        return Updated(readable, added, changed, removed, tuple(sorted(failed)), stopped)

    def _source_ids(self, sources: Sequence[str]) -> dict[str, int]:
        """Return the numbers of `sources`, which are added where they are new."""
        names = [(os.fsencode(source),) for source in sources]
        query = "SELECT id FROM sources WHERE source = ?"
        if not all(self._db.execute(query, name).fetchone() for name in names):
            with index_file.transaction(self._db, write=True):
                self._db.executemany("INSERT OR IGNORE INTO sources (source) VALUES (?)", names)
        rows = (self._db.execute(query, name).fetchone() for name in names)
        return {source: row[0] for source, row in zip(sources, rows, strict=True)}

    def _scan_sources(self, sources: Mapping[str, int]) -> "_SourceScan":
        """Look at the files of `sources`, and at what the index knows of them."""
        scan = _SourceScan()
        for source, number in sources.items():
            known = index_file.files_of_source(self._db, number)
            (text,) = self._db.execute("SELECT decisions FROM sources WHERE id = ?", (number,)).fetchone()
            decisions = WalkCache.from_json(text, known)
            here = {path: index_file.state_of(status) for path, status in find_files([source], decisions)}
            scan.states |= here
            scan.known |= known
            for path in here:
                scan.members.setdefault(path, []).append(number)
            for path in here.keys() - known.keys():
                if (file := index_file.known_file(self._db, path)) is not None:
                    scan.known[path] = file
                    scan.joined.append((number, file.id))
            scan.left += [(number, known[path].id) for path in known.keys() - here.keys()]
            if (decided := decisions.to_json()) != text:
                scan.decided.append((decided, number))
        return scan

    def _update_membership(self, scan: "_SourceScan") -> int:
        """Write which files belong to which source; return how many leave the index because they belong to none."""
        if not (scan.joined or scan.left or scan.decided):
            return 0
        db = self._db
        with index_file.transaction(db, write=True):
            db.executemany("UPDATE sources SET decisions = ? WHERE id = ?", scan.decided)
            db.executemany("DELETE FROM members WHERE source = ? AND file = ?", scan.left)
            # Another process may have removed one or the other.
            query = (
                "INSERT OR IGNORE INTO members SELECT s.id, f.id FROM sources s, files f WHERE s.id = ? AND f.id = ?"
            )
            db.executemany(query, scan.joined)
            query = "SELECT 1 FROM members WHERE file = ?"
            unused = [file for _, file in scan.left if db.execute(query, (file,)).fetchone() is None]
            index_file.remove_files(db, unused)
        return len(unused)

    def _search(self, words: str, sources: Sequence[str] | None, limit: int) -> list[Passage]:
        for _ in range(_TRIES):
            with index_file.transaction(self._db, write=False):
                matches = rank_matches(self._db, words, self._scope(sources), limit, self._text)
                found = [item for match in matches for item in self._at(match)]
            stale = {path for path, _ in found if not self._refresh(path)}
            if not stale:
                break
        return [passage for path, passage in found if path not in stale]

    def _text(self, match: Match) -> str:
        [(_, passage)] = self._at(match)
        return "\n".join((*passage.headings, passage.plain or passage.text))

    def _at(self, match: Match) -> Iterator[tuple[str, Passage]]:
        """Yield the passage of `match` with the path of its file."""
        query = "SELECT path FROM files WHERE first <= ? AND count > 0 ORDER BY first DESC LIMIT 1"
        (path,) = self._db.execute(query, (match.passage,)).fetchone()
        for _, passage in index_file.numbered_passages(self._db, path, match.passage, match.passage + 1):
            yield os.fsdecode(path), replace(passage, score=match.score, by_words=match.by_words, weak=match.weak)

    def _refresh(self, path: str) -> bool:
        """Return whether the index knows what the file `path` holds at this moment; if not, bring it up to date."""
        known = index_file.known_file(self._db, path)
        if known is None:
            return False
        try:
            if known.is_current(index_file.state_of(Path(path).stat())):
                return True
            with closing(DocumentReader()) as reader:
                content = index_file.read_content(path, known, reader)
        except OSError:
            with index_file.transaction(self._db, write=True):
                index_file.remove_files(self._db, [known.id])
            return False
        if content.passages is not None:
            with index_file.transaction(self._db, write=True):
                index_file.write_content(self._db, content, ())
        return content.passages is None

    def _scope(self, sources: Sequence[str] | None) -> Scope:
        query = "SELECT coalesce(max(first + count), 0), coalesce(sum(count), 0), count(*) FROM files"
        end, indexed, files = self._db.execute(query).fetchone()
        wanted = None if sources is None else self._files_of(sources)
        if wanted is None or len(wanted) == files:
            return Scope([(0, end)], indexed, indexed)
        ranges: list[tuple[int, int]] = []
        count = 0
        query = "SELECT id, first, first + count FROM files WHERE count ORDER BY first"
        for file, first, end in self._db.execute(query):
            if file not in wanted:
                continue
            count += end - first
            if ranges and first <= ranges[-1][1] + 1:  # one number is left out between two files
                ranges[-1] = (ranges[-1][0], end)
            else:
                ranges.append((first, end))
        return Scope(ranges, count, indexed)

    def _files_of(self, sources: Iterable[str]) -> set[int]:
        """Return the files of `sources`; of one that was never updated, those below it in the index."""
        files: set[int] = set()
        for source in map(os.fsencode, sources):
            row = self._db.execute("SELECT id FROM sources WHERE source = ?", (source,)).fetchone()
            if row is None:
                query, values = "SELECT id FROM files WHERE path = ? OR path > ? AND path < ?", _below(source)
            else:
                query, values = "SELECT file FROM members WHERE source = ?", row
            files.update(file for (file,) in self._db.execute(query, values))
        return files

    def _passages(self, path: Path) -> list[Passage]:
        self._refresh(str(path))
        name = os.fsencode(path)
        row = self._db.execute("SELECT first, count FROM files WHERE path = ?", (name,)).fetchone()
        if row is None:
            return []
        return [passage for _, passage in index_file.numbered_passages(self._db, name, row[0], row[0] + row[1])]

    def _sources(self) -> list[IndexedSource]:
        query = """
            SELECT s.source, count(f.id), coalesce(sum(f.count), 0), coalesce(sum(f.size), 0), s.updated
            FROM sources AS s LEFT JOIN members AS m ON m.source = s.id
            LEFT JOIN files AS f ON f.id = m.file AND f.problem IS NULL
            GROUP BY s.id ORDER BY s.source
        """
        return [
            IndexedSource(os.fsdecode(name), files, count, size, updated and datetime.fromtimestamp(updated, UTC))
            for name, files, count, size, updated in self._db.execute(query)
        ]

    def _forget(self, source: str) -> int:
        below = _below(os.fsencode(source))
        query = "SELECT id FROM files WHERE path = ? OR path > ? AND path < ?"
        with index_file.transaction(self._db, write=True):
            files = self._files_of([source]) | {file for (file,) in self._db.execute(query, below)}
            index_file.remove_files(self._db, sorted(files))
            self._db.execute("DELETE FROM sources WHERE source = ? OR source > ? AND source < ?", below)
            # Until its parts are merged, FTS5 keeps the words of what is deleted.
            self._db.execute("INSERT INTO words (words) VALUES ('optimize')")
        self._db.execute("VACUUM")
        # It waits for readers as long as for writers. Without it, the log keeps the text, too.
        (busy, _, _) = self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if busy or self.notice == IN_LOG:
            self.notice = IN_LOG if busy else ""
        forget_vectors()
        return len(files)


def indexed_sources() -> list[str]:
    """Return the sources in the user's index, by name; none where there is no index yet, and none is made.

    Raises `StoreError` if the file can't be used.
    """
    if not _own_file().exists():
        return []
    with DocumentIndex() as index:
        return [one.source for one in index.sources()]


def _own_file() -> Path:
    return paths.data_dir() / "documents.db"


@dataclass(slots=True)
class _SourceScan:
    """The files of some sources as they are now, beside what the index knows of them."""

    states: dict[str, index_file.State] = field(default_factory=dict)
    """By path the state of each file that is there."""
    members: dict[str, list[int]] = field(default_factory=dict)
    """By path the sources that have it."""
    known: dict[str, index_file.KnownFile] = field(default_factory=dict)
    joined: list[tuple[int, int]] = field(default_factory=list)
    """Sources with files that were in the index, but not as theirs."""
    left: list[tuple[int, int]] = field(default_factory=list)
    """Sources with files that are no longer theirs."""
    decided: list[tuple[str, int]] = field(default_factory=list)
    """What the walk decided, with its source."""


class _Batch:
    """Files that were read and are written together, so that a transaction is worth its cost."""

    def __init__(self, db: sqlite3.Connection, members: Mapping[str, Sequence[int]]) -> None:
        self._db, self._members = db, members
        self._contents: list[index_file.Content] = []
        self._bytes = 0
        self._began = 0.0
        self.outcomes: list[str] = []

    def add(self, content: index_file.Content) -> None:
        """Add a file, and write all when there are enough of them."""
        self._began = self._began if self._contents else time.monotonic()
        self._contents.append(content)
        self._bytes += content.state[0]
        is_late = time.monotonic() - self._began > _BATCH_SECONDS
        if is_late or self._bytes > _BATCH_BYTES or len(self._contents) >= _BATCH_FILES:
            self.write()

    def write(self) -> None:
        """Write the files that were added."""
        if self._contents:
            with index_file.transaction(self._db, write=True):
                outcomes = [
                    index_file.write_content(self._db, item, self._members[item.path]) for item in self._contents
                ]
            pairs = zip(self._contents, outcomes, strict=True)
            self.outcomes += [outcome if item.problem is None else "skipped" for item, outcome in pairs]
        self._contents, self._bytes = [], 0


def _below(path: bytes) -> tuple[bytes, bytes, bytes]:
    """Return `path`, and what all paths below it are between."""
    folder = path.rstrip(b"/")
    return path, folder + b"/", folder + b"0"  # the character behind the slash
