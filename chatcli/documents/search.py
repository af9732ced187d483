"""Finds the passages of an index that match a question: by words, weighed by BM25."""

import sqlite3
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from heapq import nlargest
from math import log, log1p, log10

from chatcli.documents.words import Term, question_terms

_MOST_TERMS = 40
"""The most terms of a question that are looked up; a longer question is a text that was pasted."""
_MOST_ROWS = 15_000
"""The most matches of all terms together that are weighed: about 25 ms of CPU. The rarest terms come first."""
_PLACE_WEIGHT = 2.0
"""How much more a word counts in the path and the headings than in the text."""
_RANKED = 200
"""How many of the best passages are compared together with their neighbours."""
_NEIGHBOUR = 0.5
"""How much a word counts that stands in the passage before or behind."""
_TYPICAL = 50
"""How many passages without a question's words are imagined, so that a word in 2 of 3 passages still counts."""
_RELEVANT, _RELEVANT_GROWTH = 0.3, 0.05
"""A passage is relevant if it covers, with its neighbours, this share of the question, measured by the rarity of words.

The share grows with each tenfold of passages, since in a large index more of them have words of any question by chance:
it is 0.35 in an index of 10 passages, and 0.5 in one of 10,000. A word that no passage has counts most.
"""
_FTS5_LEAST, _FTS5_MOST = 1e-6, 2.2
"""FTS5's rarity of a word that is in more than half of all passages, and the most that a word counts beside it."""

Ranges = Sequence[tuple[int, int]]
"""Passages as pairs of the first ID and the one behind the last, in ascending order."""


@dataclass(frozen=True, slots=True)
class Match:
    """A passage's ID and how well it matches, 1 at most."""

    passage: int
    score: float


@dataclass(frozen=True, slots=True)
class _Weighed:
    rarity: float
    """The term's inverse document frequency."""
    rows: Mapping[int, float]
    """By passage how much the term says about it, between 0 and 1."""
    is_name: bool


def find_matches(db: sqlite3.Connection, question: str, ranges: Ranges, limit: int) -> list[Match]:
    """Return up to `limit` passages in `ranges` that match `question`, the best first; none if nothing is relevant."""
    if not ranges:
        return []
    terms, mass, total = _weigh(db, question_terms(question)[:_MOST_TERMS], ranges)
    scores: defaultdict[int, float] = defaultdict(float)
    for term in terms:
        for passage, weight in term.rows.items():
            scores[passage] += term.rarity * weight
    needed = mass * (_RELEVANT + _RELEVANT_GROWTH * log10(total + 1))
    ranked = nlargest(_RANKED, scores, key=scores.__getitem__)
    relevant = [passage for passage in ranked if _coverage(terms, passage) >= needed]
    most = 2 * (mass + sum(term.rarity for term in terms if term.is_name))
    matches = [Match(passage, (scores[passage] + _window(terms, passage)) / most) for passage in relevant]
    return nlargest(limit, matches, key=lambda match: match.score)


def _weigh(db: sqlite3.Connection, terms: Sequence[Term], ranges: Ranges) -> tuple[list[_Weighed], float, int]:
    """Return what each term says about the passages in `ranges`, the rarity of all words, and the number of passages.

    The rarest terms are looked up first, until there are _MOST_ROWS matches; the others say little.
    """
    (total,) = db.execute("SELECT sum(count) FROM files").fetchone()
    counts = {term: _count(db, term) for term in terms}
    weighed: list[_Weighed] = []
    mass = 0.0
    left = _MOST_ROWS
    for term, count in sorted(counts.items(), key=lambda item: item[1]):
        if count > left and weighed:
            break
        left -= count
        rarity = log1p((total + _TYPICAL - count + 0.5) / (count + 0.5))
        if not term.is_name:
            mass += rarity
        if count:
            weighed.append(_Weighed(rarity, _rows(db, term, count, total, ranges), term.is_name))
    return weighed, mass, total


def _count(db: sqlite3.Connection, term: Term) -> int:
    """Return how many passages have `term`; more than _MOST_ROWS are not counted."""
    query = "SELECT count(*) FROM (SELECT 1 FROM words WHERE words MATCH ? LIMIT ?)"
    return int(db.execute(query, (term.query, _MOST_ROWS + 1)).fetchone()[0])


def _rows(db: sqlite3.Connection, term: Term, count: int, total: int, ranges: Ranges) -> dict[int, float]:
    """Return how much `term` says about each passage in `ranges`, between 0 and 1."""
    # bm25() is the part that we want times FTS5's own rarity, which is nothing for a word in half of the passages.
    rarity = log((total - count + 0.5) / (count + 0.5)) if count <= _MOST_ROWS else 0.0
    scale = -1 / ((rarity if rarity > 0 else _FTS5_LEAST) * _FTS5_MOST)
    query = "SELECT rowid, bm25(words, ?, 1.0) FROM words WHERE words MATCH ? AND rowid BETWEEN ? AND ? LIMIT ?"
    first, last = ranges[0][0], ranges[-1][1] - 1
    rows = db.execute(query, (_PLACE_WEIGHT, term.query, first, last, _MOST_ROWS))
    if len(ranges) == 1:
        return {passage: score * scale for passage, score in rows}
    starts, ends = zip(*ranges, strict=True)
    found = ((passage, score, bisect_right(starts, passage) - 1) for passage, score in rows)
    return {passage: score * scale for passage, score, place in found if passage < ends[place]}


def _window(terms: Sequence[_Weighed], passage: int) -> float:
    """Return the score of `passage` together with its two neighbours in the document."""
    score = 0.0
    for term in terms:
        rows = term.rows
        missing = 1.0
        for neighbour in (passage - 1, passage + 1):
            missing *= 1 - _NEIGHBOUR * rows.get(neighbour, 0.0)
        score += term.rarity * (1 - missing * (1 - rows.get(passage, 0.0)))
    return score


def _coverage(terms: Sequence[_Weighed], passage: int) -> float:
    """Return the rarity of all words that stand in `passage` or in one of its two neighbours."""
    near = (passage - 1, passage, passage + 1)
    return sum(term.rarity for term in terms if not term.is_name and any(place in term.rows for place in near))
