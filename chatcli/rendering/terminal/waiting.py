"""The sign of life of a turn from which nothing comes just now."""

import asyncio
from collections.abc import Callable

from chatcli.rendering import theme
from chatcli.rendering.lines import Run, fold
from chatcli.rendering.terminal.tail import Tail

DELAY = 0.3  # seconds: what is answered faster needs no indicator
PAUSE = 1.0  # seconds without a piece of an answer that is on its way
INTERVAL = 0.1  # seconds between two frames
_FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"


class Waiting:
    """Tells below what is shown what is running, and for how long, until `stop`; not while its pieces come.

    It is driven by the running asyncio loop; without one nothing is shown.
    """

    def __init__(self, tail: Tail, clock: Callable[[], float]) -> None:
        self._tail = tail
        self._clock = clock
        self._what = ""
        self._started = 0.0
        self._due = 0.0
        self._frame = 0
        self._timer: asyncio.TimerHandle | None = None

    def start(self, what: str) -> None:
        """Tell from soon on that `what` is awaited: text without control characters."""
        self.stop()
        self._what = what
        self._started = self._clock()
        self._arrange(DELAY)

    def delay(self, what: str) -> None:
        """Take the indicator away: a piece of `what` came. Tell of it again when no other does for a while."""
        self._what = what
        self._erase()
        self._due = self._clock() + PAUSE

    def stop(self) -> None:
        """Take the indicator away."""
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
        sign = _FRAMES[self._frame % len(_FRAMES)]
        self._frame += 1
        text = f"{sign} {self._what} {now - self._started:.0f} s (Ctrl-C stops)"
        self._tail.show_status(fold((Run(text, theme.DIM),), max(self._tail.width - 1, 1))[0])
        self._arrange(INTERVAL)
