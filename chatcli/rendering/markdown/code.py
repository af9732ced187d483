"""Source code as styled lines, highlighted piece by piece while it streams."""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

# No stubs: rich needs none of them, and types-Pygments would be for these four lines only.
from pygments.lexer import Lexer  # type: ignore[import-untyped]
from pygments.lexers import TextLexer, get_lexer_by_name  # type: ignore[import-untyped]
from pygments.token import Comment, Literal, Token, _TokenType  # type: ignore[import-untyped]
from pygments.util import ClassNotFound  # type: ignore[import-untyped]
from rich.style import Style
from rich.syntax import Syntax

from chatcli.rendering.lines import Line, Run, join, plain_text

# Pygments can't go on where it stopped, so that code is lexed in windows. A window is long enough for the
# colours to be right nearly always, and short enough to be lexed again at each repaint.
WINDOW = 32  # lines


class CodeBlock:
    """The lines of one code block, which come one by one or all at once.

    Windows end at lines that are chosen by the code before them alone: the result does not depend on
    how the code arrives.
    """

    def __init__(self, language: str, code_theme: str) -> None:
        self._language = language
        self._code_theme = code_theme
        self._lines: list[str] = []  # of the open window
        self._wanted = WINDOW

    def feed(self, lines: Sequence[str]) -> list[Line]:
        """Add complete lines, and return those that have their final colours."""
        final: list[Line] = []
        for line in lines:
            self._lines.append(line.expandtabs(4))
            if len(self._lines) >= self._wanted:
                final += self._close_window()
        return final

    def open_lines(self, partial: str | None = None) -> list[Line]:
        """Return the lines after the final ones, with `partial`, the line that is still being written."""
        lines = self._lines if partial is None else [*self._lines, partial.expandtabs(4)]
        return [item.line for item in self._highlight(lines)]

    def _close_window(self) -> list[Line]:
        highlighted = self._highlight(self._lines)
        end = _last_boundary(highlighted)
        if not end and len(self._lines) < 8 * WINDOW:
            self._wanted += WINDOW
            return []
        end = end or len(self._lines)
        del self._lines[:end]
        self._wanted = len(self._lines) + WINDOW
        return [item.line for item in highlighted[:end]]

    def _highlight(self, lines: Sequence[str]) -> list["_Highlighted"]:
        return _highlight("\n".join(lines), self._language, self._code_theme) if lines else []


class _Highlighted(NamedTuple):
    """A line of code, and the kinds of the tokens that it begins and ends with."""

    line: Line
    first: _TokenType
    last: _TokenType


@lru_cache(maxsize=64)
def _highlight(code: str, language: str, code_theme: str) -> list[_Highlighted]:
    runs: list[list[Run]] = [[]]
    kinds: list[list[_TokenType]] = [[]]
    for kind, text in _lexer(language).get_tokens(code):
        style = _style(kind, code_theme)
        for index, part in enumerate(text.split("\n")):
            if index:
                kinds[-1].append(kind)  # of the newline
                runs.append([])
                kinds.append([])
            if part:
                runs[-1].append(Run(part, style))
                kinds[-1].append(kind)
    lines = [
        _Highlighted(join(line), ends[0] if ends else Token, ends[-1] if ends else Token)
        for line, ends in zip(runs, kinds, strict=True)
    ]
    source = code.split("\n")
    del lines[len(source) :]  # Pygments ends the code with a newline of its own
    if [plain_text(item.line) for item in lines] == source:
        return lines
    # Some lexers lose or change a character here and there; colours are not worth that.
    return [_Highlighted(join([Run(line, Style())]), Token, Token) for line in source]


@lru_cache(maxsize=512)
def _style(kind: _TokenType, code_theme: str) -> Style:
    """Return the style of a kind of token without a background: the terminal has its own."""
    style = Syntax.get_theme(code_theme).get_style_for_token(kind)
    return Style(color=style.color, bold=style.bold, dim=style.dim, italic=style.italic, underline=style.underline)


def _last_boundary(lines: Sequence[_Highlighted]) -> int:
    """Return the last line in which a window may begin: not inside a string or a comment."""
    for index in range(len(lines) - 1, 0, -1):
        before, after = lines[index - 1].last, lines[index].first
        if not any(before in family and after in family for family in (Literal, Comment)):
            return index
    return 0


@lru_cache(maxsize=32)
def _lexer(language: str) -> Lexer:
    try:
        return get_lexer_by_name(language, stripnl=False)
    except ClassNotFound:
        return TextLexer(stripnl=False)
