"""The model's reasoning on a terminal: its last lines while it thinks, one line afterwards."""

from collections.abc import Callable

from chatcli.rendering import theme
from chatcli.rendering.lines import Line, Run, wrap
from chatcli.rendering.terminal.answer import Repaint
from chatcli.rendering.terminal.tail import Tail
from chatcli.sanitize import Sanitizer

_LINES = 3
_KEPT = 4096  # characters: more than a few lines on any screen


class Reasoning:
    """Shows the last lines of the reasoning, dimmed, until `finish` folds them into one."""

    def __init__(self, tail: Tail, clock: Callable[[], float]) -> None:
        self._tail = tail
        self._clock = clock
        self._sanitizer = Sanitizer()
        self._text = ""
        self._started = 0.0
        self._repaint = Repaint(self._paint)

    def feed(self, text: str) -> None:
        """Show another piece; untrusted text."""
        if not self._text:
            self._started = self._clock()
        self._text = (self._text + self._sanitizer.feed(text))[-_KEPT:]
        self._repaint.request()

    def finish(self) -> None:
        """Leave one line that says how long it took, if there was any."""
        self._repaint.cancel()
        if self._text:
            self._text = ""
            self._sanitizer = Sanitizer()
            seconds = self._clock() - self._started
            self._tail.update([(Run(f"thought for {seconds:.1f} s", theme.DIM),)], 1)

    def _paint(self) -> None:
        # One line less than the screen has, so that all of them can be taken away again.
        lines = min(_LINES, self._tail.height - 1)
        self._tail.update(_last_lines(self._text, lines, self._tail.width))


def _last_lines(text: str, count: int, width: int) -> list[Line]:
    lines = [
        part for line in text.split("\n") if line.strip() for part in wrap((Run(line.expandtabs(4), theme.DIM),), width)
    ]
    return lines[-count:] if count > 0 else []
