"""The end of the scrollback that still changes: what is being shown, and below it what is being typed."""

from collections.abc import Sequence

from rich.console import Console

from chatcli.rendering import theme
from chatcli.rendering.lines import Line, Run, fold, width_of
from chatcli.rendering.terminal.painter import Painter
from chatcli.rendering.theme import TERMINAL, Theme
from chatcli.sanitize import sanitize

ROWS = 4
"""The most rows of the screen that a draft takes; its end is shown."""
_GLYPH = "> "
_CONTINUATION = "  "


class Tail:
    """One place on the screen for whatever is in progress; one thing at a time is shown in it.

    Below it stand a status line, and the draft, what the user types meanwhile; they move down as lines are finished.
    """

    def __init__(self, console: Console, theme: Theme = TERMINAL) -> None:
        self.console = console
        self._painter = Painter(console, theme)
        self._lines: list[Line] = []
        self._status: list[Line] = []
        self._draft: list[Line] = []

    @property
    def width(self) -> int:
        """The screen's width, in cells."""
        return self.console.width

    @property
    def height(self) -> int:
        """How many rows of the screen the draft and a status line leave."""
        return max(self.console.height - len(self._draft) - 1, 1)

    def update(self, lines: Sequence[Line], finished: int = 0) -> None:
        """Show `lines` in place of those shown; the first `finished` of them will never change again."""
        self._lines = list(lines[finished:])
        self._paint(lines, finished)

    def show_status(self, line: Line | None) -> None:
        """Show `line` below what is in progress, None for nothing."""
        self._status = [line] if line else []
        self.restore()

    def show_draft(self, lines: Sequence[Line]) -> None:
        """Show `lines` as what is being typed, with the cursor behind them."""
        self._draft = list(lines)
        self.restore()

    def clear(self) -> None:
        """Take everything away for other output: the cursor goes to the start of an empty line."""
        self._painter.clear()

    def restore(self) -> None:
        """Show again what `clear` took away; the cursor must be at the start of an empty line."""
        self._paint(self._lines, 0)

    def use(self, theme: Theme) -> None:
        """Show everything in `theme` from now on."""
        self._painter.clear()
        self._painter = Painter(self.console, theme)
        self.restore()

    def _paint(self, lines: Sequence[Line], finished: int) -> None:
        column = width_of(self._draft[-1]) if self._draft else None
        self._painter.update([*lines, *self._status, *self._draft], finished, column)


def draft_lines(texts: Sequence[str], width: int, height: int) -> list[Line]:
    """Return the last rows of `texts`: lines that wait to be sent, and last the one being typed."""
    rows: list[Line] = []
    for text in texts:
        for number, line in enumerate(sanitize(text).expandtabs(4).split("\n")):
            prefix = _CONTINUATION if number else _GLYPH
            # One column less than the screen has: the cursor stands behind the last character.
            rows += fold((Run(prefix + line, theme.DIM),), max(width - 1, 1))
    return rows[-min(ROWS, max(height - 1, 1)) :]
