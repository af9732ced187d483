"""The interface of a store's threads: their index, the journal, and the locks.

The methods block, since `chat threads list` runs without an event loop; a session calls them in a thread.
"""

import difflib
import re
import string
import unicodedata
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol, TypeVar

from chatcli.errors import UsageError
from chatcli.message import MessageShown
from chatcli.runtime.program import command
from chatcli.store.usage import AnswerUsage

_WORD = re.compile(r"[^\W_]+")
_LATIN = [chr(code) for code in range(0xC0, 0x250)]
BETWEEN_WORDS = string.punctuation
"""The characters that separate words; PostgreSQL's own parser would read `file.py` or `a/b` as one word."""
ACCENTS = {letter: plain for letter in _LATIN if (plain := unicodedata.normalize("NFD", letter)[0]) != letter}
"""Letters with diacritics, and the plain letters that replace them in a search."""
_PLAIN = str.maketrans(ACCENTS)

MATCH_START, MATCH_END = "\x02", "\x03"
_MAX_NAMED = 5
Name = TypeVar("Name", bound=Hashable)
LONG = 100_000
"""Characters of a question or an answer."""


@dataclass(frozen=True, slots=True)
class ThreadSummary:
    """A thread's row in the index; times are ISO 8601 in UTC, `turns` are those of its current branch."""

    thread_id: str
    title: str
    model: str
    turns: int
    created_at: str
    updated_at: str


@dataclass(frozen=True, slots=True)
class Match:
    """A message that a search found; in `snippet` each matching word stands between MATCH_START and MATCH_END."""

    thread_id: str
    title: str
    role: str
    snippet: str


@dataclass(frozen=True, slots=True)
class FoundExchange:
    """An exchange that a search found: its messages as pairs of role and text.

    `title` and `updated_at` are the thread's; `missing` and `weak` are those of `ranking.search.Match`.
    """

    thread_id: str
    title: str
    updated_at: str
    messages: Sequence[tuple[str, str]]
    missing: int = 0
    weak: bool = False

    @property
    def question(self) -> str:
        """The beginning of the question; empty where the thread has none."""
        return next((text[:LONG] for role, text in self.messages if role == "user"), "")

    @property
    def answer(self) -> str:
        """The beginning of the answer; empty where the thread has none."""
        return next((text[:LONG] for role, text in self.messages if role == "assistant"), "")


@dataclass(frozen=True, slots=True)
class Step:
    """A checkpoint in a thread's tree: `turn` and `title` are those of the turn that wrote it."""

    # It is `apart` where its state lacks that of its parent (`step_order.in_order`).
    checkpoint_id: str
    parent_id: str | None
    turn: int
    title: str
    source: str
    apart: bool = False


@dataclass(frozen=True, slots=True)
class Partial:
    """The answer to the question `question_id` as far as it had come when its process was killed."""

    question_id: str
    text: str


class Journal:
    """The answers that are on their way, one for each thread, in case the process is killed.

    This class keeps none: the threads of some stores end with the process, and a server runs the turns of others.
    """

    def save(self, thread_id: str, partial: Partial) -> None:
        """Keep `partial`, in place of what was kept for the thread."""

    def read(self, thread_id: str) -> Partial | None:
        """Return the answer that was on its way when its process ended, if any."""
        return None

    def clear(self, thread_id: str) -> None:
        """Forget what was kept for the thread."""


class TurnLocks:
    """Which process runs a turn on which thread; a lock is held until `unlock`, or the end of the process.

    This class locks nothing: no other process sees some stores, and a server lets its turns wait for each other.
    """

    def try_lock(self, thread_id: str) -> bool:
        """Take the thread unless another process has it; raise ReadOnlyError where nothing can be written."""
        return True

    def unlock(self, thread_id: str) -> None:
        """Release the thread."""


class Threads(Protocol):
    """A store's threads: their index, and the `journal` and the `locks` of the turns that run on them.

    Every method raises StoreError when the store can't be used; of a server, NetworkError or AuthError.
    """

    end_with_process: ClassVar[bool] = False
    """Whether they are in the memory of this process."""
    journal: Journal
    """The answers that are on their way."""
    locks: TurnLocks
    """Which process runs a turn on which thread."""

    def recent(self, limit: int | None = None) -> list[ThreadSummary]:
        """Return the threads, the newest first, `limit` of them at most."""

    def find(self, thread_id: str) -> ThreadSummary | None:
        """Return the thread `thread_id`, None if it does not exist."""

    def starting_with(self, prefix: str, limit: int) -> list[ThreadSummary]:
        """Return the threads whose ID begins with `prefix`, the newest first, `limit` of them at most."""
        # For a store that has no such search: all its threads are read.
        return [thread for thread in self.recent() if thread.thread_id.startswith(prefix)][:limit]

    def search(self, text: str, limit: int = 50) -> list[Match]:
        """Return the messages of the exchanges that hold every word of `text` in any form, the best first.

        Where no exchange does, those that hold most of them come first.
        """
        from chatcli.store.exchange_search import as_matches  # late: a list of threads does without

        return as_matches(self.exchanges(text, limit, ""), text, limit)

    def exchanges(self, text: str, limit: int, without: str) -> list[FoundExchange]:
        """Return the questions with their answers that match `text`, the best first, `limit` at most.

        The thread `without` is left out. A LangGraph server has none: what it keeps belongs to its app.
        """
        return []

    def rename(self, thread_id: str, title: str, old: str | None = None) -> None:
        """Give the thread the title `title`; with `old`, only if that is its title now."""

    def delete(self, thread_ids: Sequence[str]) -> None:
        """Delete the threads, and give the space back."""

    def fork(self, thread_id: str, new_id: str, checkpoint_id: str | None = None) -> None:
        """Make `new_id`, which must not exist, of the branch that ends at `checkpoint_id`, or of the current one."""

    def usage(self, thread_id: str | None = None) -> list[AnswerUsage]:
        """Return the usage of the answers of one thread or of all, also on abandoned branches; none for a server."""
        return []

    def newest_messages(self, thread_id: str, limit: int) -> list[MessageShown]:
        """Return the last `limit` questions and answers of the thread's current branch, the oldest first."""

    def steps(self, thread_id: str) -> list[Step]:
        """Return the thread's checkpoints, the oldest first; the last one is the current branch's newest."""


def refuse_taken(thread_id: str, *, taken: bool) -> None:
    """Raise UsageError when a fork's ID, `thread_id`, is `taken`."""
    if taken:
        raise UsageError(f"there is a thread {thread_id!r} already", remedy="Choose another name.")


def branch_to(thread_id: str, steps: Sequence[Step], checkpoint_id: str | None) -> list[str]:
    """Return the checkpoints of a fork: the branch that ends at `checkpoint_id`, by default at the last of `steps`."""
    parents = {step.checkpoint_id: step.parent_id for step in steps}
    end = checkpoint_id or next(reversed(parents), "")
    if end not in parents:
        raise UsageError(f"thread {thread_id!r} has no checkpoint {end!r}", remedy="See `/history`.")
    return chain(end, parents)[::-1]


def chain(name: Name | None, parents: Mapping[Name, Name | None]) -> list[Name]:
    """Return `name`, if it is one, and what it comes from by `parents`, the newest first."""
    found: list[Name] = []
    while name is not None:
        found.append(name)
        name = parents.get(name)
    return found


def lineage(steps: Sequence[Step]) -> list[Step]:
    """Return the newest of `steps` and those that it comes from, the newest first."""
    known = {step.checkpoint_id: step for step in steps}
    names = chain(steps[-1].checkpoint_id, {name: step.parent_id for name, step in known.items()}) if steps else []
    return [known[name] for name in names if name in known]


def find_thread(threads: Threads, prefix: str) -> ThreadSummary:
    """Return the thread whose ID is `prefix`, or the only one whose ID begins with it; raise UsageError without one."""
    if prefix == prefix.encode("utf-8", "replace").decode():  # a command line may have bytes that are no text
        if (exact := threads.find(prefix)) is not None:
            return exact
        matching = threads.starting_with(prefix, limit=_MAX_NAMED)
        if len(matching) == 1:
            return matching[0]
        if matching:
            raise UsageError(
                f"several threads begin with {prefix!r}: {', '.join(thread.thread_id for thread in matching)}",
                remedy="Give more of the ID.",
            )
    near = difflib.get_close_matches(prefix, [thread.thread_id for thread in threads.recent()], n=3, cutoff=0.3)
    raise UsageError(
        f"there is no thread {prefix!r}",
        remedy=f"Nearest: {', '.join(near)}." if near else f"See `{command('threads list')}`.",
    )


def words_in(text: str) -> list[str]:
    """Return the words of `text`, without case and diacritics."""
    return [_folded(word) for word in _WORD.findall(text)]


def part_around(text: str, beginnings: tuple[str, ...], words: int, characters: int) -> str:
    """Return `text`, or in at most `characters` some `words` around the first that begins with one of `beginnings`."""
    if len(text) <= characters:
        return text.strip()
    found = list(_WORD.finditer(text))
    first = next((index for index, word in enumerate(found) if _folded(word[0]).startswith(beginnings)), 0)
    begin = max(min(first - words // 3, len(found) - words), 0)
    start = found[begin].start() if begin else 0
    end = found[begin + words - 1].end() if begin + words < len(found) else len(text)
    part = f"{'...' if begin else ''}{text[start:end]}{'...' if end < len(text) else ''}"
    offset = (3 if begin else 0) + found[first].start() - start if found else 0
    cut = max(min(offset - characters // 3, len(part) - characters), 0)  # words may be long, such as base64
    return part[cut : cut + characters].strip()


def _folded(word: str) -> str:
    return word.translate(_PLAIN).lower()
