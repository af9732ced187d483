"""The screen, which the answer in progress shares with all other output."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.style import Style
from rich.table import Table
from rich.text import Text

from chatcli.events import Listing
from chatcli.fences import unmarked
from chatcli.message import SPEAKERS, Citation, Cited, MessageShown
from chatcli.rendering.display import MatchShown
from chatcli.rendering.images import Pictures, is_multiplexed, known_protocol
from chatcli.rendering.terminal.activity import Reasoning
from chatcli.rendering.terminal.answer import AnswerView, MarkdownAnswer, PipedMarkdown, PlainAnswer, TextLines
from chatcli.rendering.terminal.painter import Tail
from chatcli.rendering.theme import Theme, find_theme
from chatcli.runtime.parse import read_json
from chatcli.sanitize import sanitize, sanitize_line

_PROMPT, _CONTINUATION = "> ", "\n  "
_MATCH = Style(bold=True, color="magenta")
"""Magenta has the most contrast of a terminal's colours, where the background may be dark or light."""
_RESET = "\x1b[?2026l\x1b[?7h\x1b[?25h\x1b[0m"
_TAKING_LINES = ("iTerm.app", "vscode", "WezTerm")
"""Values of TERM_PROGRAM. Elsewhere a desktop opens the address, and may find no file for one with a line."""


class Screen:
    """Shows the answer in progress, and prints other output above it; the arguments are those of `TerminalRenderer`."""

    def __init__(
        self,
        console: Console,
        err_console: Console,
        theme: Theme,
        *,
        code_theme: str,
        markdown: bool,
        movable: bool,
        clock: Callable[[], float],
    ) -> None:
        self.console = console
        self.err_console = err_console
        self.markdown = markdown
        self.tail = Tail(console, theme)
        self.reasoning = Reasoning(self.tail, clock)
        self.answer: AnswerView | None = None
        self.pictures = Pictures(console, known_protocol() if movable else "")
        self._theme = theme
        self._code_theme = code_theme
        self._movable = movable

    @property
    def has_live_lines(self) -> bool:
        """Whether lines may be shown that are removed later."""
        return self.markdown and self._movable

    def use_theme(self, name: str) -> None:
        """Use the colours of the theme `name` from now on."""
        self._theme = find_theme(name)
        self.tail.use(self._theme)

    def use_ability(self, ability: str) -> None:
        """Use what the terminal does; images are shown by sixel unless it is known for another protocol."""
        if ability == "wrapping":
            self.tail.wraps_again()
        elif self._movable and not is_multiplexed():
            self.pictures.protocol = self.pictures.protocol or "sixel"

    def open_answer(self) -> AnswerView:
        """Return the answer in progress; begin one if there is none."""
        if self.answer is None:
            self.reasoning.finish()
            self.answer = self._new_answer()
        return self.answer

    def as_written(self, text: str) -> str:
        """Return `text`, which begins an answer, so that whole JSON is shown as code: Markdown would swallow some."""
        return f"```json\n{text.strip()}\n```\n" if self.markdown and _is_json(text) else text

    def open_text(self) -> AnswerView:
        """Return the text in progress that is shown without Markdown; begin one if there is none."""
        if self.answer is None:
            self.answer = TextLines(self.tail) if self.has_live_lines else PlainAnswer(self.console)
        return self.answer

    def end_answer(self) -> None:
        """Finish the reasoning and the answer in progress."""
        self.reasoning.finish()
        if self.answer:
            answer, self.answer = self.answer, None
            answer.finish()

    def restore_terminal(self) -> None:
        """Reset the modes and the style of the terminal."""
        if self._movable:
            self.console.file.write(_RESET)
            self.console.file.flush()

    @contextmanager
    def interleaved(self) -> Iterator[None]:
        """Make room for other output in a `with` block, and continue the answer below it."""
        self.reasoning.finish()
        self.suspend()
        yield
        self.resume()

    def suspend(self) -> None:
        """Suspend the answer, and remove the lines that are not finished."""
        if self.answer:
            self.answer.suspend()
        if self._movable:
            self.tail.clear()

    def resume(self) -> None:
        """Show the lines that are not finished again, and continue the answer."""
        if self._movable:
            self.tail.restore()
        if self.answer:
            self.answer.resume()

    def print_note(self, text: str, style: str) -> None:
        """Print `text`, which is sanitised, on the terminal of errors."""
        with self.interleaved():
            self.err_console.print(Text(text, style=self._theme.resolve(Style.parse(style))))

    def print_lines(self, lines: Sequence[tuple[str, str]]) -> None:
        """Print `lines`, which are safe and which the user must see, each with its style, on a terminal.

        That is the one of errors, unless these go to a file. The terminal wraps them, so that what is copied is what
        stands there.
        """
        self.suspend()
        styled = (Text(line, style=self._theme.resolve(Style.parse(style))) for line, style in lines)
        console = self.err_console if self.err_console.is_terminal else self.console
        console.print(Text("\n").join(styled), soft_wrap=True)
        self.resume()

    def print_image(self, data: bytes) -> None:
        """Show an image if the terminal can."""
        if self.markdown and self.pictures.protocol:
            self.suspend()
            self.pictures.draw(data)
            self.resume()

    def print_message(self, event: MessageShown) -> None:
        """Print a past message; call it inside `interleaved`."""
        text = sanitize(unmarked(event.text))
        if event.role == "user":
            glyph = (_PROMPT, self._theme.resolve(Style(bold=True, color="cyan")))
            self._print(Text.assemble(glyph, (text.replace("\n", _CONTINUATION), "bold")))
        elif event.role != "assistant":
            name = "" if event.role == "tool" else f"{SPEAKERS.get(event.role, sanitize_line(event.role))}: "
            self._print(Text(f"{name}{text}", style=self._theme.resolve(Style(dim=True))))
        else:
            answer = self._new_answer()
            answer.feed(self.as_written(text))
            answer.finish()
        self.print_sources(event.cited)
        if event.interrupted:
            self._print(Text("[interrupted]", style=self._theme.resolve(Style(dim=True))))
        self._print(Text())

    def print_sources(self, cited: Cited | None) -> None:
        """Print the list of the documents that an answer cites, each a link to the file where terminals know links."""
        lines = cited.lines() if cited is not None else []
        if not lines:
            return
        self._print(Text())
        linked = self.console.is_terminal and not self.console.is_dumb_terminal
        for line, citation in lines:
            link = file_link(citation) if linked and citation is not None else None
            color = "yellow" if citation is None else None
            style = self._theme.resolve(Style(dim=citation is not None, color=color))
            self._print(Text(sanitize_line(line), style=style + Style(link=link), overflow="fold"))

    def print_match(self, event: MatchShown) -> None:
        """Print a search result; call it inside `interleaved`."""
        snippet = Text.assemble((f"{event.role}: ", self._theme.resolve(Style(dim=True))))
        for text, matching in event.parts:
            # Each part is sanitised alone: an escape sequence can't continue in the next part.
            snippet.append(" ".join(sanitize(text).split("\n")), style=self._theme.resolve(_MATCH) if matching else "")
        self.console.print(Text(sanitize_line(event.thread_id), style="bold") + Text(f"  {sanitize_line(event.title)}"))
        self.console.print(snippet)
        self.console.print()

    def print_listing(self, listing: Listing) -> None:
        """Print a table; call it inside `interleaved`. Text in brackets is not read as rich's markup."""
        if listing.title:  # not as the table's, which is wrapped to the width of a narrow table
            self.console.print(Text(sanitize_line(listing.title), style="bold"))
        if not listing.rows:
            self.console.print(Text("none", style="dim"))
            return
        table = Table(box=SIMPLE_HEAD, pad_edge=False)
        for column in listing.columns:
            table.add_column(Text(sanitize_line(column)), overflow="fold")
        for row in listing.rows:
            table.add_row(*(Text(sanitize_line(cell)) for cell in row))
        self.console.print(table)

    def _new_answer(self) -> AnswerView:
        if not self.markdown:
            return PlainAnswer(self.console)
        if self._movable:
            return MarkdownAnswer(self.tail, pictures=self.pictures, code_theme=self._code_theme)
        return PipedMarkdown(self.console, self._theme, self._code_theme)

    def _print(self, text: Text) -> None:
        self.suspend()
        self.console.print(text)


def _is_json(text: str) -> bool:
    """Return whether `text` is a JSON object or list with a text in it; `[1]` may be the first piece of an answer."""
    if not text.lstrip().startswith(("{", "[")) or '"' not in text:
        return False
    try:
        return isinstance(read_json(text), dict | list)
    except ValueError:
        return False


def file_link(citation: Citation, environment: Mapping[str, str] = os.environ) -> str | None:
    """Return the address of the cited file; None if it has none, as a name that is no text has."""
    # A link in the terminal (OSC 8): https://gist.github.com/egmontkob/eb114294efbcd5adb1944c9f3cb5feda
    try:
        address = (Path.cwd() / citation.path).as_uri()
    except (ValueError, OSError):
        return None
    takes_line = environment.get("TERM_PROGRAM") in _TAKING_LINES or "KITTY_WINDOW_ID" in environment
    return f"{address}#{citation.start_line}" if takes_line and citation.start_line is not None else address
