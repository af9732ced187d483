"""Progress on a terminal: one line that changes, and goes when the work is done."""

import time
from collections.abc import Callable

from rich.progress_bar import ProgressBar
from rich.segment import Segment
from rich.style import Style
from rich.table import Table
from rich.text import Text

from chatcli.events import Progress, size
from chatcli.rendering.lines import Line, Run
from chatcli.rendering.terminal.tail import Tail
from chatcli.sanitize import sanitize_line

_INTERVAL = 0.1  # seconds between two drawings of one label


class ProgressLine:
    """Shows the `Progress` that came last in the tail of the screen."""

    def __init__(self, tail: Tail, clock: Callable[[], float] = time.monotonic) -> None:
        self._tail = tail
        self._clock = clock
        self._label: str | None = None
        self._started = 0.0
        self._drawn = 0.0

    def update(self, event: Progress) -> None:
        """Draw `event`, or erase the line when the work is done."""
        if event.finished:
            self.erase()
            return
        now = self._clock()
        if event.label != self._label:
            self.erase()
            self._label = event.label
            self._started = now
        elif now - self._drawn < _INTERVAL:
            return
        self._drawn = now
        self._tail.update([self._drawn_line(event, now - self._started)])

    def erase(self) -> None:
        """Take the line away, if there is one."""
        if self._label is not None:
            self._label = None
            self._tail.update([])

    def _drawn_line(self, event: Progress, elapsed: float) -> Line:
        console = self._tail.console
        options = console.options.update(width=max(self._tail.width - 1, 1), no_wrap=True)
        (segments, *_) = console.render_lines(self._line(event, elapsed), options, pad=False)
        return tuple(Run(text, style or Style()) for text, style, _ in Segment.simplify(segments) if text)

    def _line(self, event: Progress, elapsed: float) -> Table | Text:
        label = sanitize_line(event.label)
        if event.unit != "bytes":
            return Text(f"{label}...", style="dim", overflow="ellipsis")
        if not event.total:
            return Text(f"{label}  {size(event.done)}", style="dim", overflow="ellipsis")
        # One column less than the screen: a full last column would make some terminals wrap.
        line = Table.grid(padding=(0, 1), expand=True)
        line.width = self._tail.width - 1
        line.add_column(no_wrap=True, overflow="ellipsis")
        line.add_column(ratio=1)
        line.add_column(no_wrap=True)
        fraction = f"{100 * event.done // event.total:3} %  {size(event.done)} of {size(event.total)}"
        bar = ProgressBar(total=event.total, completed=event.done)
        line.add_row(Text(label), bar, Text(f"{fraction}  {_time_left(event, elapsed)}".rstrip()))
        return line


def _time_left(event: Progress, elapsed: float) -> str:
    if elapsed < 1 or not event.done:
        return ""  # too early to tell
    minutes, seconds = divmod(round(elapsed / event.done * (event.total - event.done)), 60)
    return f"{minutes}:{seconds:02} left"
