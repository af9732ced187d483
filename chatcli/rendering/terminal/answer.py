"""Show the answer of a turn while it arrives."""

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

from rich.console import Console

from chatcli.rendering.images import IMAGE, DataImages, Pictures
from chatcli.rendering.markdown.stream import MarkdownStream
from chatcli.rendering.terminal.painter import Encoder, Tail
from chatcli.rendering.theme import CODE_THEME, PLAIN, Continued, Line, Run, Theme, fold, join, width_of

INTERVAL = 0.035
"""Seconds from the end of a repaint to the next. With it, at most 30 writes happen in a second, including the last."""
ANSWER_INTERVAL = 0.012
"""The same for an answer, which is what the user reads. Pieces without markup need no repaint."""
SETTLE = 0.15
"""Seconds after a piece was added without a repaint, until one corrects what it changes besides: colours of code."""
COST_FACTOR = 9
"""The pause after a repaint, as a multiple of the time that the repaint took."""


class AnswerView(ABC):
    """Shows one answer, from its first piece to its end."""

    @abstractmethod
    def feed(self, text: str) -> None:
        """Show the next piece of the answer, which has no control characters except newline and tab."""

    def suspend(self) -> None:  # noqa: B027 - optional: the tail removes the open line of TextLines
        """Make room for other output: the cursor goes to the start of an empty line."""

    def resume(self) -> None:  # noqa: B027 - likewise
        """Continue after other output, which has ended its last line."""

    @abstractmethod
    def finish(self) -> None:
        """Show the rest, and end the line."""


class PlainAnswer(AnswerView):
    """Writes the answer as it arrives, without moving the cursor."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._line_open = False

    def feed(self, text: str) -> None:
        """Write `text`."""
        if text:
            self._line_open = not text.endswith("\n")
            self._console.file.write(text)
            self._console.file.flush()

    def suspend(self) -> None:
        """End the line, if one is open."""
        if self._line_open:
            self.feed("\n")

    finish = suspend


class Repaint:
    """Decides when to paint: at once after a pause, otherwise `interval` seconds after the end of the last repaint.

    A delayed repaint is a callback of the running asyncio loop, not a thread. Without a loop it happens
    with the next piece or at the end. After slow repaints the pause is longer, so that painting takes at
    most a tenth of the time. A single slow one, such as the first that colours code, delays nothing.
    """

    def __init__(
        self, paint: Callable[[], None], clock: Callable[[], float] = time.monotonic, interval: float | None = None
    ) -> None:
        self._paint = paint
        self._clock = clock
        self._interval = interval
        self._due = 0.0  # the earliest time of the next repaint
        self._cost = 0.0  # seconds that the last repaint took
        self._planned = 0.0  # the time of the delayed repaint
        self._timer: asyncio.TimerHandle | None = None

    def request(self, delay: float = 0.0) -> None:
        """Paint now or soon, but not before `delay` seconds; what is planned for an earlier time stays planned."""
        now = self._clock()
        planned = max(self._due, now + delay)
        if self._timer and self._planned <= planned:
            return
        self.cancel()
        wait = planned - now
        if wait <= 0:
            self._run()
            return
        self._planned = planned
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return
        self._timer = loop.call_later(wait, self._run)

    def cancel(self) -> None:
        """Cancel a delayed repaint."""
        if self._timer:
            self._timer.cancel()
            self._timer = None

    def _run(self) -> None:
        self._timer = None
        started = self._clock()
        self._paint()
        now = self._clock()
        interval = INTERVAL if self._interval is None else self._interval
        before, self._cost = self._cost, now - started
        self._due = now + max(interval, COST_FACTOR * min(before, self._cost))


class MarkdownAnswer(AnswerView):
    """Renders the Markdown of an answer while it arrives: each finished block once, the open end repeatedly.

    A piece that only makes the last line longer is added to it at once, without rendering the open end.
    """

    def __init__(
        self,
        tail: Tail,
        clock: Callable[[], float] = time.monotonic,
        pictures: Pictures | None = None,
        code_theme: str = CODE_THEME,
    ) -> None:
        self._tail = tail
        self._pictures = pictures
        self._stream = MarkdownStream(code_theme)
        self._images = DataImages(self._begins_code)
        self._repaint = Repaint(self._paint, clock, ANSWER_INTERVAL)
        self._open: list[Line] = []
        """The lines of the open end, if they show all that has arrived; else none."""
        self._width = 0

    def feed(self, text: str) -> None:
        """Add `text`, and paint now or soon."""
        if text := self._images.feed(text):
            self._stream.feed(text)
            if self._extend(text):
                self._repaint.request(SETTLE)
            else:
                self._open = []
                self._repaint.request()

    def _extend(self, text: str) -> bool:
        """Add `text` to the last line; return whether that is all that it changes, apart from colours."""
        addition = self._stream.extension(text) if self._open and self._tail.width == self._width else None
        if addition is None or not self._open[-1]:
            return False
        # The colours of code are not known yet.
        style = PLAIN if self._stream.in_code else self._open[-1][-1].style
        line = join([*self._open[-1], Run(addition, style)])
        if isinstance(self._open[-1], Continued):
            line = Continued(line)
        if width_of(line) >= self._width:
            return False
        if addition:
            self._open[-1] = line
            self._tail.update(self._open)
        return True

    def suspend(self) -> None:
        """Stop painting until `resume`; the caller clears the tail."""
        self._open = []
        self._repaint.cancel()

    def resume(self) -> None:
        """Continue painting."""
        self._repaint.request()

    def finish(self) -> None:
        """Paint the rest, which is final now."""
        self._repaint.cancel()
        self._stream.feed(self._images.flush())
        self._show(self._stream.finish(self._tail.width, self._tail.height), [])

    def _paint(self) -> None:
        finished, rest = self._stream.advance(self._tail.width, self._tail.height)
        self._open, self._width = rest, self._tail.width
        self._show(finished, rest)

    def _show(self, finished: list[Line], rest: list[Line]) -> None:
        """Show the lines, each image below the finished line in which its name ends."""
        if self._pictures is not None and self._pictures.protocol:
            start = 0
            for end, data in self._named_images(finished):
                self._tail.update(finished[start:end], end - start)
                self._tail.clear()
                self._pictures.draw(data)
                start = end
            finished = finished[start:]
        self._tail.update([*finished, *rest], len(finished))

    def _named_images(self, lines: Sequence[Line]) -> list[tuple[int, bytes]]:
        """Return the images that `lines` name and that are here, with how many lines stand above each."""
        assert self._pictures is not None
        found: dict[str, int] = {}
        for index, line in enumerate(lines):
            for address in [run.style.meta.get(IMAGE) for run in line if run.style.meta]:
                found[str(address)] = index + 1
        known = self._images.found
        images = [(end, known.get(address) or self._pictures.attached(address)) for address, end in found.items()]
        return [(end, data) for end, data in images if data]

    def _begins_code(self, text: str) -> bool:
        """Add `text`, and return whether a block of code is open after it."""
        self._stream.feed(text)
        self._paint()
        return self._stream.in_code


class TextLines(AnswerView):
    """Shows text as it arrives, without Markdown, in the tail of the screen."""

    def __init__(self, tail: Tail) -> None:
        self._tail = tail
        self._partial = ""

    def feed(self, text: str) -> None:
        """Show the next piece of the text."""
        *complete, self._partial = (self._partial + text).split("\n")
        finished = self._rows(complete)
        self._tail.update([*finished, *(self._rows([self._partial]) if self._partial else [])], len(finished))

    def finish(self) -> None:
        """End the line, if one is open."""
        if self._partial:
            self.feed("\n")

    def _rows(self, texts: Sequence[str]) -> list[Line]:
        lines = ((Run(text.expandtabs(8), PLAIN),) for text in texts)
        return [row for line in lines for row in fold(line, self._tail.width, copied_whole=True)]


class PipedMarkdown(AnswerView):
    """Renders the Markdown of an answer where lines can't be drawn again: each block is written when it is finished."""

    def __init__(self, console: Console, theme: Theme, code_theme: str = CODE_THEME) -> None:
        self._console = console
        self._encoder = Encoder(console, theme)
        self._stream = MarkdownStream(code_theme)
        self._images = DataImages(self._begins_code)

    def feed(self, text: str) -> None:
        """Add `text`, and write the blocks that are finished."""
        self._begins_code(self._images.feed(text))

    def finish(self) -> None:
        """Write what is left."""
        self._stream.feed(self._images.flush())
        self._write(self._stream.finish(self._console.width, self._console.height))

    def _begins_code(self, text: str) -> bool:
        self._stream.feed(text)
        self._write(self._stream.advance(self._console.width, self._console.height)[0])
        return self._stream.in_code

    def _write(self, lines: Sequence[Line]) -> None:
        self._console.file.writelines(f"{self._encoder.encode(line)}\n" for line in lines)
        self._console.file.flush()
