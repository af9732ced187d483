"""Rich output on a terminal: Markdown as it streams, and everything around it."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import singledispatchmethod

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.style import Style
from rich.table import Table
from rich.text import Text

from chatcli import events
from chatcli.message import SPEAKERS, MessageShown
from chatcli.rendering.plain import ProgressLines, error_lines, short_name
from chatcli.rendering.terminal.activity import ProgressLine, Reasoning, ToolLines, Waiting
from chatcli.rendering.terminal.answer import Answer, MarkdownAnswer, PipedMarkdown, PlainAnswer, TextLines
from chatcli.rendering.terminal.clipboard import fill_clipboard
from chatcli.rendering.terminal.painter import Tail, draft_lines
from chatcli.rendering.theme import TERMINAL, Theme, find_theme
from chatcli.rendering.tool_calls import OpenCalls, request_lines
from chatcli.sanitize import Sanitizer, sanitize, sanitize_line

_NOTICE_STYLES = {"info": "dim", "warning": "yellow", "error": "red"}
_PROMPT = "> "
_MATCH = "not dim bold yellow"
_BELOW = (events.DraftChanged, events.ScreenLeft, events.ScreenTaken)  # they do not change the answer area
_PIECES = (events.TextDelta, events.ReasoningDelta)
_RESET = "\x1b[?2026l\x1b[?7h\x1b[?25h\x1b[0m"


class TerminalRenderer:
    """Shows events on a terminal.

    Args:
        console: The terminal of answers, listings and past messages.
        err_console: Of notices, progress and errors; often the same terminal.
        markdown: Whether answers are rendered; otherwise they are written as they come.
        quiet: Answers only; errors are still shown.
        theme: The colours.
        movable: Whether lines can be drawn again; None for what `console` says.
        clock: Seconds that only go forward.

    """

    def __init__(
        self,
        console: Console,
        err_console: Console,
        *,
        markdown: bool = True,
        quiet: bool = False,
        theme: Theme = TERMINAL,
        movable: bool | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._markdown = markdown
        self._theme = theme
        self._console = console
        self._err = err_console
        self._quiet = quiet
        self._movable = movable if movable is not None else console.is_terminal and not console.is_dumb_terminal
        self._sanitizer = Sanitizer()
        self._model = ""
        self._answer: Answer | None = None
        self._tail = Tail(console, theme)
        self._waiting = Waiting(self._tail, clock)
        self._reasoning = Reasoning(self._tail, clock)
        self._progress_line = ProgressLine(self._tail, clock)
        self._progress_lines = ProgressLines()
        self._tool_lines = ToolLines(self._tail)
        self._calls = OpenCalls()
        """The calls whose lines are not shown while they run."""
        self._answered = False
        self._node = ""

    def render(self, event: events.Event) -> None:
        """Show `event`."""
        if not isinstance(event, (*_BELOW, events.Progress)):
            self._progress_line.erase()
        if isinstance(event, _PIECES):
            self._waiting.delay(f"{self._model} is answering")
        elif not isinstance(event, (*_BELOW, events.Notice)):
            self._waiting.stop()
        self._show(event)

    def close(self) -> None:
        """Keep the text that has arrived, and restore the terminal."""
        self._waiting.stop()
        self._progress_line.erase()
        try:
            self._end_answer("")
        finally:
            if self._movable:
                self._console.file.write(_RESET)
                self._console.file.flush()

    @singledispatchmethod
    def _show(self, event: events.Event) -> None:
        """Show nothing: events of other kinds are not visible."""

    @_show.register
    def _(self, event: events.TurnStarted) -> None:
        self._sanitizer = Sanitizer()
        self._model = short_name(event.model)
        self._wait(f"waiting for {self._model}")

    @_show.register
    def _(self, event: events.TextDelta) -> None:
        if event.node != self._node and self._answered:
            self._end_answer("")
            self._print_note(f"[{sanitize_line(event.node)}]", "dim")
        self._node = event.node
        text = self._sanitizer.feed(event.text)
        if text:
            self._tool_lines.end("")
            self._open_answer().feed(text)

    @_show.register
    def _(self, event: events.ReasoningDelta) -> None:
        if self._quiet or self._answer or not self._lively:
            return  # it could not be removed again, or would stand inside the answer
        self._reasoning.feed(event.text)

    @_show.register
    def _(self, event: events.ToolCallStarted) -> None:
        if self._lively and not self._quiet:
            self._end_answer("")
            self._tool_lines.start(event)
        else:
            self._calls.start(event)

    @_show.register
    def _(self, event: events.ToolCallFinished) -> None:
        if self._lively and not self._quiet and not self._answer:
            self._reasoning.finish()
            self._tool_lines.finish(event)
        elif not self._quiet:
            with self._aside():
                self._print_note(self._calls.finish(event), "dim")
        if not self._tool_lines.open:
            self._wait("waiting for the model")

    @_show.register
    def _(self, event: events.ApprovalRequested) -> None:
        self._end_answer("")
        self._end_calls("waits")
        for line in request_lines(event):
            self._print_note(line, "bold")

    @_show.register
    def _(self, event: events.TurnFinished) -> None:
        self._end_turn(event.content, "has no result")
        usage = event.usage
        if usage.total_tokens and not self._quiet:
            price = "" if event.cost_usd is None else f", ${event.cost_usd:.4f}"
            counts = f"{usage.input_tokens} tokens in, {usage.output_tokens} out"
            self._print_note(f"{counts}, {event.elapsed_ms / 1000:.1f} s{price}", "dim")

    @_show.register
    def _(self, event: events.TurnInterrupted) -> None:
        self._end_turn(event.content, "was interrupted")
        self._print_note("[interrupted]", "dim")

    @_show.register
    def _(self, event: events.TurnFailed) -> None:
        self._end_turn(event.content, "was interrupted")
        message, *remedy = error_lines(event.error)
        self._print_note(message, "red")
        for line in remedy:
            self._print_note(line, "")

    @_show.register
    def _(self, event: events.Notice) -> None:
        if not self._quiet or event.level == "error":
            with self._aside():
                self._print_note(sanitize(event.text), _NOTICE_STYLES[event.level])

    @_show.register
    def _(self, event: events.Progress) -> None:
        if self._quiet:
            return
        if self._err.is_terminal and self._lively and not self._answer:
            self._reasoning.finish()
            self._progress_line.update(event)
            if event.finished:
                self._wait("waiting for the model")
        elif line := self._progress_lines.line(event):
            with self._aside():
                self._print_note(line, "dim")

    @_show.register
    def _(self, event: events.Listing) -> None:
        with self._aside():
            self._console.print(_table(event))

    @_show.register
    def _(self, event: MessageShown) -> None:
        with self._aside():
            self._message(event)

    @_show.register
    def _(self, event: events.MatchShown) -> None:
        snippet = Text(f"{event.role}: ", style="dim")
        for text, matching in event.parts:
            # Piece by piece, and on one line: a sequence can't reach over a mark.
            snippet.append(" ".join(sanitize(text).split("\n")), style=_MATCH if matching else "not dim")
        with self._aside():
            head = Text(sanitize_line(event.thread_id), style="bold") + Text(f"  {sanitize_line(event.title)}")
            self._console.print(head)
            self._console.print(snippet)
            self._console.print()

    @_show.register
    def _(self, event: events.ThreadChanged) -> None:
        with self._aside():
            for message in event.messages:
                self._message(message)
            if not self._quiet:
                self._print_note(f"thread {sanitize_line(event.thread_id)}", "dim")

    @_show.register
    def _(self, event: events.ScreenCleared) -> None:
        with self._aside():
            self._console.clear()

    @_show.register
    def _(self, event: events.DraftChanged) -> None:
        if self._lively:
            self._tail.show_draft(draft_lines(event.texts, self._console.width, self._console.height))

    @_show.register
    def _(self, event: events.ScreenLeft) -> None:
        self._make_room()

    @_show.register
    def _(self, event: events.ScreenTaken) -> None:
        self._go_on()

    @_show.register
    def _(self, event: events.ShellOutput) -> None:
        if self._answer is None:
            self._answer = TextLines(self._tail) if self._lively else PlainAnswer(self._console)
        self._answer.feed(self._sanitizer.feed(event.text))

    @_show.register
    def _(self, event: events.ShellFinished) -> None:
        self._end_answer("")
        if event.exit_code:
            self._print_note(f"[exit code {event.exit_code}]", "dim")

    @_show.register
    def _(self, event: events.ClipboardFilled) -> None:
        fill_clipboard(sanitize(event.text), self._console.file)
        self._print_note(f"copied {event.what}", "dim")

    @_show.register
    def _(self, event: events.PlainToggled) -> None:
        self._markdown = not self._markdown
        self._print_note("Markdown is rendered" if self._markdown else "Markdown is shown as it is written", "dim")

    @_show.register
    def _(self, event: events.ThemeChosen) -> None:
        self._theme = find_theme(event.name)
        self._tail.use(self._theme)

    @property
    def _lively(self) -> bool:
        """Whether lines may be shown that are removed later."""
        return self._markdown and self._movable

    def _wait(self, what: str) -> None:
        if self._lively and not self._quiet:
            self._waiting.start(what)

    def _message(self, event: MessageShown) -> None:
        text = sanitize(event.text)
        if event.role == "user":
            glyph = Text(_PROMPT, style=self._theme.resolve(Style(bold=True, color="cyan")))
            self._print(glyph + Text(text, style="bold"))
        elif event.role != "assistant":
            name = "" if event.role == "tool" else f"{SPEAKERS.get(event.role, sanitize_line(event.role))}: "
            self._print(Text(f"{name}{text}", style=self._theme.resolve(Style(dim=True))))
        else:
            answer = self._new_answer()
            answer.feed(text)
            answer.finish()
        if event.interrupted:
            self._print(Text("[interrupted]", style=self._theme.resolve(Style(dim=True))))
        self._print(Text())

    def _new_answer(self) -> Answer:
        if not self._markdown:
            return PlainAnswer(self._console)
        return MarkdownAnswer(self._tail) if self._movable else PipedMarkdown(self._console, self._theme)

    def _open_answer(self) -> Answer:
        if self._answer is None:
            self._reasoning.finish()
            self._answer = self._new_answer()
            self._answered = True
        return self._answer

    def _end_answer(self, content: str) -> None:
        """Finish the open answer; show `content` if none of it came as deltas."""
        rest = self._sanitizer.flush()
        if rest or (content and not self._answered):
            self._open_answer().feed(rest or sanitize(content))
        self._reasoning.finish()
        if self._answer:
            answer, self._answer = self._answer, None
            answer.finish()

    def _end_turn(self, content: str, note: str) -> None:
        self._end_calls(note)
        self._end_answer(content)
        self._answered, self._node = False, ""

    def _end_calls(self, note: str) -> None:
        self._tool_lines.end(note)
        for line in self._calls.clear():
            if not self._quiet:
                self._print_note(f"{line} {note}", "dim")

    @contextmanager
    def _aside(self) -> Iterator[None]:
        """Make room for other lines, and continue the answer below them."""
        self._reasoning.finish()
        self._make_room()
        yield
        self._go_on()

    def _make_room(self) -> None:
        if self._answer:
            self._answer.suspend()
        if self._movable:
            self._tail.clear()

    def _go_on(self) -> None:
        if self._movable:
            self._tail.restore()
        if self._answer:
            self._answer.resume()

    def _print(self, text: Text) -> None:
        self._make_room()
        self._console.print(text)

    def _print_note(self, text: str, style: str) -> None:
        self._make_room()
        self._err.print(Text(text, style=self._theme.resolve(Style.parse(style))))
        self._go_on()


def _table(listing: events.Listing) -> Table:
    """Return `listing` as a table; text in brackets is not markup."""
    title = Text(sanitize_line(listing.title), style="bold") if listing.title else None
    table = Table(box=SIMPLE_HEAD, title=title, title_justify="left", pad_edge=False)
    for column in listing.columns:
        table.add_column(Text(sanitize_line(column)), overflow="fold")
    for row in listing.rows:
        table.add_row(*(Text(sanitize_line(cell)) for cell in row))
    return table
