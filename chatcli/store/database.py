"""The threads of a database: what those of SQLite and PostgreSQL do alike, each by its own SQL."""

import json
from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from types import NoneType
from typing import Any

from chatcli.store import threads as common
from chatcli.store.errors import DamagedError
from chatcli.store.step_order import in_order

Run = Callable[..., Iterable[tuple[Any, ...]]]
"""Runs a statement with its values by name, and returns the rows, of which each column has a given type."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Queries:
    """The statements of a database; several values of one name are given as a JSON list."""

    all: str
    """Returns the summaries of all threads, the newest first."""
    newest: str
    """Returns the first `limit` of them."""
    find: str
    """Returns that of `thread`."""
    starting_with: str
    """Returns the first `limit` of those whose ID begins with `prefix`."""
    rename: str
    """Gives `thread` the title `title`; with `old`, only if that is its title."""
    steps: str
    """Returns the checkpoints of `thread`, by their IDs."""
    copies: Sequence[str]
    """Copy the checkpoints `branch` of `thread`, and what belongs to them, to the thread `new`."""
    save_partial: str
    """Keeps `text` as the answer to `question` in `thread`."""
    read_partial: str
    clear_partial: str
    holding: str
    """Returns the IDs of the newest messages that have a word which begins with `beginning`."""
    threads: str
    """Returns of the messages `ids` the ID and the thread."""
    roles: str
    """Returns the ID and the role of each message of `thread`, in order."""
    texts: str
    """Returns of the messages `ids` the ID and the text."""
    summaries: str
    """Returns of the `threads` the ID, the title and the date."""
    count: str
    """Returns how many messages the store has."""


class DatabaseThreads(common.Threads):
    """The threads of a database that has an index of them."""

    _queries: Queries

    @abstractmethod
    def _reading(self) -> AbstractContextManager[Run]:
        """Return a block for queries; they return nothing while there is no store."""

    @abstractmethod
    def _writing(self) -> AbstractContextManager[Run]:
        """Return a block that is one transaction."""

    def recent(self, limit: int | None = None) -> list[common.ThreadSummary]:
        """Return the threads, the newest first, `limit` of them at most."""
        with self._reading() as run:
            return _summaries(run, self._queries.all if limit is None else self._queries.newest, limit=limit)

    def find(self, thread_id: str) -> common.ThreadSummary | None:
        """Return the thread `thread_id`, None if it does not exist."""
        with self._reading() as run:
            return next(iter(_summaries(run, self._queries.find, thread=thread_id)), None)

    def starting_with(self, prefix: str, limit: int) -> list[common.ThreadSummary]:
        """Return the threads whose ID begins with `prefix`, the newest first."""
        with self._reading() as run:
            return _summaries(run, self._queries.starting_with, prefix=prefix, limit=limit)

    def exchanges(self, text: str, limit: int, without: str) -> list[common.FoundExchange]:
        """See `Threads.exchanges`."""
        from chatcli.store.exchange_search import find_in_database  # late: a list of threads does without

        if not common.words_in(text):
            return []
        with self._reading() as run:
            return find_in_database(run, self._queries, text, limit, without)

    def rename(self, thread_id: str, title: str, old: str | None = None) -> None:
        """Give the thread the title `title`; with `old`, only if that is its title now."""
        with self._writing() as run:
            run(self._queries.rename, {"thread": thread_id, "title": title, "old": old})

    def fork(self, thread_id: str, new_id: str, checkpoint_id: str | None = None) -> None:
        """Make `new_id` of the branch that ends at `checkpoint_id`, or of the current one."""
        with self._writing() as run:
            common.refuse_taken(new_id, taken=bool(_summaries(run, self._queries.find, thread=new_id)))
            branch = common.branch_to(thread_id, self._steps(run, thread_id), checkpoint_id)
            values = {"thread": thread_id, "new": new_id, "branch": json.dumps(branch)}
            for query in self._queries.copies:
                run(query, values)

    def steps(self, thread_id: str) -> list[common.Step]:
        """Return the thread's checkpoints, the oldest first."""
        with self._reading() as run:
            return self._steps(run, thread_id)

    def _steps(self, run: Run, thread_id: str) -> list[common.Step]:
        rows = run(self._queries.steps, {"thread": thread_id}, str, (str, NoneType), int, str, str)
        return in_order(thread_id, [common.Step(*row) for row in rows])


def no_rows(query: str, values: object, *kinds: object) -> tuple[()]:
    """Return the rows of any query where there is no store: none."""
    return ()


def _summaries(run: Run, query: str, **values: object) -> list[common.ThreadSummary]:
    found = [common.ThreadSummary(*row) for row in run(query, values, str, str, str, int, str, str)]
    try:
        for one in found:
            datetime.fromisoformat(one.updated_at)
    except ValueError as error:
        raise DamagedError("the store can't be used: a date in it can't be read") from error
    return found


class DatabaseJournal(common.Journal):
    """The journal of a store: `running` begins a block that runs `queries`; a text is stored as `packed` makes it."""

    def __init__(
        self,
        running: Callable[[], AbstractContextManager[Run]],
        queries: Queries,
        packed: Callable[[str], str | bytes] = str,
        unpacked: Callable[[Any], str] = str,
    ) -> None:
        self._running, self._queries, self._packed, self._unpacked = running, queries, packed, unpacked

    def save(self, thread_id: str, partial: common.Partial) -> None:
        """Keep `partial`, in place of what was kept for the thread."""
        values = {"thread": thread_id, "question": partial.question_id, "text": self._packed(partial.text)}
        with self._running() as run:
            run(self._queries.save_partial, values)

    def read(self, thread_id: str) -> common.Partial | None:
        """Return the answer that was on its way when its process ended, if any."""
        with self._running() as run:
            rows = run(self._queries.read_partial, {"thread": thread_id}, str, str)
            return next((common.Partial(question_id, self._unpacked(text)) for question_id, text in rows), None)

    def clear(self, thread_id: str) -> None:
        """Forget what was kept for the thread."""
        with self._running() as run:
            run(self._queries.clear_partial, {"thread": thread_id})
