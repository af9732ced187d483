"""Let the user pick one of several rows, or go through the tree of a thread's branches."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Any, Generic, TypeVar

from prompt_toolkit import Application
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.filters import Condition, is_done
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.key_binding import KeyBindings
from prompt_toolkit.layout import BufferControl, ConditionalContainer, FormattedTextControl, HSplit, Layout, Window
from prompt_toolkit.layout.containers import VerticalAlign
from prompt_toolkit.layout.processors import BeforeInput

from chatcli.commands.branches import HERE, SUMMARY, TreeRow
from chatcli.commands.registry import Choice, choices_listing
from chatcli.events import Event
from chatcli.message import Excerpt
from chatcli.repl.prompt import Prompt
from chatcli.sanitize import sanitize_line
from chatcli.text import display_width, one_line, truncate

ROWS = 10
"""The most rows that are shown at once, where the screen is high enough."""
_ESCAPE_SECONDS = 0.1
"""How long an Escape may be the beginning of another key."""
_GAP = 2
_DETAILS = 4
"""The lines below the tree about the turn that the user is at."""
_LOW = 12
"""A lower screen shows no details."""
_SHORTEST = 6
"""The fewest columns of a question that leave room for the note that the user is there."""
_QUESTION_SHARE = 0.55
"""The part of the width that questions get at most; the answers get the rest."""
_HELP = "arrows move, Enter goes there, s takes a branch over as a summary, Esc leaves"

T = TypeVar("T")


def matching(choices: Iterable[Choice], typed: str) -> list[Choice]:
    """Return the choices with every word of `typed` in their name or about them; one named exactly so comes first."""
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
        self._app: Application[Any] = Application(key_bindings=self._keys(), input=prompt.input, output=prompt.output)
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
        for key in ("up", "c-p", "s-tab"):
            keys.add(key, eager=True)(lambda _: self._move(-1))
        for key in ("down", "c-n", "tab"):
            keys.add(key, eager=True)(lambda _: self._move(1))
        keys.add("pageup", eager=True)(lambda _: self._move(-self._height()))
        keys.add("pagedown", eager=True)(lambda _: self._move(self._height()))
        for key in ("escape", "c-c", "c-g", "c-d"):
            keys.add(key, eager=True)(lambda _: self.leave())
        return keys


class Picker(RowList[Choice]):
    """A list of `choices`, of which one `what` is picked, below a line that filters it."""

    def __init__(self, prompt: Prompt, what: str, choices: Sequence[Choice]) -> None:
        super().__init__(prompt, choices, next((index for index, one in enumerate(choices) if one.current), 0))
        self._columns = Columns((choice.name, choice.about) for choice in choices)
        self._numbers = {id(choice): number for number, choice in enumerate(choices)}
        self._typed = Buffer(multiline=False, on_text_changed=lambda _: self._filter())
        question = BeforeInput(f"which {what}? (type to filter, Esc leaves) ")
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


async def read_choice(
    prompt: Prompt, what: str, choices: Sequence[Choice], show: Callable[[Event], None]
) -> Choice | None:
    """Let a user with a screen reader pick one `what` of the choices, which `show` lists; return it, or None."""
    show(choices_listing(what, choices))
    typed = await prompt.line(f"which {what}? (type a part of it) ")
    found = [] if typed is None else matching(choices, typed)
    return found[0] if found else None


class TreeWalk(RowList[TreeRow]):
    """The tree of `rows`, below it the turn that the user is at, with what is known to be said in it."""

    def __init__(self, prompt: Prompt, rows: Sequence[TreeRow]) -> None:
        super().__init__(prompt, rows, next((index for index, row in enumerate(rows) if row.here), len(rows) - 1))
        self._excerpts: dict[int, Excerpt] = {}
        self._number_width = len(str(max(row.number for row in rows)))
        self._widest = max(display_width(_question(row)) for row in rows)
        details = Window(FormattedTextControl(self._details), height=_DETAILS)
        shown = Condition(lambda: not self._is_low) & ~is_done
        usage = FormattedTextControl(lambda: [("", truncate(_HELP, self._output.get_size().columns - 1))])
        self._app.layout = Layout(
            HSplit(
                [
                    self._window(),
                    ConditionalContainer(Window(char="─", height=1, style="dim"), shown),
                    ConditionalContainer(details, shown),
                    ConditionalContainer(Window(usage, height=1, style="dim"), ~is_done),
                ],
                align=VerticalAlign.TOP,
            )
        )
        self._app.erase_when_done = True
        self._asked: set[int] = set()
        self._shown = asyncio.Event()
        self._app.after_render += lambda _: self._shown.set()

    async def choose(self, read: Callable[[int], Awaitable[Mapping[int, Excerpt]]]) -> str:
        """Return the command that the user chooses, empty for none.

        `read` returns what is said on a branch that a turn is on. Only the branches on the screen are read, behind it:
        each takes a while in a long thread.
        """
        reading = asyncio.create_task(self._read(read))
        try:
            return await self._app.run_async() or ""
        finally:
            reading.cancel()
            await asyncio.wait([reading])

    async def _read(self, read: Callable[[int], Awaitable[Mapping[int, Excerpt]]]) -> None:
        while True:
            await self._shown.wait()
            self._shown.clear()
            while (number := self._unknown()) is not None:
                self._asked.add(number)
                with suppress(Exception):  # what can't be read is not shown
                    self._excerpts = {**await read(number), **self._excerpts}
                    self._app.invalidate()

    def _unknown(self) -> int | None:
        """Return a turn on the screen of which nothing is known, None without one; first that where the user is."""
        shown = [self._rows[self._index], *self._rows[self._first : self._first + self._height()]]
        known = self._excerpts.keys() | self._asked
        return next((row.number for row in shown if row.number not in known), None)

    @property
    def _is_low(self) -> bool:
        return self._output.get_size().rows < _LOW

    def _height(self) -> int:
        others = 2 if self._is_low else _DETAILS + 4
        return max(1, min(len(self._all), self._output.get_size().rows - others))

    def _line(self, row: TreeRow, width: int) -> str:
        begin = f"{'*' if row.current else ' '} {row.number:>{self._number_width}}  "
        room = max(width - len(begin), 1)
        limit = min(self._widest, max(int(room * _QUESTION_SHARE), 1))
        question = _question(row, note=False)
        note = HERE if row.here and limit >= len(HERE) + min(display_width(question), _SHORTEST) else ""
        question = truncate(question, limit - len(note)) + note
        answer = room - limit - 2
        if row.number not in self._excerpts or answer < len("..."):
            return begin + question
        text = sanitize_line(one_line(self._excerpts[row.number].answer[: 4 * answer]))
        return f"{begin}{question}{' ' * (limit - display_width(question))}  {truncate(text, answer)}".rstrip()

    def _details(self) -> StyleAndTextTuples:
        row, width = self._rows[self._index], self._output.get_size().columns - 1
        excerpt = self._excerpts.get(row.number, Excerpt(row.title, ""))
        lines = []
        for mark, text in (("> ", excerpt.question), ("  ", excerpt.answer)):
            begun = sanitize_line(one_line(text))
            first = _fitting(begun, width - 2)
            lines += [f"{mark}{first}", f"  {truncate(begun[len(first) :].strip(), width - 2)}"]
        return [("", "\n".join(lines))]

    def _keys(self) -> KeyBindings:
        keys = super()._keys()
        keys.add("enter", eager=True)(lambda _: self._go())
        keys.add("s", eager=True)(lambda _: self._app.exit(result=f"/tree {SUMMARY} {self._rows[self._index].number}"))
        keys.add("q", eager=True)(lambda _: self.leave())
        keys.add("home", eager=True)(lambda _: self._move(-len(self._rows)))
        keys.add("end", eager=True)(lambda _: self._move(len(self._rows)))
        keys.add("left", eager=True)(lambda _: self._to_fork(-1))
        keys.add("right", eager=True)(lambda _: self._to_fork(1))
        return keys

    def _go(self) -> None:
        row = self._rows[self._index]
        self._app.exit(result="" if row.here else f"/rewind {row.number}")

    def _to_fork(self, step: int) -> None:
        """Go to the next turn that several follow, in this direction, or to the last row there."""
        index = self._index + step
        while 0 < index < len(self._rows) - 1 and not self._rows[index].forks:
            index += step
        self._index = max(0, min(index, len(self._rows) - 1))


def _question(row: TreeRow, *, note: bool = True) -> str:
    indent = "│ " * (row.depth - 1) + "├ " if row.begins else "│ " * row.depth
    return f"{indent}{sanitize_line(row.title)}{HERE if note and row.here else ''}"


def _fitting(text: str, width: int) -> str:
    """Return the beginning of `text` that fits into `width` columns, up to a space if there is one."""
    if display_width(text) <= width:
        return text
    begun = text[:width]
    while display_width(begun) > width:
        begun = begun[:-1]
    return begun[: begun.rfind(" ")] if " " in begun else begun
