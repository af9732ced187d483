"""Draw the lines at the end of the output again when they change, as long as they are on the screen."""

import os
import re
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import zip_longest

from rich.cells import cell_len
from rich.console import COLOR_SYSTEMS, Console
from rich.style import Style

from chatcli.rendering import theme
from chatcli.rendering.theme import EMPTY, TERMINAL, Continued, Line, Run, Theme, after, fold, plain_text, width_of
from chatcli.sanitize import sanitize

ROWS = 4
"""The most rows of the screen for a draft; of a longer one, the end is shown."""
_GLYPH = "> "
_CONTINUATION = "  "

SYNC_BEGIN = "\x1b[?2026h"
SYNC_END = "\x1b[?2026l"
_WRAP_OFF = "\x1b[?7l"
_WRAP_ON = "\x1b[?7h"
_ERASE_LINE = "\x1b[K"
_ERASE_BELOW = "\x1b[J"
_WRAP_AGAIN = (
    *("ALACRITTY_WINDOW_ID", "GHOSTTY_RESOURCES_DIR", "ITERM_SESSION_ID", "KITTY_WINDOW_ID", "KONSOLE_VERSION"),
    *("VTE_VERSION", "WEZTERM_PANE", "WT_SESSION"),
)
"""Set by terminals that wrap old lines again when they get narrower."""

# Characters that have the same width in every terminal, and that never combine with the character before them.
_CERTAIN = re.compile(
    "[ -~\u00a1-\u00ac\u00ae-\u02ff\u0370-\u0482\u048a-\u052f\u2010-\u2027\u2500-\u257f"
    "\u3001-\u3029\u3041-\u3096\u30a1-\u30fa\u4e00-\u9fff\uac00-\ud7a3\uff01-\uff60]*"
)


class Painter:
    """Shows lines on the screen, and writes only what changed since the last update.

    Lines that have scrolled off the screen stay as they are, since a terminal's scrollback can't be changed.
    Each update is one write. If it moves the cursor up, it is wrapped in synchronized output, so that a
    half-finished update is never visible. `wraps_again` says whether the terminal wraps old lines again when it gets
    narrower, None to find out by the environment; where that is wrong, finished lines would be erased.
    """

    def __init__(self, console: Console, theme: Theme = TERMINAL, *, wraps_again: bool | None = None) -> None:
        self._console = console
        self.wraps_again = wraps_old_lines_again() if wraps_again is None else wraps_again
        self._encoder = Encoder(console, theme)
        self._shown: list[Line] = []  # the lines that are not finished; the cursor is in the last one
        self._lost = 0  # how many of them have scrolled off the screen
        self._row = 0  # the cursor's line, as an index of `_shown`
        self._column: int | None = 0  # the cursor's column, in cells; None if it is not certain
        self._at_end = False  # whether the cursor is where the text of its line ends, also where no column is certain
        # Whether the cursor is behind a full line, where the terminal wraps before the next character.
        self._wraps = False
        self._width = console.width
        self._parts: list[str] = []
        self._moved = False

    def update(self, lines: Sequence[Line], finished: int = 0, column: int | None = None) -> None:
        """Show `lines` in place of those before, the first `finished` for good; `column` is the one of the cursor."""
        self._begin()
        if self._shown and self._console.width != self._width:
            self._erase_from(self._lost)
            del self._shown[self._lost :]
        self._width = self._console.width
        self._draw_changes(lines)
        if column is not None and self._column != column:
            self._parts.append(f"\x1b[{column + 1}G")
            self._column, self._at_end, self._wraps = column, False, False
        self._shown = list(lines)
        if finished:
            self._finish(finished)
        self._flush()

    def clear(self) -> None:
        """Remove the lines that are still on the screen, so that something else can be written.

        `update` shows them again. `clear` leaves the cursor at the start of an empty line, and the cursor must be
        at the start of an empty line at the next call too.
        """
        self._begin()
        if self._shown:
            self._erase_from(self._lost)
            del self._shown[self._lost :]
        self._flush()

    def _begin(self) -> None:
        self._parts.clear()
        self._moved = False
        if self._console.width > self._width:
            self._row -= self._joined_rows()
        elif self._console.width < self._width and self.wraps_again:
            self._add_wrapped_rows()
        # Lines further above the cursor than the height of the screen can't be reached.
        self._lost = max(self._lost, self._row - max(self._console.height, 1) + 1)

    def _joined_rows(self) -> int:
        """Return how many rows less the shown lines take on a screen that got wider.

        Most terminals join the lines that they have wrapped. Where one does not, a part of what it shows stays above.
        """
        rows = cells = 0
        for index in range(self._lost, min(self._row + 1, len(self._shown))):
            joined = index > self._lost and self._is_joined(self._shown, index)
            rows, before = rows + 1, cells if joined else 0
            cells = before + width_of(self._shown[index])
            if joined and -(-cells // self._console.width) == -(-before // self._console.width):
                rows -= 1
        return max(self._row + 1 - self._lost - rows, 0) if self._row < len(self._shown) else 0

    def _add_wrapped_rows(self) -> None:
        """Find the first shown line that is on the screen, and the cursor's distance from it, after more wrapping."""
        width, last, starts = self._console.width, -1, {}
        cells = first = 0
        for index in range(self._lost, self._row + 1 if self._row < len(self._shown) else 0):
            joined = index > self._lost and self._is_joined(self._shown, index)
            cells, first = (cells, first) if joined else (0, last + 1)
            if cells % width == 0:  # else the end of another line is in the same row
                starts[index] = first + cells // width
            cells += width_of(self._shown[index])
            last = first + max(-(-cells // width), 1) - 1
        top = last - max(self._console.height, 1) + 1
        index, start = next(((index, start) for index, start in starts.items() if start >= top), (self._row, last))
        self._lost, self._row = index, index + last - start

    def _draw_changes(self, lines: Sequence[Line]) -> None:
        for index, (old, new) in enumerate(zip_longest(self._shown, lines)):
            if index < self._lost:
                continue
            # What is copied would go on with the next line, where a full line has lost its rest.
            unjoined = self._is_joined(self._shown, index) and not self._is_joined(lines, index)
            if unjoined and self._shown[index - 1] == lines[index - 1]:
                self._draw_end(lines[index - 1], index - 1)
            if new is None:
                self._erase_from(index)
                break
            drawn = self._wraps and self._row == index - 1  # the line before, to its end
            wrapped = self._is_joined(lines, index) and (drawn or not self._is_joined(self._shown, index))
            if wrapped:
                self._wrap(lines, index)
            if old != new:
                self._draw(index, new, written=int(wrapped))
        self._go(max(len(lines) - 1, self._lost))

    def _is_joined(self, lines: Sequence[Line], index: int) -> bool:
        """Return whether the terminal itself wraps before the line `index`, since the one before fills its row."""
        if not self._lost < index < len(lines) or not isinstance(lines[index], Continued):
            return False
        before = lines[index - 1]
        certain = all(_CERTAIN.fullmatch(plain_text(line)) for line in (before, lines[index]))
        return certain and width_of(before) == self._width

    def _wrap(self, lines: Sequence[Line], index: int) -> None:
        """Write the first character of the line `index` behind the last one of the line before: there, terminals wrap.

        They remember that with the last character of the full row, so this is done again when that is drawn again.
        """
        first = lines[index][0]
        if not self._wraps or self._row != index - 1:
            self._draw_end(lines[index - 1], index - 1)
        self._parts.append(self._encoder.encode((Run(first.text[0], first.style),)))
        self._row, self._column = index, cell_len(first.text[0])
        self._at_end = self._wraps = False

    def _draw_end(self, line: Line, index: int) -> None:
        """Draw the last character of the full line `index` again: then a terminal forgets that it wrapped there."""
        last = Run(line[-1].text[-1], line[-1].style)
        self._go(index)
        self._parts += (f"\x1b[{self._width - cell_len(last.text) + 1}G", self._encoder.encode((last,)))
        self._column, self._at_end, self._wraps = None, False, True

    def _finish(self, finished: int) -> None:
        if finished >= len(self._shown):
            if self._row < len(self._shown):  # otherwise only lines that scrolled off are left
                self._parts.append("\n")
            self._shown = []
            self._lost = self._row = self._column = 0
            self._at_end = self._wraps = False
        else:
            self._shown = self._shown[finished:]
            self._row -= finished
            self._lost = max(self._lost - finished, 0)

    def _draw(self, index: int, new: Line, written: int = 0) -> None:
        """Draw the line `index`, of which the first `written` characters are on the screen."""
        old = self._shown[index] if index < len(self._shown) else EMPTY
        room = self._console.width
        # The end of a line that is wider than the screen was written over its last cell.
        keep = written if width_of(old) > room else max(_common(old, new), written)
        self._go(index)
        addition = _addition(old, new) if self._at_end else 0
        if addition:
            keep = addition
        elif self._column != (column := cell_len(plain_text(new)[:keep])):
            self._parts.append(f"\x1b[{column + 1}G" if column else "\r")
        rest = after(new, keep)
        width = width_of(new)
        certain = width <= room and _CERTAIN.fullmatch(plain_text(new)) is not None
        text = self._encoder.encode(rest)
        if certain or 2 * len(plain_text(new)) <= room:  # no character is wider than two cells
            self._parts.append(text)
        else:  # if the text is wider on this terminal than rich assumes, a wrapped line would add a row
            self._parts += (_WRAP_OFF, text, _WRAP_ON)
        if width < min(width_of(old), room):
            self._parts.append(_ERASE_LINE)
        # After a character in the last column, terminals differ in where the cursor is.
        self._column = width if certain and width < room else None
        self._at_end = width < room
        self._wraps = certain and width == room and bool(rest)

    def _go(self, index: int) -> None:
        """Move the cursor to the line `index`; lines that do not exist yet are added below."""
        if index < self._row:
            self._parts.append(f"\x1b[{self._row - index}A")
            self._moved = True
            self._row, self._at_end, self._wraps = index, False, False
        elif index > self._row:
            # A newline moves down, and scrolls at the bottom of the screen.
            self._parts.append("\n" * (index - self._row))
            self._row = index
            self._column, self._at_end, self._wraps = 0, False, False

    def _erase_from(self, index: int) -> None:
        self._go(index)
        # From the first cell of the screen, tmux would keep what is erased in its scrollback.
        self._parts.append(f"\x1b[2G{_ERASE_BELOW}\r{_ERASE_LINE}" if self.wraps_again else f"\r{_ERASE_BELOW}")
        self._moved = True
        self._column, self._at_end, self._wraps = 0, False, False

    def _flush(self) -> None:
        text = "".join(self._parts)
        if text:
            self._console.file.write(f"{SYNC_BEGIN}{text}{SYNC_END}" if self._moved else text)
            self._console.file.flush()


def _common(old: Line, new: Line) -> int:
    """Return how many characters at the start of `new` are already on the screen, in `old`, and need no drawing."""
    count = 0
    for (old_text, old_style), (new_text, new_style) in zip(old, new, strict=False):
        if old_style != new_style:
            break
        if old_text != new_text:
            pairs = enumerate(zip(old_text, new_text, strict=False))
            shorter = min(len(old_text), len(new_text))
            count += next((index for index, (one, other) in pairs if one != other), shorter)
            break
        count += len(new_text)
    text = plain_text(new)
    certain = _CERTAIN.match(text)
    limit = certain.end() if certain else 0
    if limit < len(text) and limit:
        limit -= 1  # the next character may combine with the one before it
    return min(count, limit)


def _addition(old: Line, new: Line) -> int:
    """Return where in the text of `new` begins what it only adds to `old`; 0 if it is not longer, or not only that."""
    if not old or len(old) > len(new) or old[:-1] != new[: len(old) - 1]:
        return 0
    (old_text, old_style), (new_text, new_style) = old[-1], new[len(old) - 1]
    if old_style != new_style or not new_text.startswith(old_text):
        return 0
    start = len(plain_text(old))
    # The first character may combine with the one before it.
    first = plain_text(new)[start : start + 1]
    return start if first and _CERTAIN.fullmatch(first) else 0


class Encoder:
    """Encodes lines for `console` in the colours of `theme`; no style is left on at the end of a line."""

    def __init__(self, console: Console, theme: Theme) -> None:
        self._theme = theme
        self._system = COLOR_SYSTEMS.get(console.color_system or "")
        self._no_color = console.no_color
        self._codes = cache(self._codes_of)

    def encode(self, line: Line) -> str:
        """Return the text of `line` with its escape sequences."""
        parts: list[str] = []
        for text, style in line:
            before, after = self._codes(style)
            parts += (before, text, after)
        return "".join(parts)

    def _codes_of(self, style: Style) -> tuple[str, str]:
        shown = style.without_color if self._no_color else self._theme.resolve(style)
        before, _, after = shown.render("\0", color_system=self._system).partition("\0")
        return before, after


def wraps_old_lines_again(environment: Mapping[str, str] = os.environ) -> bool:
    """Return whether the terminal is known to wrap the lines that it shows again when it gets narrower."""
    if environment.get("TMUX"):
        return True
    if environment.get("XTERM_VERSION") or environment.get("STY"):  # started from another terminal, perhaps
        return False
    return any(map(environment.get, _WRAP_AGAIN))


class Tail:
    """The end of the output, where one thing at a time is shown in progress.

    Below it are a status line and the draft, which is what the user types meanwhile. Both move down as lines are
    finished.
    """

    def __init__(self, console: Console, theme: Theme = TERMINAL) -> None:
        self.console = console
        self._painter = Painter(console, theme)
        self._lines: list[Line] = []
        self._status: list[Line] = []
        self._typed: Sequence[str] = ()

    @property
    def _draft(self) -> list[Line]:
        """The last rows of what is typed: the lines that wait to be sent, then the line being typed."""
        rows: list[Line] = []
        for text in self._typed:
            for number, line in enumerate(sanitize(text).expandtabs(4).split("\n")):
                prefix = _CONTINUATION if number else _GLYPH
                # One column is left free for the cursor.
                rows += fold((Run(prefix + line, theme.DIM),), max(self.console.width - 1, 1))
        return rows[-min(ROWS, max(self.console.height - 1, 1)) :]

    @property
    def width(self) -> int:
        """The screen's width, in cells."""
        return self.console.width

    @property
    def height(self) -> int:
        """The number of rows that the draft and a status line leave on the screen."""
        return max(self.console.height - len(self._draft) - 1, 1)

    def update(self, lines: Sequence[Line], finished: int = 0) -> None:
        """Show `lines` in place of the lines shown before; the first `finished` of them never change again."""
        self._lines = list(lines[finished:])
        self._paint(lines, finished)

    def show_status(self, line: Line | None) -> None:
        """Show the status line `line`; None removes it."""
        self._status = [line] if line else []
        self.restore()

    def show_draft(self, texts: Sequence[str]) -> None:
        """Show `texts` as the draft, with the cursor after them."""
        self._typed = texts
        self.restore()

    def clear(self) -> None:
        """Remove everything to make room for other output; the cursor goes to the start of an empty line."""
        self._painter.clear()

    def restore(self) -> None:
        """Show again what `clear` removed; the cursor must be at the start of an empty line."""
        self._paint(self._lines, 0)

    def use(self, theme: Theme) -> None:
        """Show everything in `theme` from now on."""
        self._painter.clear()
        self._painter = Painter(self.console, theme, wraps_again=self._painter.wraps_again)
        self.restore()

    def wraps_again(self) -> None:
        """Take the terminal's word that it wraps old lines again when it gets narrower."""
        self._painter.wraps_again = True

    def _paint(self, lines: Sequence[Line], finished: int) -> None:
        # Lines that may still change must not scroll off, where nothing can change them: the last that fit are shown.
        draft = self._draft
        room = max(self.console.height - len(self._status) - len(draft), 1)
        lines = [*lines[:finished], *lines[finished:][-room:]]
        column = width_of(draft[-1]) if draft else None
        self._painter.update([*lines, *self._status, *draft], finished, column)
