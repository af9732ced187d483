"""The passages of a Jupyter notebook: the source of its cells, as the lines of the file where it stands.

What a cell printed or drew is left out: pictures as text would make up most of a notebook.
"""

import json
import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate, groupby
from pathlib import Path
from typing import Any, NamedTuple

from chatcli.documents.passage import Passage
from chatcli.documents.split import MAX_LINE, split
from chatcli.documents.structure import Trail, code_outline, markdown_outline

_DECODER = json.JSONDecoder()
_BLANKS = re.compile(r"[ \t\n\r]*")
_ESCAPE = re.compile(r"\\(?:u[0-9a-fA-F]{4}|.)")
_NEWLINES = frozenset(("\\n", "\\u000a", "\\u000A"))
_HEADING = re.compile(r"(#{1,6})[ \t]+(.+)")

Range = tuple[int, int]


class _Part(NamedTuple):
    """A part of a cell, before it is known whether others stand in the same lines of the file."""

    place: Range
    """Where it begins and ends in the file."""
    headings: tuple[str, ...]
    plain: str


def notebook_passages(path: Path, lines: Sequence[str]) -> list[Passage] | None:
    """Return the passages of the notebook `path`, whose JSON is `lines`; None if it is not one.

    A passage is whole lines of the file. Several parts of cells in one line are one passage; if the line is too long,
    each is the part of the line where it stands.
    """
    text = "\n".join(lines)
    starts = [0, *accumulate(len(line) + 1 for line in lines)]
    found: list[Passage] = []
    try:
        placed = [
            (bisect_right(starts, part.place[0]) - 1, bisect_right(starts, part.place[1]) - 1, part)
            for part in _parts(text)
        ]
    except (ValueError, IndexError, RecursionError):
        return None
    for line, group in groupby(placed, key=lambda each: each[0]):
        parts = list(group)
        last = parts[-1][1]
        if found and found[-1].end_line == line + 1:
            return None  # parts that share some of their lines: no program writes that
        if last == line and len(lines[line]) > MAX_LINE:
            for _, _, part in parts:
                place = text[slice(*part.place)]
                found.append(Passage(path, place, line + 1, last + 1, headings=part.headings, plain=part.plain))
        else:
            plain = "\n\n".join(part.plain for _, _, part in parts)
            whole = "\n".join(lines[line : last + 1])
            found.append(Passage(path, whole, line + 1, last + 1, headings=parts[0][2].headings, plain=plain))
    return found


def _parts(text: str) -> Iterator[_Part]:
    trail, headings = Trail(), tuple[str, ...]()
    for kind, source, places in _cells(text):
        outline = markdown_outline(source) if kind == "markdown" else code_outline(source)
        for first, last in split(source, outline):
            for line in source[first:last] if kind == "markdown" else ():
                if heading := _HEADING.match(line):
                    headings = trail.add(len(heading[1]), heading[2])
            yield _Part((places[first][0], places[last - 1][1]), headings, "\n".join(source[first:last]))


def _cells(text: str) -> Iterator[tuple[str, list[str], list[Range]]]:
    """Yield the kind of each cell, the lines of its source, and where each stands in the file."""
    for key, cells, start, _ in _items(text, 0):
        if key != "cells" or not isinstance(cells, list):
            continue
        for _, cell, at, _ in _items(text, start):
            for name, source, begin, end in _items(text, at) if isinstance(cell, dict) else ():
                if name != "source" or not isinstance(source, str | list):
                    continue
                strings = [(source, begin, end)] if isinstance(source, str) else []
                for _, value, first, last in _items(text, begin) if isinstance(source, list) else ():
                    if not isinstance(value, str):
                        raise ValueError(value)
                    strings.append((value, first, last))
                if strings:
                    joined = "".join(value for value, _, _ in strings)
                    lines = joined.encode("utf-8", "replace").decode().split("\n")  # half a pair of code units is none
                    yield str(cell.get("cell_type")), lines, _places(text, [place for _, *place in strings])


def _places(text: str, strings: Sequence[Sequence[int]]) -> list[Range]:
    """Return where each line of the `strings`, which begin and end there with a quotation mark, stands in `text`."""
    places: list[Range] = []
    start: int | None = None
    for first, last in strings:
        start = first + 1 if start is None else start
        for escape in _ESCAPE.finditer(text, first + 1, last - 1):
            if escape[0] in _NEWLINES:
                places.append((first + 1 if start is None else start, escape.start()))
                start = escape.end() if escape.end() < last - 1 else None
    end = strings[-1][1] - 1
    return [*places, (end if start is None else start, end)]


def _items(text: str, at: int) -> Iterator[tuple[object, Any, int, int]]:
    """Yield the key, the value, its beginning and its end of each item of the object or array at `at` of `text`."""
    at = _skip(text, at)
    if text[at] not in "[{":
        raise ValueError(text[at])
    keyed = text[at] == "{"
    at = _skip(text, at + 1)
    while text[at] not in "]}":
        key = None
        if keyed:
            key, at = _DECODER.raw_decode(text, at)
            at = _skip(text, _skip(text, at) + 1)
        value, end = _DECODER.raw_decode(text, at)
        yield key, value, at, end
        at = _skip(text, end)
        if text[at] == ",":
            at = _skip(text, at + 1)


def _skip(text: str, at: int) -> int:
    return _BLANKS.match(text, at).end()  # type: ignore[union-attr]
