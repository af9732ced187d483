"""Let the user go through the tree of a thread's branches."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress

from prompt_toolkit.filters import Condition, is_done
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.key_binding import KeyBindings
from prompt_toolkit.layout import ConditionalContainer, FormattedTextControl, HSplit, Layout, Window
from prompt_toolkit.layout.containers import VerticalAlign

from chatcli.commands.tree import HERE, SUMMARY
from chatcli.events import Said, TreeRow
from chatcli.repl.picker import RowList
from chatcli.repl.prompt import Prompt
from chatcli.sanitize import sanitize_line
from chatcli.text import display_width, one_line, truncate

DETAILS = 4
"""The lines below the tree about the turn that the user is at."""
_LOW = 12
"""A lower screen shows no details."""
_SHORTEST = 6
"""The fewest columns of a question that leave room for the note that the user is there."""
_QUESTION_SHARE = 0.55
"""The part of the width that questions get at most; the answers get the rest."""
_HELP = "arrows move, Enter goes there, s takes a branch over as a summary, Esc leaves"


class TreeWalk(RowList[TreeRow]):
    """The tree of `rows`, below it the turn that the user is at, with what is known to be said in it."""

    def __init__(self, prompt: Prompt, rows: Sequence[TreeRow]) -> None:
        super().__init__(prompt, rows, next((index for index, row in enumerate(rows) if row.here), len(rows) - 1))
        self._said: dict[int, Said] = {}
        self._number_width = len(str(max(row.number for row in rows)))
        self._widest = max(display_width(_question(row)) for row in rows)
        details = Window(FormattedTextControl(self._details), height=DETAILS)
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

    async def choose(self, read: Callable[[int], Awaitable[Mapping[int, Said]]]) -> str:
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

    async def _read(self, read: Callable[[int], Awaitable[Mapping[int, Said]]]) -> None:
        while True:
            await self._shown.wait()
            self._shown.clear()
            while (number := self._unknown()) is not None:
                self._asked.add(number)
                with suppress(Exception):  # what can't be read is not shown
                    self._said = {**await read(number), **self._said}
                    self._app.invalidate()

    def _unknown(self) -> int | None:
        """Return a turn on the screen of which nothing is known, None without one; first that where the user is."""
        shown = [self._rows[self._index], *self._rows[self._first : self._first + self._height()]]
        known = self._said.keys() | self._asked
        return next((row.number for row in shown if row.number not in known), None)

    @property
    def _is_low(self) -> bool:
        return self._output.get_size().rows < _LOW

    def _height(self) -> int:
        others = 2 if self._is_low else DETAILS + 4
        return max(1, min(len(self._all), self._output.get_size().rows - others))

    def _line(self, row: TreeRow, width: int) -> str:
        begin = f"{'*' if row.current else ' '} {row.number:>{self._number_width}}  "
        room = max(width - len(begin), 1)
        limit = min(self._widest, max(int(room * _QUESTION_SHARE), 1))
        question = _question(row, note=False)
        note = HERE if row.here and limit >= len(HERE) + min(display_width(question), _SHORTEST) else ""
        question = truncate(question, limit - len(note)) + note
        answer = room - limit - 2
        if row.number not in self._said or answer < len("..."):
            return begin + question
        text = sanitize_line(one_line(self._said[row.number].answer[: 4 * answer]))
        return f"{begin}{question}{' ' * (limit - display_width(question))}  {truncate(text, answer)}".rstrip()

    def _details(self) -> StyleAndTextTuples:
        row, width = self._rows[self._index], self._output.get_size().columns - 1
        said = self._said.get(row.number, Said(row.title, ""))
        lines = []
        for mark, text in (("> ", said.question), ("  ", said.answer)):
            begun = sanitize_line(one_line(text))
            first = _fitting(begun, width - 2)
            lines += [f"{mark}{first}", f"  {truncate(begun[len(first) :].strip(), width - 2)}"]
        return [("", "\n".join(lines))]

    def _keys(self) -> KeyBindings:
        keys = super()._keys()
        keys.add("enter", eager=True)(lambda _: self._go())
        keys.add("s", eager=True)(lambda _: self._exit(f"/tree {SUMMARY} {self._rows[self._index].number}"))
        keys.add("q", eager=True)(lambda _: self.leave())
        keys.add("home", eager=True)(lambda _: self._move(-len(self._rows)))
        keys.add("end", eager=True)(lambda _: self._move(len(self._rows)))
        keys.add("left", eager=True)(lambda _: self._to_fork(-1))
        keys.add("right", eager=True)(lambda _: self._to_fork(1))
        return keys

    def _go(self) -> None:
        row = self._rows[self._index]
        self._exit("" if row.here else f"/rewind {row.number}")

    def _exit(self, line: str) -> None:
        self._app.exit(result=line)

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
