"""Styled lines of text, which can be measured, wrapped and folded."""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from rich.cells import cell_len, chop_cells
from rich.style import Style

# Scripts without spaces may be broken after any character, but not before a closing punctuation mark.
_IDEOGRAPHS = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3\uff21-\uff5a\U00020000-\U0003ffff"
_CLOSERS = "\u3001\u3002\u300d\u300f\u3011\uff01\uff09\uff0c\uff1a\uff1b\uff1f\u30fc\u2026"
_PIECES = re.compile(rf" +|[{_IDEOGRAPHS}][{_CLOSERS}]*|[^ {_IDEOGRAPHS}]+")


class Run(NamedTuple):
    """Text of one style, without newlines and other control characters."""

    text: str
    style: Style


Line = tuple[Run, ...]
EMPTY: Line = ()


def plain_text(line: Line) -> str:
    """Return the text of `line` without its styles."""
    return "".join(run.text for run in line)


def width_of(line: Line) -> int:
    """Return the number of terminal cells that `line` takes."""
    return sum(cell_len(run.text) for run in line)


def join(runs: Iterable[Run]) -> Line:
    """Return `runs` as a line; neighbouring runs of the same style are merged."""
    merged: list[Run] = []
    for run in runs:
        if not run.text:
            continue
        if merged and merged[-1].style == run.style:
            merged[-1] = Run(merged[-1].text + run.text, run.style)
        else:
            merged.append(run)
    return tuple(merged)


def split_lines(runs: Iterable[Run]) -> list[Line]:
    """Return the lines of `runs`, which may contain newlines."""
    lines: list[list[Run]] = [[]]
    for text, style in runs:
        first, *others = text.split("\n")
        lines[-1].append(Run(first, style))
        lines.extend([Run(other, style)] for other in others)
    return [join(line) for line in lines]


def wrap(line: Line, width: int) -> list[Line]:
    """Return `line` broken between words; words that are longer than `width` are broken anywhere."""
    text = plain_text(line)
    if cell_len(text) <= width:
        return [line]
    return list(_slices(line, _break(text, max(width, 1))))


def fold(line: Line, width: int) -> list[Line]:
    """Return `line` broken exactly at `width`, as is right for code."""
    text = plain_text(line)
    if cell_len(text) <= width:
        return [line]
    ranges = []
    start = 0
    for piece in _chop(text, max(width, 1)):
        ranges.append((start, start + len(piece)))
        start += len(piece)
    return list(_slices(line, ranges))


def _chop(text: str, width: int) -> list[str]:
    # rich returns an empty first piece if the first character alone is too wide.
    return [piece for piece in chop_cells(text, width) if piece]


def _break(text: str, width: int) -> list[tuple[int, int]]:
    """Return the start and end of each line of `text`, broken between words."""
    ranges: list[tuple[int, int]] = []
    start = end = column = 0  # the current line, without the spaces at its end
    for match in _PIECES.finditer(text):
        piece = match.group()
        cells = cell_len(piece)
        if piece[0] == " ":
            if end > start or not ranges:
                column += cells
            continue
        if column + cells > width and end > start:
            ranges.append((start, end))
            column = 0
            start = end = match.start()
        elif end == start and ranges:
            start = match.start()
        if column + cells > width:
            *full, last = _chop(piece, width)
            position = match.start()
            for part in full:
                ranges.append((position, position + len(part)))
                position += len(part)
            start, column, cells = position, 0, cell_len(last)
        column += cells
        end = match.end()
    ranges.append((start, end))
    return ranges


def _slices(line: Line, ranges: Sequence[tuple[int, int]]) -> Iterator[Line]:
    """Yield the part of `line` in each of the ascending `ranges` of characters."""
    index = offset = 0  # the run in which the next range begins, and the position of its first character
    for start, end in ranges:
        parts: list[Run] = []
        while index < len(line):
            text, style = line[index]
            part = text[max(start - offset, 0) : max(end - offset, 0)]
            if part:
                parts.append(Run(part, style))
            if offset + len(text) > end:
                break
            offset += len(text)
            index += 1
        yield tuple(parts)
