"""Finds exchanges of past threads by words: one ranking for every store.

A store gives the messages that may have the words. They become exchanges, which are ranked as passages of documents
are, in an index in memory: by the stems of words, without function words, with neighbours at about half the weight,
and with the date of the thread.
"""

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import datetime
from heapq import nlargest
from itertools import chain, islice
from math import inf, log1p
from operator import attrgetter
from typing import TypeVar

from chatcli.ranking.search import Scope, Weights
from chatcli.ranking.semantic import rank_matches
from chatcli.ranking.words import FUNCTION_WORDS, TABLE, index_words, question_terms
from chatcli.runtime.sqlite import in_memory
from chatcli.store.database import Queries, Run
from chatcli.store.threads import MATCH_END, MATCH_START, FoundExchange, Match, ThreadSummary, words_in

_Known = TypeVar("_Known")

NEWEST = 5000
"""The messages with a word that are looked at, the newest; a word may be in all of 100,000 threads."""
_POOL, _DRAWN = 400, 2000
"""How many messages are ranked, with their neighbours, and how many are drawn before one thread is left out."""
_MOST_CHARACTERS, _AT_ONCE = 3_000_000, 50
"""Of all messages that are ranked, and how many messages are read at once."""
_TOPIC = Weights(neighbour=0.6, answered=0.22, there=0.3)
"""People ask about a conversation in fewer of its own words, and exchanges side by side are often about the same."""
_QUESTION = replace(_TOPIC, telling=0.54)
"""In "What is the plan?" only "plan" tells what is meant, and many exchanges may have it. Alone it is a topic."""
_NOTHING = replace(_TOPIC, telling=inf)  # no word of "Tell me more" says what is meant
_NEIGHBOUR = 0.5
"""How much a message counts for the next one when the messages are chosen that are ranked."""
_MOST_WORDS = 40
SNIPPET_WORDS = 12
_LEAST_STEM = 3
_ENDINGS = (  # noqa: SIM905 - a list of words
    "ations ation ities ments ness ings ment able ible ance ence ions ing ied ies ity ers ion ive ful ed er es ly"
    " al s e y"
).split()
"""Endings of English words, the longer ones first; FTS5's stems are compared in the end."""


Candidate = tuple[int, FoundExchange]
"""An exchange that may be found, after its place in its thread."""


def rank_exchanges(
    candidates: Iterable[Candidate], words: str, limit: int, total: int = 0, *, cached: bool = True
) -> list[FoundExchange]:
    """Return up to `limit` of the exchanges `candidates` that match `words`, the best first.

    Those of a thread follow each other in their order. `total` is how many exchanges the store has, if `candidates`
    are only those that may match. `cached` says whether vectors of them may be kept on this machine.
    """
    rows: dict[int, FoundExchange] = {}
    number, before = 0, ("", 0)
    for place, exchange in candidates:
        number += 1 if before == (exchange.thread_id, place - 1) else 2  # a gap in the numbers: no neighbour
        before = (exchange.thread_id, place)
        rows[number] = exchange
    with closing(in_memory()) as database:
        database.execute(TABLE)
        database.executemany(
            "INSERT INTO words (rowid, place, text) VALUES (?, ?, ?)",
            ((number, _day(one.updated_at), index_words(_text(one))) for number, one in rows.items()),
        )
        scope = Scope([(0, number + 1)], max(total, len(rows)), len(rows))
        known = set(words_in(words))
        weights = _TOPIC if FUNCTION_WORDS.isdisjoint(known) else _QUESTION
        if len(known) > 1 and known <= FUNCTION_WORDS:
            weights = _NOTHING
        matches = rank_matches(
            database, words, scope, limit, lambda match: _text(rows[match.passage]), weights, cached=cached
        )
    return [replace(rows[match.passage], missing=match.missing, weak=match.weak) for match in matches]


def _text(exchange: FoundExchange) -> str:
    return "\n".join(text for _, text in exchange.messages)


def as_matches(found: Sequence[FoundExchange], words: str, limit: int) -> list[Match]:
    """Return the messages of `found` that have some of `words`: of exchanges with all of them, if there are any.

    Else those that have most of them come first.
    """
    chosen = [each for each in found if not each.missing] or sorted(found, key=attrgetter("missing"))
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


def exchanges_of(thread: ThreadSummary, messages: Iterable[tuple[str, str]]) -> Iterator[Candidate]:
    """Yield the exchanges of `thread` from its `messages`, pairs of role and text in order."""
    for place, each in enumerate(_grouped(messages)):
        yield place, FoundExchange(thread.thread_id, thread.title, thread.updated_at, each)


def find_in_database(run: Run, queries: Queries, words: str, limit: int, without: str) -> list[FoundExchange]:
    """Return up to `limit` of the exchanges that match `words`, the best first, except those of `without`."""
    held = {
        beginning: [number for (number,) in run(queries.holding, {"beginning": beginning, "newest": NEWEST}, int)]
        for beginning in beginnings(words)
    }
    if not any(held.values()):
        return []
    [(count,)] = run(queries.count, {}, int)
    drawn = _best(held.values(), count)
    threads: dict[int, str] = dict(run(queries.threads, {"ids": json.dumps(drawn)}, int, str))
    pool = list(islice((number for number in drawn if threads.get(number, without) != without), _POOL))
    return rank_exchanges(_candidates(run, queries, pool, threads), words, limit, count // 2)


def beginnings(words: str) -> list[str]:
    """Return for each telling word of `words` with what all of its forms begin."""
    found = list(dict.fromkeys(words_in(words)))
    telling = [word for word in found if word not in FUNCTION_WORDS] or found
    return list(dict.fromkeys(map(_beginning, telling)))[:_MOST_WORDS]


def _beginning(word: str) -> str:
    stems = [word.removesuffix(ending) for ending in _ENDINGS if word.endswith(ending)]
    word = next((stem for stem in stems if len(stem) >= _LEAST_STEM), word)
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


def _candidates(run: Run, queries: Queries, pool: Sequence[int], threads: Mapping[int, str]) -> Iterator[Candidate]:
    """Yield the exchanges of the messages `pool`, the best first, with those before and after them."""
    wanted: dict[str, list[int]] = defaultdict(list)
    for number in pool:
        wanted[threads[number]].append(number)
    texts = _texts(run, queries, pool)
    places: dict[str, dict[int, list[tuple[str, int]]]] = {}
    rest: list[int] = []
    for thread, numbers in wanted.items():
        rows = run(queries.roles, {"thread": thread}, int, str)
        grouped = _grouped((role, number) for number, role in rows if role in ("user", "assistant"))
        at = {number: place for place, group in enumerate(grouped) for _, number in group}
        near = {at[number] + step for number in numbers if number in at for step in (-1, 0, 1)}
        places[thread] = {place: grouped[place] for place in sorted(near) if 0 <= place < len(grouped)}
        rest += [number for group in places[thread].values() for _, number in group if number not in texts]
    texts |= _texts(run, queries, rest)
    summaries = run(queries.summaries, {"threads": json.dumps(list(places))}, str, str, str)
    for thread, title, moment in summaries:
        for place, group in places[thread].items():
            said = [(role, texts[number]) for role, number in group if number in texts]
            yield place, FoundExchange(thread, title, moment, said)


def _grouped(messages: Iterable[tuple[str, _Known]]) -> list[list[tuple[str, _Known]]]:
    """Return the messages by exchange; each is a role, and what is known of it."""
    grouped: list[list[tuple[str, _Known]]] = []
    for message in messages:
        if message[0] == "user" or not grouped:
            grouped.append([])
        grouped[-1].append(message)
    return grouped


def _texts(run: Run, queries: Queries, numbers: Sequence[int]) -> dict[int, str]:
    """Return the texts of the messages `numbers`, the first ones where they are long."""
    found: dict[int, str] = {}
    size = 0
    for start in range(0, len(numbers), _AT_ONCE):
        for number, text in run(queries.texts, {"ids": json.dumps(numbers[start : start + _AT_ONCE])}, int, str):
            found[number] = text
            size += len(text)
        if size > _MOST_CHARACTERS:
            break
    return found
