"""Splitting a text into passages along its structure: where it may be cut, and the passages between the cuts."""

import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from itertools import accumulate
from operator import itemgetter
from pathlib import Path
from re import Pattern

from chatcli.documents.passage import Passage

MAX_PASSAGE = 1600
"""The most characters of a passage, unless it is one longer line; in a notebook, without JSON's escapes."""
MIN_SECTION = 120
"""A section with fewer characters shares its passage with the next one."""
_HEAD = 200
"""Characters that do not count: with them, a heading goes with a fence or a table that fits into a passage."""
MAX_LINE = 8000
"""Characters of the longest line that stays whole."""

_NEWLINE = re.compile(r"\r\n?|\n")
_WIDE_ENDS = "\u3002\uff01\uff1f\uff1b\u0964\u061f\u061b"
"""The full stop and such signs of Chinese, Japanese, Hindi and Arabic."""
_CLOSING = "\"'\u201d\u2019\u00bb)\\]\u300d\u300f"
_SENTENCE_END = re.compile(rf"[.!?:;\u2026{_WIDE_ENDS}][{_CLOSING}]*\s*\Z")
_BREAKS = (re.compile(rf"[.!?](?=\s)|[{_WIDE_ENDS}]"), re.compile(r"\s"), re.compile(r"[,;>}\])]"))
"""Where a long line is cut, the best place first: after a sentence, a word, or a sign."""


class Cut(IntEnum):
    """How good it is to begin a passage with a line."""

    BAD = 0
    """Inside of something that belongs together, such as a table."""
    LINE = 1
    SENTENCE = 2
    BLOCK = 3
    """A paragraph, a list, a statement."""
    SECTION = 4
    """A heading, a class, a function."""


@dataclass(slots=True)
class Outline:
    """The structure of a text by its lines, counted from 0."""

    cuts: list[Cut]
    """For each line, how good it is to begin a passage with it."""
    sections: list[tuple[int, tuple[str, ...]]] = field(default_factory=list)
    """The lines where sections begin, in order, and the headings around each, its own the last."""

    def headings(self, start: int, end: int) -> tuple[str, ...]:
        """Return the headings around all the lines from `start` up to `end`, which is not one of them.

        Lines before the first heading of all, such as the head of a page, belong to what follows.
        """
        first = max(0, bisect_right(self.sections, start, key=itemgetter(0)) - 1)
        last = bisect_right(self.sections, end - 1, key=itemgetter(0)) - 1
        if last < 0:
            return ()
        common = self.sections[first][1]
        for _, trail in self.sections[first + 1 : last + 1]:
            same = 0
            while same < min(len(common), len(trail)) and common[same] == trail[same]:
                same += 1
            common = common[:same]
        return common


def text_lines(text: str) -> list[str]:
    """Return the lines of `text`, as editors count them: a form feed or another such sign ends none."""
    return _NEWLINE.sub("\n", text.removeprefix("\ufeff")).split("\n")


def split(lines: Sequence[str], outline: Outline, *, weights: Sequence[int] | None = None) -> Iterator[tuple[int, int]]:
    """Yield the first line of each passage of `lines`, and the line after its last one.

    Together they have every line that is not blank, and none begins or ends with a blank line. It takes linear time.
    `outline` is the structure of the text; `weights` are what each line counts for, if that is not its length.
    """
    weights = weights or [len(line) for line in lines]
    start, size, line = 0, 0, 0
    while line < len(lines):
        if line > start and _is_full(outline.cuts[line], size, weights[line], len(lines[line])):
            cut = line if outline.cuts[line] is Cut.SECTION else _best_cut(outline.cuts, weights, start, line)
            yield from _trimmed(lines, start, cut)
            start = line = cut
            size = 0
        size += weights[line] + 1
        line += 1
    yield from _trimmed(lines, start, len(lines))


def _is_full(cut: Cut, size: int, weight: int, length: int) -> bool:
    """Return whether a passage of `size` ends before a line."""
    if cut is Cut.SECTION:
        return size >= MIN_SECTION or size + weight > MAX_PASSAGE
    if size < _HEAD and length <= MAX_LINE // 2:
        return False  # a heading stays with its text, even if that is one long line
    return size + weight > MAX_PASSAGE + _HEAD


def _best_cut(cuts: Sequence[Cut], weights: Sequence[int], start: int, end: int) -> int:
    """Return the best place to cut after `start` and up to `end`: not in a table, not right after a heading, late."""
    best, found, size = (False, False, Cut.BAD), end, 0
    for line in range(start + 1, end + 1):
        size += weights[line - 1] + 1
        rank = (cuts[line] is not Cut.BAD, size >= _HEAD, min(cuts[line], Cut.BLOCK))
        if rank >= best:
            best, found = rank, line
    return found


def _trimmed(lines: Sequence[str], start: int, end: int) -> Iterator[tuple[int, int]]:
    while start < end and not lines[start].strip():
        start += 1
    while start < end and not lines[end - 1].strip():
        end -= 1
    if start < end:
        yield start, end


def cut_line(line: str, breaks: Pattern[str] | None = None) -> Iterator[tuple[int, int]]:
    """Yield the beginning and the end of each part of a `line` that is too long; none begins or ends with a blank.

    It is cut where `breaks` matches, if it does near the end of a part, else after a sentence, a word or a sign.
    """
    start = 0
    while start < len(line):
        end = start + MAX_PASSAGE
        if end < len(line):
            end = _break(line, (breaks, *_BREAKS) if breaks else _BREAKS, start + MAX_PASSAGE // 2, end)
        part = line[start:end]
        if part.strip():
            yield start + len(part) - len(part.lstrip()), start + len(part.rstrip())
        start = end


def _break(line: str, breaks: Iterable[Pattern[str]], earliest: int, latest: int) -> int:
    for pattern in breaks:
        if found := [match.end() for match in pattern.finditer(line, earliest, latest)]:
            return found[-1]
    return latest


def passages(
    path: Path,
    lines: Sequence[str],
    outline: Outline,
    *,
    plain: Callable[[int, int], str] | None = None,
    weights: Sequence[int] | None = None,
    breaks: Pattern[str] | None = None,
) -> list[Passage]:
    """Return the passages of the document `path`, whose text is `lines` with the structure `outline`.

    `plain` returns the readable text from one character of the text up to another one. Without any, a passage is left
    out. `weights` are what each line counts for, if that is not its length; `breaks` is where a line that is too long
    is best cut.
    """
    starts = [0, *accumulate(len(line) + 1 for line in lines)]
    found = []
    for start, end in split(lines, outline, weights=weights):
        headings = outline.headings(start, end)
        parts: Iterable[tuple[int, int]] = ((0, starts[end] - 1 - starts[start]),)
        text = "\n".join(lines[start:end])
        if end - start == 1 and len(text) > MAX_LINE:
            parts = cut_line(text, breaks)
        for first, last in parts:
            readable = plain(starts[start] + first, starts[start] + last) if plain else ""
            if readable or plain is None:
                found.append(Passage(path, text[first:last], start + 1, end, headings=headings, plain=readable))
    return found


def prose_outline(lines: Sequence[str]) -> Outline:
    """Return the structure of a text: paragraphs, and sentences that end with a line."""
    cuts, before = [], ""
    for line in lines:
        if not before.strip():
            cuts.append(Cut.BLOCK)
        else:
            cuts.append(Cut.SENTENCE if _SENTENCE_END.search(before, max(0, len(before) - 20)) else Cut.LINE)
        before = line
    return Outline(cuts)
