"""What a turn shows while it runs: the waiting indicator, the reasoning, tool calls and progress."""

import asyncio
import time
from collections.abc import Callable

from rich.progress_bar import ProgressBar
from rich.segment import Segment
from rich.style import Style
from rich.table import Table
from rich.text import Text

from chatcli.events import Progress, ToolCallFinished, ToolCallStarted
from chatcli.rendering import theme
from chatcli.rendering.plain import OpenCalls, format_amount
from chatcli.rendering.terminal.answer import Repaint
from chatcli.rendering.terminal.painter import Tail
from chatcli.rendering.theme import Line, Run, fold, wrap
from chatcli.sanitize import Sanitizer, sanitize_line
from chatcli.text import FRAMES, START_INTERVAL, starting_text

DELAY = 0.3
"""Seconds until the waiting indicator appears; a faster answer needs none."""
PAUSE = 1.0
"""Seconds without a piece of an answer that has begun, until the indicator appears again."""
INTERVAL = 0.1
"""Seconds from one drawing to the next."""
_REASONING_LINES = 3
_REASONING_KEPT = 4096  # characters; more than these lines hold on any screen


class Waiting:
    """Shows below the answer what is running and for how long; hidden while pieces of the answer arrive.

    It uses the running asyncio loop; without a loop it shows nothing.
    """

    def __init__(self, tail: Tail, clock: Callable[[], float]) -> None:
        self._tail = tail
        self._clock = clock
        self._what = ""
        self._started = 0.0
        self._due = 0.0
        self._frame = 0
        self._interval = INTERVAL
        self._timer: asyncio.TimerHandle | None = None

    def start(self, what: str) -> None:
        """Show that the turn waits for `what`, a safe text: after a moment, at once if the indicator is visible."""
        visible = self._frame > 0
        self.stop()
        self._what, self._interval = what, INTERVAL
        self._started = self._clock()
        if visible:
            self._paint()
        else:
            self._arrange(DELAY)

    def rename(self, what: str) -> None:
        """Show from now on that the turn waits for `what`; the time goes on."""
        if self._timer is None:
            self.start(what)
        self._what = what

    def start_program(self, seconds: float) -> None:
        """Show that the program is starting, for `seconds` now."""
        self.stop()
        self._what, self._interval = "", START_INTERVAL
        self._started = self._clock() - seconds
        self._paint()

    def delay(self, what: str) -> None:
        """Remove the indicator, since a piece arrived; show it again, with `what`, after a pause without pieces."""
        self._what = what
        self._erase()
        self._due = self._clock() + PAUSE

    def stop(self) -> None:
        """Remove the indicator."""
        if self._timer:
            self._timer.cancel()
            self._timer = None
        self._due = 0.0
        self._erase()

    def _erase(self) -> None:
        if self._frame:
            self._frame = 0
            self._tail.show_status(None)

    def _arrange(self, delay: float) -> None:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return
        self._timer = loop.call_later(delay, self._paint)

    def _paint(self) -> None:
        now = self._clock()
        if now < self._due:
            self._arrange(self._due - now)
            return
        sign, seconds = FRAMES[self._frame % len(FRAMES)], now - self._started
        self._frame += 1
        text = f"{sign} {f'{self._what} {seconds:.0f} s (Ctrl-C stops)' if self._what else starting_text(seconds)}"
        self._tail.show_status(fold((Run(text, theme.DIM),), max(self._tail.width - 1, 1))[0])
        self._arrange(self._interval)


class Reasoning:
    """Shows the last lines of the model's reasoning, dimmed; `finish` replaces them with one line."""

    def __init__(self, tail: Tail, clock: Callable[[], float]) -> None:
        self._tail = tail
        self._clock = clock
        self._sanitizer = Sanitizer()
        self._text = ""
        self._started = 0.0
        self._repaint = Repaint(self._paint)

    def feed(self, text: str) -> None:
        """Show the next piece; untrusted text."""
        if not self._text:
            self._started = self._clock()
        self._text = (self._text + self._sanitizer.feed(text))[-_REASONING_KEPT:]
        self._repaint.request()

    def finish(self) -> None:
        """Leave one line with the time that the reasoning took, if there was any."""
        self._repaint.cancel()
        if self._text:
            self._text = ""
            self._sanitizer = Sanitizer()
            seconds = self._clock() - self._started
            self._tail.update([(Run(f"thought for {seconds:.1f} s", theme.DIM),)], 1)

    def _paint(self) -> None:
        # One line less than the screen's height, so that all of them can be removed later.
        count = min(_REASONING_LINES, self._tail.height - 1)
        texts = filter(str.strip, self._text.expandtabs(4).split("\n"))
        lines = [part for text in texts for part in wrap((Run(text, theme.DIM),), self._tail.width)]
        self._tail.update(lines[-count:] if count > 0 else [])


class ToolLines:
    """Shows each tool call as one line in the tail: the call, and then its result; a finished line stays."""

    def __init__(self, tail: Tail) -> None:
        self._tail = tail
        self._calls = OpenCalls()

    @property
    def open(self) -> bool:
        """Whether a call is running."""
        return bool(self._calls.lines)

    def start(self, event: ToolCallStarted) -> None:
        """Show that a call has begun."""
        self._calls.start(event)
        self._paint([])

    def finish(self, event: ToolCallFinished) -> None:
        """Show the result of a call."""
        self._paint([self._calls.finish(event)])

    def drop(self, call_id: str) -> None:
        """Remove the line of a call, if it has one."""
        if self._calls.drop(call_id):
            self._paint([])

    def end(self, note: str) -> None:
        """Leave the lines of the running calls on the screen, each followed by `note`; remove them without one."""
        if self.open:
            lines = self._calls.clear()
            self._paint([f"{line} {note}" for line in lines] if note else [])

    def _paint(self, finished: list[str]) -> None:
        done = [line for text in finished for line in self._line(text)]
        # No more than fit on the screen, so that all of them can be removed later.
        running = [self._line(f"{text} …")[0] for text in self._calls.lines][: max(self._tail.height - 2, 0)]
        self._tail.update([*done, *running], len(done))

    def _line(self, text: str) -> list[Line]:
        return fold((Run(text, theme.DIM),), max(self._tail.width - 1, 1))


class ProgressLine:
    """Shows the latest `Progress` as one line in the tail of the screen, until the work is done."""

    def __init__(self, tail: Tail, clock: Callable[[], float] = time.monotonic) -> None:
        self._tail = tail
        self._clock = clock
        self._label: str | None = None
        self._started = 0.0
        self._drawn = 0.0

    def update(self, event: Progress) -> None:
        """Draw `event`, or remove the line when the work is done."""
        if event.finished:
            self.erase()
            return
        now = self._clock()
        if event.label != self._label:
            self.erase()
            self._label = event.label
            self._started = now
        elif now - self._drawn < INTERVAL:
            return
        self._drawn = now
        console = self._tail.console
        options = console.options.update(width=max(self._tail.width - 1, 1), no_wrap=True)
        (segments, *_) = console.render_lines(self._line(event, now - self._started), options, pad=False)
        self._tail.update([tuple(Run(text, style or Style()) for text, style, _ in Segment.simplify(segments) if text)])

    def erase(self) -> None:
        """Remove the line, if there is one."""
        if self._label is not None:
            self._label = None
            self._tail.update([])

    def _line(self, event: Progress, elapsed: float) -> Table | Text:
        label = sanitize_line(event.label)
        if not event.unit:
            return Text(f"{label}...", style="dim", overflow="ellipsis")
        if not event.total:
            return Text(f"{label}  {format_amount(event.done, event.unit)}", style="dim", overflow="ellipsis")
        # One column is left free, since some terminals wrap a line that fills the last column.
        line = Table.grid(padding=(0, 1), expand=True)
        line.width = self._tail.width - 1
        line.add_column(no_wrap=True, overflow="ellipsis")
        line.add_column(ratio=1)
        line.add_column(no_wrap=True)
        amounts = [format_amount(amount, event.unit) for amount in (event.done, event.total)]
        state = f"{100 * event.done // event.total:3} %  {' of '.join(amounts)}"
        if elapsed >= 1 and event.done:  # else it is too early for an estimate
            minutes, seconds = divmod(round(elapsed / event.done * (event.total - event.done)), 60)
            state += f"  {minutes}:{seconds:02} left"
        line.add_row(Text(label), ProgressBar(total=event.total, completed=event.done), Text(state))
        return line
