"""Tool calls on a terminal: each is one line, which says at first what is called and then what came of it."""

from chatcli.events import ToolCallFinished, ToolCallStarted
from chatcli.rendering import theme
from chatcli.rendering.lines import Line, Run, fold
from chatcli.rendering.terminal.tail import Tail
from chatcli.rendering.tool_calls import OpenCalls


class ToolLines:
    """Shows in the tail the calls that run; a line that is finished stays."""

    def __init__(self, tail: Tail) -> None:
        self._tail = tail
        self._calls = OpenCalls()

    @property
    def open(self) -> bool:
        """Whether a call runs."""
        return bool(self._calls.lines)

    def start(self, event: ToolCallStarted) -> None:
        """Show that a call has begun."""
        self._calls.start(event)
        self._paint([])

    def finish(self, event: ToolCallFinished) -> None:
        """Show what came of a call."""
        self._paint([self._calls.finish(event)])

    def end(self, note: str) -> None:
        """Leave the calls that run as they are, with `note` behind each."""
        if self.open:
            self._paint([f"{line} {note}" for line in self._calls.clear()])

    def _paint(self, finished: list[str]) -> None:
        done = [line for text in finished for line in self._line(text)]
        # As many as the screen has room for: all of them can be taken away again.
        running = [self._line(f"{text} …")[0] for text in self._calls.lines][: max(self._tail.height - 2, 0)]
        self._tail.update([*done, *running], len(done))

    def _line(self, text: str) -> list[Line]:
        return fold((Run(text, theme.DIM),), max(self._tail.width - 1, 1))
