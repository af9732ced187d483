"""Rich output on a terminal: Markdown as it streams, and everything around it."""

import base64
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from functools import singledispatchmethod
from pathlib import Path
from typing import IO

from rich.console import Console

from chatcli import events
from chatcli.message import MessageShown
from chatcli.rendering import display, plain
from chatcli.rendering.terminal.activity import ProgressLine, ToolLines, Waiting
from chatcli.rendering.terminal.screen import Screen
from chatcli.rendering.theme import CODE_THEME, TERMINAL, Theme
from chatcli.sanitize import Sanitizer, sanitize, sanitize_line

_NOTICE_STYLES = {"info": "dim", "warning": "yellow", "error": "red"}
# They do not change the answer area.
_INPUT_LINE = (display.DraftChanged, display.ScreenSuspended, display.ScreenResumed, display.AbilityReported)
_PIECES = (events.TextDelta, events.ReasoningDelta)
_END_DRAFT = (
    *(events.ToolCallStarted, events.ToolCallFinished, events.ApprovalRequested, events.TurnFinished),
    *(events.TurnInterrupted, events.TurnFailed),
)
_KEEPS_WAITING = (*_INPUT_LINE, events.Notice, events.ImageAttached, events.DocumentsFound, events.TurnStarted)
TIMEOUT = 2.0
"""The most seconds that a tool may take."""
_MACOS = "pbcopy"
_TOOLS = (
    ("", (_MACOS,)),
    ("WAYLAND_DISPLAY", ("wl-copy",)),
    ("DISPLAY", ("xclip", "-selection", "clipboard")),
    ("DISPLAY", ("xsel", "--clipboard", "--input")),
    ("", ("clip.exe",)),
)


class TerminalRenderer:
    """Shows events on a terminal: answers, listings and past messages on `console`, all else on `err_console`.

    The two are often the same. Without `markdown`, answers are written as they come. `movable` says whether lines can
    be drawn again, None to find out from `console`; `code_theme` is a style of Pygments; `clock` never goes back.
    """

    def __init__(
        self,
        console: Console,
        err_console: Console,
        *,
        markdown: bool = True,
        quiet: bool = False,
        theme: Theme = TERMINAL,
        code_theme: str = CODE_THEME,
        movable: bool | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if movable is None:
            movable = console.is_terminal and not console.is_dumb_terminal
        self._screen = Screen(
            console, err_console, theme, code_theme=code_theme, markdown=markdown, movable=movable, clock=clock
        )
        self._quiet = quiet
        self._sanitizer = Sanitizer()
        self._model = ""
        self._waiting = Waiting(self._screen.tail, clock)
        self._progress_line = ProgressLine(self._screen.tail, clock)
        self._progress_lines = plain.ProgressLines()
        self._tool_lines = ToolLines(self._screen.tail)
        self._calls = plain.OpenCalls()
        """The calls whose lines are not shown while they run."""
        self._answered = False
        self._waited: list[events.TurnFinished] = []
        """The turns of the open question that ended with a request to the user."""
        self._node = ""
        self._draft = ""
        """The open line of an intermediate text."""

    def render(self, event: events.Event) -> None:
        """Show `event`."""
        if not isinstance(event, (*_INPUT_LINE, events.Progress)):
            self._progress_line.erase()
        if isinstance(event, _PIECES):
            self._waiting.delay(f"{self._model} is answering")
        elif not (isinstance(event, _KEEPS_WAITING) or self._is_of_call(event)):
            self._waiting.stop()
        if isinstance(event, _END_DRAFT):
            self._end_draft()
        self._show(event)

    def close(self) -> None:
        """Keep the text that has arrived, and restore the terminal."""
        self._waiting.stop()
        self._end_draft()
        self._progress_line.erase()
        try:
            self._end_answer("")
        finally:
            self._screen.restore_terminal()

    @singledispatchmethod
    def _show(self, event: events.Event) -> None:
        """Show an event that no method below is for; some of these are not visible."""
        match event:
            case display.ScreenCleared():
                with self._screen.interleaved():
                    self._screen.console.clear()
            case display.ScreenSuspended():
                self._screen.suspend()
            case display.ScreenResumed():
                self._screen.resume()
            case display.ThemeChosen(name):
                self._screen.use_theme(name)
            case display.AbilityReported(ability):
                self._screen.use_ability(ability)
            case display.DraftChanged(texts) if self._screen.has_live_lines:
                self._screen.tail.show_draft(texts)
            case display.LinesShown(lines):
                self._screen.print_lines(lines)
            case display.ShellOutput(text):
                self._screen.open_text().feed(self._sanitizer.feed(text))

    @_show.register
    def _(self, event: events.TurnStarted) -> None:
        self._sanitizer = Sanitizer()
        self._model = plain.short_name(event.model)
        self._wait(f"waiting for {self._model}")

    @_show.register
    def _(self, event: events.TextDelta) -> None:
        if event.draft:
            self._show_draft(event)
            return
        self._end_draft()
        if event.node != self._node and self._answered:
            self._end_answer("")
            self._screen.print_note(f"[{sanitize_line(event.node)}]", "dim")
        self._node = event.node
        written = event.text if self._answered or not event.node else event.text.lstrip("\n")  # after a draft
        text = self._sanitizer.feed(written)
        if text:
            self._tool_lines.end("")
            self._feed_answer(text)

    @_show.register
    def _(self, event: events.ReasoningDelta) -> None:
        # Reasoning is not shown inside an answer, nor where it can't be removed later.
        if self._shows_live_lines and not self._screen.answer:
            self._screen.reasoning.feed(event.text)

    @_show.register
    def _(self, event: events.ToolCallStarted) -> None:
        if self._shows_live_lines:
            self._end_answer("")
            self._tool_lines.start(event)
        else:
            self._calls.start(event)

    @_show.register
    def _(self, event: events.ToolCallFinished) -> None:
        if self._shows_live_lines and not self._screen.answer:
            self._screen.reasoning.finish()
            self._tool_lines.finish(event)
        elif not self._quiet:
            self._screen.print_note(self._calls.finish(event), "dim")
        if not self._tool_lines.open:
            self._wait("waiting for the model")

    @_show.register
    def _(self, event: display.MarkdownShown) -> None:
        self._tool_lines.drop(event.call_id)
        self._calls.drop(event.call_id)
        if not self._quiet:
            with self._screen.interleaved():
                self._screen.print_message(MessageShown("assistant", event.text))
        if event.call_id and not self._tool_lines.open:
            self._wait("waiting for the model")

    @_show.register
    def _(self, event: events.ApprovalRequested) -> None:
        self._end_answer("")
        self._end_calls("waits")
        for line in plain.request_lines(event):
            self._screen.print_note(line, "bold")

    @_show.register
    def _(self, event: events.TurnFinished) -> None:
        # The calls of a turn that waits are shown whole next, when the user decides on them.
        self._end_turn(event, "" if event.finish_reason == events.WAITING else "has no result")
        turns = [*(turn for turn in self._waited if turn.thread_id == event.thread_id), event]
        if event.finish_reason == events.WAITING:
            self._waited = turns
        else:
            self._waited = []
            self._print_usage(turns)

    @_show.register
    def _(self, event: events.TurnInterrupted | events.TurnFailed) -> None:
        self._waited = []
        self._end_turn(event, "was interrupted")
        if isinstance(event, events.TurnInterrupted):
            self._screen.print_note("[interrupted]", "dim")
            return
        message, *remedy = plain.error_lines(event.error)
        self._screen.print_note(message, "red")
        for line in remedy:
            self._screen.print_note(line, "")

    @_show.register
    def _(self, event: events.Notice) -> None:
        if not self._quiet or event.level == "error" or event.urgent:
            self._screen.print_note(sanitize(event.text), _NOTICE_STYLES[event.level])

    @_show.register
    def _(self, event: events.ImageAttached) -> None:
        self._screen.pictures.attach(event.name, event.data)
        if not self._quiet:
            self._screen.print_image(event.data)

    @_show.register
    def _(self, event: events.Progress) -> None:
        if self._quiet:
            return
        if self._is_of_call(event):
            if event.finished:
                self._waiting.stop()
            else:
                self._waiting.rename(plain.progress_text(event))
        elif self._screen.err_console.is_terminal and self._shows_live_lines and not self._screen.answer:
            self._screen.reasoning.finish()
            self._progress_line.update(event)
            if event.finished:
                self._wait("waiting for the model")
        elif line := self._progress_lines.line(event):
            self._screen.print_note(line, "dim")

    @_show.register
    def _(self, event: events.Listing | MessageShown | display.MatchShown | display.ThreadChanged) -> None:
        with self._screen.interleaved():
            match event:
                case events.Listing():
                    self._screen.print_listing(event)
                case MessageShown():
                    self._screen.print_message(event)
                case display.MatchShown():
                    self._screen.print_match(event)
                case display.ThreadChanged():
                    for message in event.messages:
                        self._screen.print_message(message)
                    if not self._quiet:
                        self._screen.print_note(f"thread {sanitize_line(event.thread_id)}", "dim")

    @_show.register
    def _(self, event: display.ProgramStarting) -> None:
        if self._shows_live_lines and event.seconds is not None:
            self._waiting.start_program(event.seconds)

    @_show.register
    def _(self, event: display.ShellFinished) -> None:
        self._end_answer("")
        if event.exit_code:
            self._screen.print_note(f"[exit code {event.exit_code}]", "dim")

    @_show.register
    def _(self, event: display.ClipboardFilled) -> None:
        fill_clipboard(sanitize(event.text), self._screen.console.file)
        self._screen.print_note(f"copied {event.what}", "dim")

    @_show.register
    def _(self, event: display.PlainToggled) -> None:
        self._screen.markdown = not self._screen.markdown
        state = "rendered" if self._screen.markdown else "shown as it is written"
        self._screen.print_note(f"Markdown is {state}", "dim")

    @property
    def _shows_live_lines(self) -> bool:
        """Whether lines that are removed later may be shown, and the user wants to see them."""
        return self._screen.has_live_lines and not self._quiet

    def _is_of_call(self, event: events.Event) -> bool:
        """Return whether `event` is the progress of a call whose line is shown: the line below it says more."""
        return isinstance(event, events.Progress) and event.unit == "percent" and self._tool_lines.open

    def _wait(self, what: str) -> None:
        if self._shows_live_lines:
            self._waiting.start(what)

    def _feed_answer(self, text: str) -> None:
        self._answered = True
        begun = self._screen.answer is not None
        self._screen.open_answer().feed(text if begun else self._screen.as_written(text))

    def _show_draft(self, event: events.TextDelta) -> None:
        """Show the whole lines of an intermediate text, dim, with its node."""
        if self._quiet:
            return
        if event.node != self._node:
            self._end_draft()
        self._node = event.node
        *lines, self._draft = f"{self._draft}{event.text}".split("\n")
        for line in filter(str.strip, lines):
            self._end_answer("")
            self._tool_lines.end("")
            self._screen.print_note(sanitize_line(f"[{event.node}] {line}"), "dim")

    def _end_draft(self) -> None:
        if self._draft:
            self._show_draft(events.TextDelta("\n", self._node, draft=True))

    def _end_answer(self, content: str) -> None:
        """Finish the answer in progress; show `content` if none of it came as deltas."""
        rest = self._sanitizer.flush()
        if rest or (content and not self._answered):
            self._feed_answer(rest or sanitize(content))
        self._screen.end_answer()

    def _end_turn(self, event: events.TerminalEvent, note: str) -> None:
        self._end_calls(note)
        self._end_answer(event.content)
        self._screen.print_sources(event.cited)
        self._answered, self._node = False, ""

    def _print_usage(self, turns: list[events.TurnFinished]) -> None:
        """Print what the `turns` of one question used; those before the last one waited for the user."""
        sent = sum(turn.usage.input_tokens for turn in turns)
        received = sum(turn.usage.output_tokens for turn in turns)
        if self._quiet or not sent + received:
            return
        costs = [turn.cost_usd for turn in turns if turn.cost_usd is not None]
        price = f", ${sum(costs):.4f}" if len(costs) == len(turns) else ""
        seconds = sum(turn.elapsed_ms for turn in turns) / 1000
        self._screen.print_note(f"{sent} tokens in, {received} out, {seconds:.1f} s{price}", "dim")

    def _end_calls(self, note: str) -> None:
        self._tool_lines.end(note)
        for line in self._calls.clear():
            if not self._quiet and note:
                self._screen.print_note(f"{line} {note}", "dim")


def fill_clipboard(text: str, terminal: IO[str], environment: Mapping[str, str] = os.environ) -> None:
    """Put `text`, without control characters, into the clipboard.

    Over SSH, or without a tool, the text goes to the terminal as an OSC 52 sequence, which terminals may ignore
    without a reply.
    """
    for tool in _usable_tools(environment):
        # In another locale, macOS's tool does not take its input as UTF-8.
        locale = {"LC_ALL": "en_US.UTF-8"} if Path(tool[0]).name == _MACOS else {}
        try:
            # Some tools stay in the background to serve the clipboard. They would keep a pipe open.
            subprocess.run(  # noqa: S603 - a fixed command
                tool,
                input=text.encode(),
                env={**environment, **locale},
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=TIMEOUT,
                check=True,
            )
        except (OSError, subprocess.SubprocessError):
            continue
        return
    terminal.write(f"\x1b]52;c;{base64.b64encode(text.encode()).decode()}\x07")
    terminal.flush()


def _usable_tools(environment: Mapping[str, str]) -> Iterator[tuple[str, ...]]:
    if "SSH_CONNECTION" in environment or "SSH_TTY" in environment:
        return  # this machine's clipboard is not the user's
    for variable, (name, *options) in _TOOLS:
        path = shutil.which(name, path=environment.get("PATH"))
        if path and (not variable or environment.get(variable)):
            yield (path, *options)
