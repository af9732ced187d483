"""A terminal in memory, and answers to show on it."""

import io

import pyte
from rich.console import Console

from chatcli.events import TurnFinished, Usage
from chatcli.rendering import theme
from chatcli.rendering.markdown.blocks import BlockRenderer
from chatcli.rendering.markdown.parser import parse
from chatcli.rendering.theme import Line


class _Screen(pyte.Screen):
    """A screen that keeps the lines that scroll off; pyte's own HistoryScreen takes twice as long for every event."""

    def __init__(self, width: int, height: int) -> None:
        self.scrolled: list[str] = []
        super().__init__(width, height)

    def index(self) -> None:
        """Move the cursor down; at the bottom, the first line scrolls off."""
        if self.cursor.y == self.lines - 1:
            self.scrolled.append(self.text(0))
        super().index()

    def text(self, row: int) -> str:
        """Return a line, without the spaces at its end; pyte's own `display` measures every character again."""
        cells = self.buffer[row]
        last = min(max(cells, default=-1), self.columns - 1)
        return "".join([cells[column].data for column in range(last + 1)]).rstrip()


class Terminal:
    """A rich console whose bytes go to a terminal emulator with a scrollback."""

    def __init__(self, width: int = 80, height: int = 24) -> None:
        self.width = width
        self.bytes = io.StringIO()
        self.console = Console(
            file=self.bytes, force_terminal=True, color_system="truecolor", width=width, height=height
        )
        self._screen = _Screen(width, height)
        self._screen.set_mode(pyte.modes.LNM)  # a tty's ONLCR: a newline also goes to the first column
        self._stream = pyte.Stream(self._screen)
        self._read = 0

    def resize(self, width: int, height: int) -> None:
        """Make the terminal another size; pyte, like xterm, does not wrap old lines again."""
        self._emulate()
        self.width = width
        self.console.size = (width, height)
        self._screen.resize(height, width)

    def lines(self) -> list[str]:
        """Return the scrollback and the screen, without the empty lines at the end."""
        self._emulate()
        shown = [*self._screen.scrolled, *map(self._screen.text, range(self._screen.lines))]
        while shown and not shown[-1]:
            shown.pop()
        return shown

    def cursor(self) -> tuple[int, int]:
        """Return the cursor's column and row."""
        self._emulate()
        return self._screen.cursor.x, self._screen.cursor.y

    def _emulate(self) -> None:
        written = self.bytes.getvalue()
        self._stream.feed(written[self._read :])
        self._read = len(written)


class _WrappingScreen(pyte.Screen):
    """A screen that remembers, with the last cell of a row, that the terminal itself wrapped there."""

    def __init__(self, width: int, height: int) -> None:
        self.wrapped: set[int] = set()
        super().__init__(width, height)

    def draw(self, data: str) -> None:
        """Write characters one by one; a cell that is written again is no longer known as wrapped."""
        for character in data:
            row, column = self.cursor.y, self.cursor.x
            if column == self.columns:
                self.wrapped.add(row)
            elif column == self.columns - 1:
                self.wrapped.discard(row)
            super().draw(character)

    def erase_in_line(self, how: int = 0, private: bool = False) -> None:
        """Erase a part of the row."""
        self.wrapped.discard(self.cursor.y)
        super().erase_in_line(how, private)

    def erase_in_display(self, how: int = 0, *args: object, **options: object) -> None:
        """Erase a part of the screen."""
        self.wrapped -= set(range(self.cursor.y, self.lines))
        super().erase_in_display(how, *args, **options)


class WrappingTerminal:
    """What `terminal` shows as it would be copied there: rows that the terminal has wrapped are one line.

    The screen must be high enough for all of it.
    """

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal

    def copied(self) -> list[str]:
        """Return the lines, without the empty ones at the end."""
        screen = _WrappingScreen(self._terminal.width, 200)
        screen.set_mode(pyte.modes.LNM)
        pyte.Stream(screen).feed(self._terminal.bytes.getvalue())
        copied = [""]
        for row, text in enumerate(screen.display):
            copied[-1] += text if row in screen.wrapped else text.rstrip()
            if row not in screen.wrapped:
                copied.append("")
        while copied and not copied[-1]:
            copied.pop()
        return copied


class Clock:
    """A clock that only the test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def finished(content: str = "", usage: Usage | None = None) -> TurnFinished:
    return TurnFinished("t1", "c1", "fake:model", content, "stop", usage or Usage(), 812, 3, 4)


def render_markdown(text: str, width: int) -> list[Line]:
    """Render the whole of `text` at once: what the stream is compared with."""
    source = text.removesuffix("\n") + "\n"
    nodes, _ = parse(source, {})
    return BlockRenderer(source, theme.CODE_THEME).blocks(nodes, width)


def cut(text: str, sizes: list[int]) -> list[str]:
    """Cut `text` into pieces of `sizes`, used in turn."""
    pieces: list[str] = []
    position = 0
    while position < len(text):
        size = sizes[len(pieces) % len(sizes)]
        pieces.append(text[position : position + size])
        position += size
    return pieces
