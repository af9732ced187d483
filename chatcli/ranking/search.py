"""Finds the passages of an index, or exchanges of past threads, that match a question: by words, weighed by BM25."""

import json
import sqlite3
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from heapq import nlargest
from itertools import chain, pairwise
from math import log, log1p

from chatcli.ranking.words import Term, question_terms

_MOST_LETTERS, _MOST_TERMS = 10_000, 40
"""How much of a question is looked at; a longer one is a text that was pasted."""
_MOST_ROWS = 9_000
"""The most matches of all terms together that are weighed: about 15 ms of CPU. The rarest terms come first."""
_MOST_COMMON, _LOOKED_UP, _PRESENT = 3, 60, 0.5
"""How many commoner terms are looked up, in how many passages that are best by then, and how much such a term says."""
_MOST_SPANS = 4
"""In how many parts of the index a term is looked up. A source that was indexed at once is one part."""
_PLACE_WEIGHT = 2.0
"""How much more a word counts in the path and the headings than in the text."""
_RANKED = 200
"""How many of the best passages are compared together with their neighbours."""
_TYPICAL = 50
"""How many passages without a question's words are imagined, so that a word in 2 of 3 passages still counts."""
DECIDING = 10
"""How many of the best passages decide whether the question has an answer."""
_UNKNOWN_PAIR = 0.5
"""How much a pair of characters counts that no passage has: half of all pairs are parts of two words."""
_FTS5_LEAST, _FTS5_MOST = 1e-6, 2.2
"""FTS5's rarity of a word that is in more than half of all passages, and the most that a word counts beside it."""


@dataclass(frozen=True, slots=True)
class Weights:
    """How passages of one kind are judged."""

    neighbour: float = 0.5
    """How much a word of the passage before or behind counts, between 0 and 1."""
    answered: float = 0.31
    """How much one of the best passages says, with its neighbours, if the question has an answer: a share of what all
    words of the question could say, by their rarity. A word that no passage has counts most."""
    there: float = 0.5
    """What a word says at least that is in a passage, between 0 and 1: a long passage answers, too."""
    telling: float = 0.0
    """How much it says at least, as a share of what a word could say that a single passage has."""


@dataclass(frozen=True, slots=True)
class Scope:
    """The passages that are searched."""

    ranges: Sequence[tuple[int, int]]
    """They as pairs of the first ID and the one behind the last, in ascending order."""
    count: int
    """How many they are; more, where the index has only those that may match."""
    indexed: int
    """How many the whole index has."""

    def spans(self) -> list[tuple[int, int]]:
        """Return the first and the last ID of up to _MOST_SPANS parts that have all of `ranges`, and little else."""
        gaps = nlargest(_MOST_SPANS - 1, ((after[0] - before[1], after[0]) for before, after in pairwise(self.ranges)))
        starts = sorted([self.ranges[0][0], *(start for _, start in gaps)])
        ends = [end for _, end in self.ranges]
        return [
            (start, ends[bisect_right(ends, following) - 1] - 1)
            for start, following in zip(starts, [*starts[1:], ends[-1]], strict=True)
        ]


@dataclass(frozen=True, slots=True)
class Match:
    """A passage that matches a question."""

    passage: int
    """Its ID."""
    score: float
    """How well it matches, 1 at most."""
    by_words: float
    """How well its words match, 1 at most; the same unless meaning counts, too."""
    missing: int
    """How many words of the question it lacks."""
    lacking: float
    """How much the best matches say too little for an answer, as a share of the question; the same for all."""

    @property
    def weak(self) -> bool:
        """Whether the question has no answer here."""
        return self.lacking > 0


@dataclass(frozen=True, slots=True)
class _Weighed:
    rarity: float
    """The term's inverse document frequency, times its weight."""
    rows: Mapping[int, float]
    """By passage how much the term says about it, between 0 and 1."""
    is_name: bool


DOCUMENTS = Weights()


def find_matches(
    db: sqlite3.Connection, question: str, scope: Scope, limit: int, weights: Weights = DOCUMENTS
) -> list[Match]:
    """Return up to `limit` passages in `scope` that match `question`, the best first."""
    if not scope.count:
        return []
    counts = {term: _count(db, term, scope) for term in question_terms(question[:_MOST_LETTERS])[:_MOST_TERMS]}
    rare, common = _by_rarity(counts, scope)
    terms = [_Weighed(rarity, _rows(db, term, scope, counts[term]), term.is_name) for term, rarity in rare]
    scores: defaultdict[int, float] = defaultdict(float)
    for term in terms:
        _add(scores, term)
    ranked = nlargest(_RANKED, scores, key=scores.__getitem__)
    for word, rarity in common:
        terms.append(_Weighed(rarity, _presence(db, word, ranked[:_LOOKED_UP]), word.is_name))
        _add(scores, terms[-1])
    mass = sum(rarity * _demand(term, counts[term]) for term, rarity in (*rare, *common))
    most = 2 * (mass + sum(term.rarity for term in terms if term.is_name and term.rows))
    windows = {passage: scores[passage] + _window(terms, passage, weights.neighbour) for passage in ranked}
    best = nlargest(max(limit, DECIDING), windows, key=windows.__getitem__)
    said = max((_window(terms, passage, weights.neighbour, weights.there) for passage in best[:DECIDING]), default=0.0)
    lacking = max(weights.answered, weights.telling * _rarity(1, scope) / mass) - said / mass if mass else 0.0
    rows = [term.rows for term in terms if not term.is_name]
    scored = ((passage, windows[passage] / most) for passage in best[:limit])
    return [Match(each, score, score, sum(each not in row for row in rows), lacking) for each, score in scored]


def _add(scores: defaultdict[int, float], term: _Weighed) -> None:
    for passage, weight in term.rows.items():
        scores[passage] += term.rarity * weight


def _demand(term: Term, count: int) -> float:
    """Return how much a relevant passage has to have `term`, which `count` passages have."""
    if term.is_name:  # its parts are terms
        return 0.0
    return _UNKNOWN_PAIR if term.is_pair and not count else 1.0


def _by_rarity(counts: Mapping[Term, int], scope: Scope) -> tuple[list[tuple[Term, float]], list[tuple[Term, float]]]:
    """Return the terms whose `counts` of matches are up to _MOST_ROWS in all, and the commoner ones, with rarities."""
    rare: list[tuple[Term, float]] = []
    common: list[tuple[Term, float]] = []
    left, has_word = _MOST_ROWS, False
    for term, count in sorted(counts.items(), key=lambda item: item[1]):
        rarity = term.weight * _rarity(count, scope)
        # The rarest word that there is decides where to look, however common: a name alone would find too little.
        is_first = not (has_word or term.is_name)
        if count <= left or is_first:
            rare.append((term, rarity))
            left -= count
            has_word |= bool(is_first and count)
        elif len(common) < _MOST_COMMON:
            common.append((term, rarity))
    return rare, common


def _rarity(count: int, scope: Scope) -> float:
    """Return the inverse document frequency of a word that `count` passages of `scope` have."""
    return log1p((scope.count + _TYPICAL - count + 0.5) / (count + 0.5))


def _presence(db: sqlite3.Connection, term: Term, passages: Sequence[int]) -> dict[int, float]:
    """Return those of `passages` that have `term`: how often does not matter for a common word."""
    query = "SELECT rowid FROM words WHERE words MATCH ? AND rowid IN (SELECT value FROM json_each(?))"
    return {passage: _PRESENT for (passage,) in db.execute(query, (term.query, json.dumps(passages)))}


def _count(db: sqlite3.Connection, term: Term, scope: Scope) -> int:
    """Return how many passages of `scope` have `term`; more than _MOST_ROWS are not counted."""
    query = "SELECT count(*) FROM (SELECT 1 FROM words WHERE words MATCH ? AND rowid BETWEEN ? AND ? LIMIT ?)"
    counts = (db.execute(query, (term.query, *span, _MOST_ROWS + 1)).fetchone()[0] for span in scope.spans())
    return min(int(sum(counts)), scope.count)  # a span may have passages that are not in `scope`


def _rows(db: sqlite3.Connection, term: Term, scope: Scope, count: int) -> dict[int, float]:
    """Return how much `term`, which `count` passages of `scope` have, says about each of them, between 0 and 1."""
    # bm25() is the part that we want times FTS5's own rarity, which is nothing for a word in half of the passages.
    everywhere = count
    if scope.count < scope.indexed or count > _MOST_ROWS:
        (everywhere,) = db.execute("SELECT count(*) FROM words WHERE words MATCH ?", (term.query,)).fetchone()
    rarity = log((scope.indexed - everywhere + 0.5) / (everywhere + 0.5))
    scale = -1 / ((rarity if rarity > 0 else _FTS5_LEAST) * _FTS5_MOST)
    query = "SELECT rowid, bm25(words, ?, 1.0) FROM words WHERE words MATCH ? AND rowid BETWEEN ? AND ? LIMIT ?"
    values = (_PLACE_WEIGHT, term.query)
    rows = chain.from_iterable(db.execute(query, (*values, *span, _MOST_ROWS)) for span in scope.spans())
    if len(scope.ranges) <= _MOST_SPANS:
        return {passage: score * scale for passage, score in rows}
    starts, ends = zip(*scope.ranges, strict=True)
    found = ((passage, score, bisect_right(starts, passage) - 1) for passage, score in rows)
    return {passage: score * scale for passage, score, place in found if passage < ends[place]}


def _window(terms: Sequence[_Weighed], passage: int, weight: float, there: float = 0.0) -> float:
    """Return the score of `passage` and its neighbours, which count `weight`; a word in them says `there` at least."""
    score = 0.0
    for term in terms:
        missing = 1.0
        for place, share in ((passage - 1, weight), (passage, 1.0), (passage + 1, weight)):
            if place in term.rows:
                missing *= 1 - share * (there + (1 - there) * term.rows[place])
        score += term.rarity * (1 - missing)
    return score
