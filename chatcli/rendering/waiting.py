"""The sign of life between a question and the first piece of its answer."""

import asyncio
from collections.abc import Callable

from chatcli.rendering import theme
from chatcli.rendering.lines import Run, fold
from chatcli.rendering.tail import Tail

DELAY = 0.3  # seconds: what is answered faster needs no indicator
INTERVAL = 0.1  # seconds between two frames
_FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"


class Waiting:
    """Shows in the tail that something is awaited, and for how long, until `stop`.

    It is driven by the running asyncio loop; without one nothing is shown.
    """

    def __init__(self, tail: Tail, clock: Callable[[], float]) -> None:
        self._tail = tail
        self._clock = clock
        self._what = ""
        self._started = 0.0
        self._frame = 0
        self._timer: asyncio.TimerHandle | None = None

    def start(self, what: str) -> None:
        """Tell from soon on that `what` is awaited: text without control characters."""
        self.stop()
        self._what = what
        self._started = self._clock()
        self._frame = 0
        self._arrange(DELAY)

    def stop(self) -> None:
        """Take the indicator away."""
        if self._timer:
            self._timer.cancel()
            self._timer = None
            if self._frame:
                self._tail.update([])

    def _arrange(self, delay: float) -> None:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return
        self._timer = loop.call_later(delay, self._paint)

    def _paint(self) -> None:
        sign = _FRAMES[self._frame % len(_FRAMES)]
        self._frame += 1
        seconds = self._clock() - self._started
        text = f"{sign} {self._what} {seconds:.0f} s (Ctrl-C stops)"
        self._tail.update(fold((Run(text, theme.DIM),), max(self._tail.width - 1, 1))[:1])
        self._arrange(INTERVAL)
