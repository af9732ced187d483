"""Render Markdown while it arrives: finished lines, which never change again, and the open end."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from markdown_it.tree import SyntaxTreeNode

from chatcli.rendering import theme
from chatcli.rendering.markdown import blocks
from chatcli.rendering.markdown.code import CodeBlock
from chatcli.rendering.markdown.parser import display_end, first_line, parse
from chatcli.rendering.theme import EMPTY, Line, Run, wrap

_LISTS = {"bullet_list", "ordered_list"}
_PLAIN = re.compile(r"""(?:[^\W_]|[ .,:;!?'"(/%+=-])*""")
"""What is no markup inside a line of text, and completes none; a combining character is none of these."""
_LETTER = re.compile(r"[^\W\d_]")
_PLAIN_END = re.compile(r"""[^\W\d_](?:.*[^\s*_`~)\]>$|\\])? *""")
"""The end of a line of text, from its first letter, that has no markup at its very end."""
_TAGS = ("kbd", "sub", "sup", "br", "details", "summary")
_BEGUN = "|".join({tag[:length] for tag in _TAGS for length in range(1, len(tag) + 1)})
_UNDECIDED = re.compile(
    rf"(?:\$+|<(?:/?(?:{_BEGUN})?|br\s*/?|(?:br|details)\s[\sa-z]*)|!\[[^\[\]]*(?:\](?:\([^\s()]*)?)?"
    rf"|^ {{0,3}}>[ >]*\[(?:![a-z]*\]?)? *)\Z",
    re.IGNORECASE,
)
"""The end of a text whose meaning the next character decides: a dollar sign, a tag, an image, the title of an alert."""
_DISPLAY = re.compile(r"^[ \t>]*(?:(?:[-*+]|\d{1,9}[.)])[ \t]+)?((?:\$\$|\\\[).*)", re.MULTILINE)
_VERBATIM = re.compile(r"[ -_a-}]*")
"""What is shown as it is written in a line of code, or in a row of a table that is not complete: no fence."""


class OpenCode:
    """A fenced code block that is not closed yet."""

    def __init__(self, node: SyntaxTreeNode, opening: str, code_theme: str) -> None:
        language = blocks.code_language(node.info)
        mark = re.escape(node.markup[0])
        self._closing = re.compile(rf" {{0,3}}{mark}{{{len(node.markup)},}}[ \t]*")
        self._closing_begun = re.compile(rf" {{0,3}}{mark}+[ \t]*")
        self._indent = len(opening) - len(opening.lstrip(" "))
        self._code = CodeBlock(language, code_theme)
        self.top = blocks.code_top(language)
        self.closed = False

    def read(self, lines: Sequence[str], width: int, finished: list[Line]) -> int:
        """Read source `lines`, add those with final colours to `finished`, and return how many were read."""
        code: list[str] = []
        for line in lines:
            if self._closing.fullmatch(line):
                self.closed = True
                break
            code.append(_dedent(line, self._indent))
        finished += blocks.code_lines(self._code.feed(code), width)
        if self.closed:
            finished += [*blocks.code_lines(self._code.open_lines(), width), blocks.CODE_BOTTOM]
        return len(code) + self.closed

    def open_lines(self, partial: str, width: int) -> list[Line]:
        """Return the lines whose colours may still change, and `partial`, the line that is still arriving."""
        if not partial or self._closing_begun.fullmatch(partial):
            return blocks.code_lines(self._code.open_lines(), width)
        return blocks.code_lines(self._code.open_lines(_dedent(partial, self._indent)), width)


class OpenTable:
    """A table that is higher than the screen. Its column widths are fixed, so each complete row is final."""

    def __init__(self, node: SyntaxTreeNode, header: Sequence[str], width: int, references: Mapping[str, Any]) -> None:
        self._references = references
        self._header = "\n".join(header) + "\n"
        self._width = width
        self._columns = blocks.column_widths(blocks.read_table(node), width)
        self.closed = False

    def read(self, lines: Sequence[str], width: int, finished: list[Line]) -> int:
        """Read source `lines`, add the complete rows to `finished`, and return how many lines were read."""
        node = parse(self._header + "\n".join(lines), self._references)[0][0]
        assert node.map is not None
        used = node.map[1] - 2
        if used:
            table = blocks.read_table(node)
            if width != self._width:
                self._width = width
                self._columns = blocks.column_widths(table, width)
            finished += blocks.row_lines(table, self._columns, width)
        self.closed = used < len(lines)
        return used

    def open_lines(self, partial: str, width: int) -> list[Line]:
        """Return `partial`, the row that is still arriving, as it is written."""
        return wrap((Run(partial.expandtabs(4), theme.DIM),), width) if partial else []


def _dedent(line: str, indent: int) -> str:
    """Return `line` without the white space in its first `indent` columns; tab stops are four columns apart."""
    column = used = 0
    while column < indent and line[used : used + 1] in {" ", "\t"}:
        column += 1 if line[used] == " " else 4 - column % 4
        used += 1
    return " " * (column - indent) + line[used:]


class MarkdownStream:
    """Renders Markdown in linear time, whatever the sizes of the pieces in which it arrives.

    A block or list item is finished when the next one begins. Its lines are returned once, and its source is
    dropped. Only the open end is parsed again. The lines of an open code block are returned as soon as they are
    final. Together these are the lines of the whole text rendered at once, with these exceptions:

    - A reference link is shown as it is written if its definition comes after the end of its block.
    - In a table that is higher than the screen, the column widths are those of the rows that fit on the
      screen; later rows are wrapped to them.
    - A table row is shown as it is written until it is complete.
    - When the width of the screen changes, finished lines stay as they are.

    A list that becomes loose later, or a heading that is underlined later, changes no finished line:
    `BlockRenderer` takes the blank lines between items from the source, and a paragraph is open until the
    next block begins.
    """

    def __init__(self, code_theme: str = theme.CODE_THEME) -> None:
        self._code_theme = code_theme
        self._pieces: list[str] = []  # pieces that are not scanned yet
        self._source = ""  # the source of the open end
        self._scanned = 0  # how much of it was searched for finished blocks: always whole lines
        self._references: dict[str, Any] = {}
        self._gap = False  # whether a blank line comes before the open end
        self._number: int | None = None  # the number of the list item with which the open end begins
        self._in_row = False  # whether the open end ends inside a table
        self._open: OpenCode | OpenTable | None = None
        self._finished: list[Line] = []
        self._width = self._height = 0
        self._extensible = False
        self._held = 0
        """How much of the end of the text is not shown yet, since what follows decides what it is."""
        self._ended = False
        self._spaces = ""
        """The spaces at the end of the text that are not shown, since a line ends with its text."""

    def feed(self, text: str) -> None:
        """Add a piece of the text, without control characters but newline and tab."""
        self._pieces.append(text)

    def advance(self, width: int, height: int) -> tuple[list[Line], list[Line]]:
        """Return the lines that are finished since the last call, and the lines of the open end."""
        self._width, self._height = width, height
        self._scan()
        finished, self._finished = self._finished, []
        partial = self._source[self._scanned :]
        self._held = self._held_back(partial)
        if self._is_verbatim:
            self._extensible, self._spaces = bool(partial.strip() and _VERBATIM.fullmatch(partial[-1])), ""
        else:
            first = _LETTER.search(partial)
            is_plain = first is not None and _PLAIN_END.fullmatch(partial, first.start()) is not None
            self._extensible = is_plain and not self._held
            self._spaces = partial[len(partial.rstrip(" ")) :]
        return finished, self._open_lines()

    def extension(self, text: str) -> str | None:
        """Return the text that `text`, the piece fed last, adds to the last open line; None if it may change more.

        All pieces since the last `advance` must have been extensions. The line's colours may change, and markup that
        was begun before may end with it: the next `advance` shows that.
        """
        pattern = _VERBATIM if self._is_verbatim else _PLAIN
        self._extensible = self._extensible and pattern.fullmatch(text) is not None
        if not self._extensible:
            return None
        if self._is_verbatim:
            return text
        addition = (self._spaces + text).rstrip(" ")
        self._spaces = (self._spaces + text)[len(addition) :]
        return addition

    @property
    def in_code(self) -> bool:
        """Whether the open end is a block of code."""
        return isinstance(self._open, OpenCode)

    @property
    def _is_verbatim(self) -> bool:
        """Whether the last line, while it is arriving, is shown as it is written."""
        return self._open is not None or self._in_row

    def finish(self, width: int, height: int) -> list[Line]:
        """Return the remaining lines at the end of the text."""
        self._ended = True
        finished, rest = self.advance(width, height)
        if self._source and not self._source.endswith("\n"):
            self.feed("\n")  # complete the last line
            more, rest = self.advance(width, height)
            finished += more
        if isinstance(self._open, OpenCode):
            rest.append(blocks.CODE_BOTTOM)
        return finished + rest

    def _scan(self) -> None:
        """Move finished blocks from the source to the finished lines, until all complete lines are scanned."""
        self._source += "".join(self._pieces)
        self._pieces.clear()
        while True:
            complete = self._source.rfind("\n") + 1
            if complete == self._scanned:
                return
            lines = self._source[:complete].split("\n")[:-1]
            before = self._open
            if before:
                used = before.read(lines, self._width, self._finished)
                if before.closed:
                    self._open = None
                    self._gap = True
            else:
                used = self._cut(lines)
            self._source = self._source[sum(map(len, lines[:used])) + used :]
            # The remaining lines are scanned, unless a code block or table has begun or ended.
            self._scanned = self._source.rfind("\n") + 1 if self._open is before else 0

    def _cut(self, lines: Sequence[str]) -> int:
        """Render the finished blocks of `lines`; return how many source lines they have."""
        source = "\n".join(lines) + "\n"
        nodes, references = parse(source, self._references)
        self._in_row = False
        if not nodes:
            return 0
        renderer = blocks.BlockRenderer(source, self._code_theme)
        *done, last = nodes
        if done:
            self._take(renderer.blocks(done, self._width, self._number))
            self._gap = renderer.gap(done[-1], last)
            self._number = None
        used = first_line(last)
        if last.type in _LISTS:
            used = self._cut_items(last, renderer)
        elif last.type == "table":
            used = self._cut_table(last, lines, renderer)
        elif last.type == "fence":
            self._open = OpenCode(last, lines[used], self._code_theme)
            self._take([self._open.top])
            used += 1
        self._learn(references, used)
        return used

    def _cut_items(self, node: SyntaxTreeNode, renderer: blocks.BlockRenderer) -> int:
        *done, last = node.children
        if done:
            number = self._number if self._number is not None else int(node.attrs.get("start", 1))
            self._take(renderer.items(node, done, self._width, number))
            self._gap = renderer.gap(done[-1], last)
            self._number = number + len(done)
        return first_line(last)

    def _cut_table(self, node: SyntaxTreeNode, source: Sequence[str], renderer: blocks.BlockRenderer) -> int:
        assert node.map is not None
        start, end = node.map
        lines = renderer.blocks([node], self._width)
        if len(lines) < self._height:
            self._in_row = end == len(source)
            return start
        self._open = OpenTable(node, source[start : start + 2], self._width, self._references)
        self._take(lines)
        return end

    def _take(self, lines: list[Line]) -> None:
        """Add `lines` to the finished ones, after a blank line if there is a gap before them."""
        if self._gap and lines:
            self._gap = False
            self._finished.append(EMPTY)
        self._finished += lines

    def _learn(self, references: dict[str, Any], used: int) -> None:
        """Keep the link definitions in the first `used` source lines."""
        for label, reference in references.items():
            if label not in self._references and reference["map"][1] <= used:
                self._references[label] = reference

    def _held_back(self, partial: str) -> int:
        """Return the length of what is not shown yet at the end of the text: half a tag, a formula's open lines.

        They would be taken away again, or show the start of one mark as another.
        """
        if self._ended or self._is_verbatim:
            return 0
        start = self._source.rfind("\n\n") + 1  # a formula has no blank line
        while match := _DISPLAY.search(self._source, start):
            start = match.end()
            if closing := display_end(match[1]):
                start = self._source.find(closing, start) + len(closing)
                if start < len(closing):
                    return len(self._source) - match.start(1)
        undecided = _UNDECIDED.search(partial)
        return len(partial) - undecided.start() if undecided else 0

    def _open_lines(self) -> list[Line]:
        partial = self._source[self._scanned :]
        if self._open:
            return self._open.open_lines(partial, self._width)
        source = self._source[: len(self._source) - self._held]
        row: list[Line] = []
        if self._in_row and partial:
            source = self._source[: self._scanned]
            row = wrap((Run(partial.expandtabs(4), theme.DIM),), self._width)
        nodes, _ = parse(source, self._references)
        lines = blocks.BlockRenderer(source, self._code_theme).blocks(nodes, self._width, self._number)
        return [EMPTY, *lines, *row] if self._gap and lines else lines + row
