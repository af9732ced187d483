"""Styled text: the style of each kind of text, the themes that define the colours, and lines, which can be wrapped.

Styles name the sixteen colours of terminals.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import accumulate, groupby, pairwise
from operator import attrgetter
from typing import NamedTuple

from rich.cells import cell_len, chop_cells
from rich.color import Color
from rich.style import Style

# Scripts without spaces may be broken after any character, but not before a closing punctuation mark.
_IDEOGRAPHS = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3\uff21-\uff5a\U00020000-\U0003ffff"
_CLOSERS = "\u3001\u3002\u300d\u300f\u3011\uff01\uff09\uff0c\uff1a\uff1b\uff1f\u30fc\u2026"
_PIECES = re.compile(rf" +|[{_IDEOGRAPHS}][{_CLOSERS}]*|[^ {_IDEOGRAPHS}]+")

PLAIN = Style()
DIM = Style(dim=True)
STRONG = Style(bold=True)
EMPHASIS = Style(italic=True)
STRUCK = Style(strike=True)
CODE = Style(color="cyan")
MATH = Style(color="green")
KEYS = Style(reverse=True)
ALERTS = {
    "NOTE": Style(color="blue"),
    "TIP": Style(color="green"),
    "IMPORTANT": Style(color="magenta"),
    "WARNING": Style(color="yellow"),
    "CAUTION": Style(color="red"),
}
LINK = Style(underline=True)
URL = Style(color="blue")
HEADINGS = (
    Style(bold=True, underline=True, color="magenta"),
    Style(bold=True, color="magenta"),
    *[Style(bold=True)] * 4,
)
"""The styles of headings of level 1 to 6."""
CODE_THEME = "ansi_dark"


@dataclass(frozen=True)
class Theme:
    """The sixteen colours on one kind of background."""

    name: str
    colors: Mapping[str, int] = field(default_factory=dict)
    """For each colour name that the styles use, a number among the 256 colours, which all terminals show alike. For a
    missing name, the terminal's own colour is used."""
    dim: int | None = None
    """The colour number of dim text; None to use the terminal's own dim style."""
    background: tuple[int, int, int] | None = None
    """The RGB background for which the colours were chosen; None if it is not known."""
    colored: bool = True

    def resolve(self, style: Style) -> Style:
        """Return `style` with the colours of this theme."""
        return _resolve(self.name, style)


_NUMBERS = {
    "red": (210, 124),
    "green": (114, 22),
    "yellow": (179, 94),
    "blue": (111, 25),
    "magenta": (176, 90),
    "cyan": (80, 24),
    "white": (252, 238),
    "bright_black": (246, 241),
    "bright_red": (217, 160),
    "bright_green": (157, 28),
    "bright_yellow": (222, 94),
    "bright_blue": (117, 26),
    "bright_magenta": (183, 91),
    "bright_cyan": (123, 24),
}
"""The number of each colour on a dark and on a light background."""
TERMINAL = Theme("terminal")
MONO = Theme("mono", colored=False)
DARK = Theme("dark", {name: dark for name, (dark, _) in _NUMBERS.items()}, dim=246, background=(30, 30, 30))
LIGHT = Theme("light", {name: light for name, (_, light) in _NUMBERS.items()}, dim=241, background=(255, 255, 255))
THEMES = {theme.name: theme for theme in (DARK, LIGHT, MONO, TERMINAL)}


def find_theme(name: str) -> Theme:
    """Return the theme `name`; "auto" is the terminal's own colours until the terminal reports its background."""
    return THEMES.get(name, TERMINAL)


def find_code_theme(name: str) -> str:
    """Return the style of Pygments for code: `name`, or with "auto" that of the theme's own colours."""
    return CODE_THEME if name == "auto" else name


@lru_cache(maxsize=1024)
def _resolve(name: str, style: Style) -> Style:
    theme = THEMES[name]
    if not theme.colored:
        return style.without_color
    number = theme.colors.get(style.color.name) if style.color is not None else None
    if style.dim and theme.dim is not None:
        number = number or theme.dim
        style = style + Style(dim=False)
    return style + Style(color=Color.from_ansi(number)) if number is not None else style


class Run(NamedTuple):
    """Text of one style, without newlines and other control characters."""

    text: str
    style: Style


Line = tuple[Run, ...]
EMPTY: Line = ()


class Continued(tuple[Run, ...]):
    """A line that continues the one before it: the terminal wraps there, so that both are copied as one."""

    __slots__ = ()


def after(line: Line, count: int) -> Line:
    """Return `line` without its first `count` characters."""
    return next(_slices(line, [(count, len(plain_text(line)))]))


def plain_text(line: Line) -> str:
    """Return the text of `line` without its styles."""
    return "".join(run.text for run in line)


def width_of(line: Line) -> int:
    """Return the number of terminal cells that `line` takes."""
    return sum(cell_len(run.text) for run in line)


def join(runs: Iterable[Run]) -> Line:
    """Return `runs` as a line; neighbouring runs of the same style are merged."""
    groups = groupby((run for run in runs if run.text), key=attrgetter("style"))
    return tuple(Run("".join(run.text for run in same), style) for style, same in groups)


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


def fold(line: Line, width: int, *, copied_whole: bool = False) -> list[Line]:
    """Return `line` broken exactly at `width`, as is right for code; `copied_whole` makes the rest `Continued`."""
    text = plain_text(line)
    if cell_len(text) <= width:
        return [line]
    ends = accumulate(map(len, _chop(text, max(width, 1))), initial=0)
    first, *others = _slices(line, pairwise(ends))
    return [first, *(map(Continued, others) if copied_whole else others)]


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
            starts = list(accumulate(map(len, full), initial=match.start()))
            ranges += pairwise(starts)
            start, column, cells = starts[-1], 0, cell_len(last)
        column += cells
        end = match.end()
    ranges.append((start, end))
    return ranges


def _slices(line: Line, ranges: Iterable[tuple[int, int]]) -> Iterator[Line]:
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
