"""Let the user pick one of several rows with the arrow keys, or by typing a part of it."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any, Generic, TypeVar

from prompt_toolkit import Application
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.filters import is_done
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.key_binding import KeyBindings
from prompt_toolkit.layout import BufferControl, ConditionalContainer, FormattedTextControl, HSplit, Layout, Window
from prompt_toolkit.layout.containers import VerticalAlign
from prompt_toolkit.layout.processors import BeforeInput

from chatcli.events import Choice, ChoicesOffered, Event
from chatcli.repl.prompt import Prompt, ask_line
from chatcli.sanitize import sanitize_line
from chatcli.text import display_width, truncate

ROWS = 10
"""The most rows that are shown at once, where the screen is high enough."""
_ESCAPE_SECONDS = 0.1
"""How long an Escape may be the beginning of another key."""
_GAP = 2

T = TypeVar("T")


def matching(choices: Iterable[Choice], typed: str) -> list[Choice]:
    """Return the choices that contain every word of `typed` in their name or in what is said about them.

    One that is named exactly so comes first.
    """
    words = typed.casefold().split()
    found = [choice for choice in choices if all(word in f"{choice.name} {choice.about}".casefold() for word in words)]
    return sorted(found, key=lambda choice: choice.name != typed.strip())


class Columns:
    """Lays rows out in columns, whose widths are those of all `rows`, whichever of them are shown."""

    def __init__(self, rows: Iterable[Sequence[str]]) -> None:
        self._rows = [tuple(map(sanitize_line, row)) for row in rows]
        self._widths = [max(map(display_width, column)) for column in zip(*self._rows, strict=True)]
        self._fitted = lru_cache(maxsize=1)(self._fit)

    def line(self, number: int, width: int) -> str:
        """Return the row `number` in at most `width` columns."""
        widths = self._fitted(width)
        parts = [truncate(text, limit) for text, limit in zip(self._rows[number], widths, strict=True)]
        padded = [part + " " * (limit - display_width(part)) for part, limit in zip(parts[:-1], widths, strict=False)]
        return (" " * _GAP).join((*padded, *parts[-1:])).rstrip()

    def _fit(self, width: int) -> list[int]:
        """Return the widths of the columns: the last one gives way first, down to half of the width."""
        first, last = self._widths[:-1], self._widths[-1] if self._widths else 0
        room = max(width - _GAP * len(first), len(first) + 1)
        least = min(last, room // 2)
        while first and sum(first) + least > room:
            widest = max(range(len(first)), key=first.__getitem__)
            first = [*first[:widest], first[widest] - 1, *first[widest + 1 :]]
        return [*first, min(last, room - sum(first))]


class RowList(ABC, Generic[T]):
    """A list of `rows` at the terminal, moved through with the keys; a subclass shows its rows and adds keys."""

    def __init__(self, prompt: Prompt, rows: Sequence[T], index: int) -> None:
        self._output = prompt.output
        self._all = self._rows = rows
        self._index = index
        self._first = 0
        self._app: Application[Any] = Application(
            key_bindings=self._keys(),
            input=prompt.input,
            output=prompt.output,
        )
        self._app.ttimeoutlen = _ESCAPE_SECONDS

    def leave(self) -> None:
        """Leave the list without a choice."""
        if self._app.is_running and not self._app.is_done:
            self._app.erase_when_done = True
            self._app.exit(result=None)

    @abstractmethod
    def _line(self, row: T, width: int) -> str:
        """Return `row` cut to `width` columns, after the margin."""

    def _height(self) -> int:
        """Return how many rows are shown; it does not change while the user types."""
        return max(1, min(ROWS, len(self._all), self._output.get_size().rows - 2))

    def _window(self) -> ConditionalContainer:
        """Return the window of the rows, which is gone at the end."""
        control = FormattedTextControl(self._text)
        return ConditionalContainer(Window(control, height=self._height, always_hide_cursor=True), ~is_done)

    def _move(self, by: int) -> None:
        self._index = max(0, min(self._index + by, len(self._rows) - 1))

    def _text(self) -> StyleAndTextTuples:
        height, width = self._height(), self._output.get_size().columns
        self._first = max(min(self._first, self._index), self._index - height + 1)
        lines: StyleAndTextTuples = []
        for index, row in enumerate(self._rows[self._first : self._first + height], self._first):
            here = index == self._index
            line = f"{'>' if here else ' '} {self._line(row, width - 3)}"
            lines.append(("reverse" if here else "", f"{line}\n"))
        return lines or [("", "  nothing fits")]

    def _keys(self) -> KeyBindings:
        keys = KeyBindings()
        moves: dict[str, Callable[[], int]] = {
            "up": lambda: -1,
            "c-p": lambda: -1,
            "s-tab": lambda: -1,
            "down": lambda: 1,
            "c-n": lambda: 1,
            "tab": lambda: 1,
            "pageup": lambda: -self._height(),
            "pagedown": self._height,
        }

        def move(key: str) -> None:
            keys.add(key, eager=True)(lambda _: self._move(moves[key]()))

        for key in moves:
            move(key)
        for key in ("escape", "c-c", "c-g", "c-d"):
            keys.add(key, eager=True)(lambda _: self.leave())
        return keys


class Picker(RowList[Choice]):
    """Choices of which one is picked: a list below a line that filters it.

    Args:
        prompt: Where the user types.
        offered: The choices.

    """

    def __init__(self, prompt: Prompt, offered: ChoicesOffered) -> None:
        choices = offered.choices
        super().__init__(prompt, choices, next((index for index, one in enumerate(choices) if one.current), 0))
        self._columns = Columns((choice.name, choice.about) for choice in choices)
        self._numbers = {id(choice): number for number, choice in enumerate(choices)}
        self._typed = Buffer(multiline=False, on_text_changed=lambda _: self._filter())
        question = BeforeInput(f"which {offered.what}? (type to filter, Esc leaves) ")
        line = Window(BufferControl(self._typed, input_processors=[question]), height=1)
        self._app.layout = Layout(HSplit([line, self._window()], align=VerticalAlign.TOP))

    async def pick(self) -> Choice | None:
        """Return the row that the user picks; None if they leave the list."""
        picked: Choice | None = await self._app.run_async()
        return picked

    def _filter(self) -> None:
        self._rows = matching(self._all, self._typed.text)
        self._index = self._first = 0

    def _line(self, row: Choice, width: int) -> str:
        return f"{'*' if row.current else ' '} {self._columns.line(self._numbers[id(row)], width - 2)}"

    def _keys(self) -> KeyBindings:
        keys = super()._keys()
        keys.add("enter", eager=True)(lambda _: self._accept())
        return keys

    def _accept(self) -> None:
        if self._rows:
            chosen = self._rows[self._index]
            self._typed.text = sanitize_line(chosen.name)
            self._app.exit(result=chosen)


async def read_choice(prompt: Prompt, offered: ChoicesOffered, show: Callable[[Event], None]) -> Choice | None:
    """Let a user with a screen reader pick one of the choices, which `show` lists; return it, or None."""
    show(offered.listing)
    try:
        typed = await ask_line(f"which {offered.what}? (type a part of it) ", prompt.input, prompt.output)
    except (EOFError, KeyboardInterrupt):
        return None
    found = matching(offered.choices, typed)
    return found[0] if found else None
