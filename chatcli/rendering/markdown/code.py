"""Source code as styled lines, highlighted piece by piece while it streams."""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

# Without types: the stubs, types-Pygments, would be a dependency for these four lines only.
from pygments.lexer import Lexer  # type: ignore[import-untyped]
from pygments.lexers import TextLexer, get_lexer_by_name  # type: ignore[import-untyped]
from pygments.token import Comment, Literal, Token  # type: ignore[import-untyped]
from pygments.util import ClassNotFound  # type: ignore[import-untyped]
from rich.style import Style
from rich.syntax import Syntax

from chatcli.rendering.theme import Line, Run, join, plain_text

TokenKind = tuple[str, ...]
"""The kind of a Pygments token, such as `Token.Literal.String`: the tuple of the names on the path to it."""

WINDOW = 32
"""The number of lines that are lexed together. Pygments can't continue where it stopped, so code is lexed in windows:
long enough for the colours to be nearly always right, and short enough to be lexed again at each repaint."""


class CodeBlock:
    """Highlights the lines of one code block, which come one by one or all at once.

    Only the code before it decides where a window ends, so the result does not depend on how the code arrives.
    """

    def __init__(self, language: str, code_theme: str) -> None:
        self._language = language
        self._code_theme = code_theme
        self._lines: list[str] = []  # of the open window
        self._wanted = WINDOW  # the number of lines after which to look for the window's end

    def feed(self, lines: Sequence[str]) -> list[Line]:
        """Add complete lines; return the lines whose colours are final now."""
        final: list[Line] = []
        for line in lines:
            self._lines.append(line.expandtabs(4))
            if len(self._lines) >= self._wanted:
                final += self._close_window()
        return final

    def open_lines(self, partial: str | None = None) -> list[Line]:
        """Return the lines whose colours are not final, and `partial`, the line that is still arriving."""
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
    """A line of code, and the kinds of its first and last token."""

    line: Line
    first: TokenKind
    last: TokenKind


@lru_cache(maxsize=64)
def _highlight(code: str, language: str, code_theme: str) -> list[_Highlighted]:
    runs: list[list[Run]] = [[]]
    kinds: list[list[TokenKind]] = [[]]
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
    del lines[len(source) :]  # Pygments adds a newline at the end of the code
    if [plain_text(item.line) for item in lines] == source:
        return lines
    # Some lexers lose or change characters. Then the code is shown without colours.
    return [_Highlighted(join([Run(line, Style())]), Token, Token) for line in source]


@lru_cache(maxsize=512)
def _style(kind: TokenKind, code_theme: str) -> Style:
    """Return the style of a kind of token, without a background, since the terminal has its own."""
    style = Syntax.get_theme(code_theme).get_style_for_token(kind)
    return Style(color=style.color, bold=style.bold, dim=style.dim, italic=style.italic, underline=style.underline)


def _last_boundary(lines: Sequence[_Highlighted]) -> int:
    """Return the index of the last line that is not inside a string or a comment, where a window may begin; else 0."""
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
