"""Finds exchanges of past threads by words: one ranking for every store.

A store gives the messages that may have the words. They become exchanges, which are ranked as passages of documents
are, in an index in memory: by the stems of words, without function words, with neighbours at about half the weight,
and with the date of the thread.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime
from heapq import nlargest
from itertools import chain, islice
from math import log1p
from operator import attrgetter
from typing import Any, TypeVar

from chatcli.ranking.search import Scope, Weights
from chatcli.ranking.semantic import rank_matches
from chatcli.ranking.words import FUNCTION_WORDS, TABLE, index_words, question_terms
from chatcli.runtime.sqlite import in_memory
from chatcli.store.threads import MATCH_END, MATCH_START, ExchangeQueries, FoundExchange, Match, words_in

_Known = TypeVar("_Known")

NEWEST = 5000
"""The messages with a word that are looked at, the newest; a word may be in all of 100,000 threads."""
_POOL, _DRAWN = 400, 2000
"""How many messages are ranked, with their neighbours, and how many are drawn before one thread is left out."""
_MOST_CHARACTERS, _AT_ONCE = 3_000_000, 50
"""Of all messages that are ranked, and how many messages are read at once."""
_TOPIC = Weights(neighbour=0.6, answered=0.3)
"""People ask about a conversation in fewer of its own words, and exchanges side by side are often about the same."""
_QUESTION = replace(_TOPIC, telling=0.75)
"""In "What is the plan?" only "plan" tells what is meant, and many exchanges may have it. Alone it is a topic."""
_NEIGHBOUR = 0.5
"""How much a message counts for the next one when the messages are chosen that are ranked."""
_MOST_WORDS = 40
SNIPPET_WORDS = 12
_LEAST_STEM = 3
_ENDINGS = tuple(
    (  # noqa: SIM905 - a list of words
        "ations ation ities ments ness ings ment able ible ance ence ions ing ied ies ity ers ion ive ful ed er es ly"
        " al s e y"
    ).split()
)
"""Endings of English words, the longer ones first; FTS5's stems are compared in the end."""


@dataclass(frozen=True, slots=True)
class Said:
    """One exchange of a thread: pairs of role and text. Those whose `place` differs by one follow each other."""

    place: int
    messages: Sequence[tuple[str, str]]

    @property
    def text(self) -> str:
        """The words of all messages."""
        return "\n".join(text for _, text in self.messages)


@dataclass(frozen=True, slots=True)
class Talk:
    """A thread with those of its exchanges that are ranked."""

    thread_id: str
    title: str
    updated_at: str
    said: Sequence[Said]


def rank_exchanges(
    talks: Iterable[Talk], words: str, limit: int, total: int = 0, *, cached: bool = True
) -> list[FoundExchange]:
    """Return up to `limit` of the exchanges in `talks` that match `words`, the best first.

    `total` is how many exchanges the store has, if `talks` has only those that may match. `cached` says whether
    vectors of them may be kept on this machine.
    """
    rows: dict[int, tuple[Talk, Said]] = {}
    number = 0
    for talk in talks:
        before = -2
        for said in talk.said:
            number += 1 if said.place == before + 1 else 2  # a gap in the numbers: no neighbour
            before = said.place
            rows[number] = (talk, said)
    with closing(in_memory()) as database:
        database.execute(TABLE)
        database.executemany(
            "INSERT INTO words (rowid, place, text) VALUES (?, ?, ?)",
            ((number, _day(talk.updated_at), index_words(said.text)) for number, (talk, said) in rows.items()),
        )
        scope = Scope([(0, number + 1)], max(total, len(rows)), len(rows))
        weights = _TOPIC if FUNCTION_WORDS.isdisjoint(words_in(words)) else _QUESTION
        matches = rank_matches(
            database, words, scope, limit, lambda match: rows[match.passage][1].text, weights, cached=cached
        )
    found = ((*rows[match.passage], match) for match in matches)
    return [
        FoundExchange(talk.thread_id, talk.title, talk.updated_at, said.messages, match.missing, match.weak)
        for talk, said, match in found
    ]


def as_matches(found: Sequence[FoundExchange], words: str, limit: int) -> list[Match]:
    """Return the messages of `found` that have some of `words`: of exchanges with all of them, if there are any.

    Else those that have most of them come first.
    """
    fewest = min((each.missing for each in found), default=0)
    chosen = [each for each in found if not each.missing] if not fewest else sorted(found, key=attrgetter("missing"))
    rows = [(each, role, text) for each in chosen for role, text in each.messages]
    query = " OR ".join(term.query for term in question_terms(words) if not term.is_name)
    tokenizer = TABLE[TABLE.index("tokenize") : TABLE.rindex(")")].strip()
    with closing(in_memory()) as database:
        database.execute(f"CREATE VIRTUAL TABLE shown USING fts5 (text, {tokenizer})")
        database.executemany("INSERT INTO shown VALUES (?)", ((text,) for _, _, text in rows))
        snippets = database.execute(_SNIPPETS, (query, limit)).fetchall() if rows else []
    return [Match(rows[id_ - 1][0].thread_id, rows[id_ - 1][0].title, rows[id_ - 1][1], part) for id_, part in snippets]


_SNIPPETS = (
    f"SELECT rowid, snippet(shown, 0, '{MATCH_START}', '{MATCH_END}', '...', {SNIPPET_WORDS})"  # noqa: S608 - constants
    " FROM shown WHERE shown MATCH ? ORDER BY rowid LIMIT ?"
)


def _day(moment: str) -> str:
    """Return the words of a date: "8 May 2023 Monday"."""
    try:
        return f"{datetime.fromisoformat(moment):%-d %B %Y %A}"
    except ValueError:
        return ""


def exchanges_of(messages: Iterable[tuple[str, str]]) -> list[Said]:
    """Return the exchanges of a thread's `messages`, pairs of role and text in order."""
    return [Said(place, each) for place, each in enumerate(_grouped(messages))]


Read = Callable[..., Iterable[tuple[Any, ...]]]
"""Returns the rows of a query with values, of which each column has a given type."""


def find_in_database(read: Read, queries: ExchangeQueries, words: str, limit: int, without: str) -> list[FoundExchange]:
    """Return up to `limit` of the exchanges that match `words`, the best first, except those of `without`."""
    held = {
        beginning: [number for (number,) in read(queries.holding, {"beginning": beginning, "newest": NEWEST}, int)]
        for beginning in beginnings(words)
    }
    [(count,)] = read(queries.count, {}, int)
    drawn = _best(held.values(), count)
    threads: dict[int, str] = dict(read(queries.threads, {"ids": json.dumps(drawn)}, int, str))
    pool = list(islice((number for number in drawn if threads.get(number, without) != without), _POOL))
    talks = _talks(read, queries, pool, threads)
    return rank_exchanges(talks, words, limit, count // 2)


def beginnings(words: str) -> list[str]:
    """Return for each telling word of `words` with what all of its forms begin."""
    found = list(dict.fromkeys(words_in(words)))
    telling = [word for word in found if word not in FUNCTION_WORDS] or found
    return list(dict.fromkeys(map(_beginning, telling)))[:_MOST_WORDS]


def _beginning(word: str) -> str:
    for ending in _ENDINGS:
        stem = word.removesuffix(ending)
        if stem != word and len(stem) >= _LEAST_STEM:
            word = stem
            break
    if len(word) > _LEAST_STEM and (word[-1] == word[-2] or word[-1] in "iy"):  # running, happiness
        word = word[:-1]
    return word


def _best(held: Collection[Sequence[int]], count: int) -> list[int]:
    """Return the best of the messages that have some words, by the rarity of these, the best first."""
    # Messages with numbers side by side mostly belong to one exchange, so a word counts half for the next one.
    scores: defaultdict[int, float] = defaultdict(float)
    for numbers in held:
        rarity = log1p((max(count, len(numbers)) - len(numbers) + 0.5) / (len(numbers) + 0.5))
        near = {beside: _NEIGHBOUR for number in numbers for beside in (number - 1, number + 1)}
        for number, weight in {**near, **dict.fromkeys(numbers, 1.0)}.items():
            scores[number] += rarity * weight
    holding = set(chain.from_iterable(held))
    return nlargest(_DRAWN, holding, key=lambda number: (scores[number], number))


def _talks(read: Read, queries: ExchangeQueries, pool: Sequence[int], threads: Mapping[int, str]) -> list[Talk]:
    """Return the exchanges of the messages `pool`, the best first, with those before and after them."""
    wanted: dict[str, list[int]] = defaultdict(list)
    for number in pool:
        wanted[threads[number]].append(number)
    texts = _texts(read, queries, pool)
    places: dict[str, dict[int, list[tuple[str, int]]]] = {}
    rest: list[int] = []
    for thread, numbers in wanted.items():
        rows = read(queries.roles, {"thread": thread}, int, str)
        grouped = _grouped((role, number) for number, role in rows if role in ("user", "assistant"))
        at = {number: place for place, group in enumerate(grouped) for _, number in group}
        near = {at[number] + step for number in numbers if number in at for step in (-1, 0, 1)}
        places[thread] = {place: grouped[place] for place in sorted(near) if 0 <= place < len(grouped)}
        rest += [number for group in places[thread].values() for _, number in group if number not in texts]
    texts |= _texts(read, queries, rest)
    summaries = read(queries.summaries, {"threads": json.dumps(list(places))}, str, str, str)
    return [
        Talk(
            thread,
            title,
            moment,
            [
                Said(place, [(role, texts[number]) for role, number in group if number in texts])
                for place, group in places[thread].items()
            ],
        )
        for thread, title, moment in summaries
    ]


def _grouped(messages: Iterable[tuple[str, _Known]]) -> list[list[tuple[str, _Known]]]:
    """Return the messages by exchange; each is a role, and what is known of it."""
    grouped: list[list[tuple[str, _Known]]] = []
    for message in messages:
        if message[0] == "user" or not grouped:
            grouped.append([])
        grouped[-1].append(message)
    return grouped


def _texts(read: Read, queries: ExchangeQueries, numbers: Sequence[int]) -> dict[int, str]:
    """Return the texts of the messages `numbers`, the first ones where they are long."""
    found: dict[int, str] = {}
    size = 0
    for start in range(0, len(numbers), _AT_ONCE):
        for number, text in read(queries.texts, {"ids": json.dumps(numbers[start : start + _AT_ONCE])}, int, str):
            found[number] = text
            size += len(text)
        if size > _MOST_CHARACTERS:
            break
    return found
