"""Blocks that may be higher than the screen, read line by line while they are open."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from markdown_it.tree import SyntaxTreeNode

from chatcli.rendering import theme
from chatcli.rendering.lines import Line, Run, wrap
from chatcli.rendering.markdown.blocks import CODE_BOTTOM, code_language, code_lines, code_top
from chatcli.rendering.markdown.code import CodeBlock
from chatcli.rendering.markdown.parser import parse
from chatcli.rendering.markdown.table import column_widths, read_table, row_lines


class OpenCode:
    """A fenced code block whose end has not come yet."""

    def __init__(self, node: SyntaxTreeNode, opening: str, code_theme: str) -> None:
        language = code_language(node.info)
        mark = re.escape(node.markup[0])
        self._closing = re.compile(rf" {{0,3}}{mark}{{{len(node.markup)},}}[ \t]*")
        self._closing_begun = re.compile(rf" {{0,3}}{mark}+[ \t]*")
        self._indent = len(opening) - len(opening.lstrip(" "))
        self._code = CodeBlock(language, code_theme)
        self.top = code_top(language)
        self.bottom = CODE_BOTTOM
        self.closed = False

    def read(self, lines: Sequence[str], width: int, finished: list[Line]) -> int:
        """Add the lines that have their final colours; return how many source lines were used."""
        code: list[str] = []
        for line in lines:
            if self._closing.fullmatch(line):
                self.closed = True
                break
            code.append(_dedent(line, self._indent))
        finished += code_lines(self._code.feed(code), width)
        if self.closed:
            finished += [*code_lines(self._code.open_lines(), width), self.bottom]
        return len(code) + self.closed

    def open_lines(self, partial: str, width: int) -> list[Line]:
        """Return the lines that may still change their colours, and the one that is being written."""
        if not partial or self._closing_begun.fullmatch(partial):
            return code_lines(self._code.open_lines(), width)
        return code_lines(self._code.open_lines(_dedent(partial, self._indent)), width)


class OpenTable:
    """A table that is higher than the screen: its columns are set, its rows are final one by one."""

    def __init__(self, node: SyntaxTreeNode, header: Sequence[str], width: int, references: Mapping[str, Any]) -> None:
        self._references = references
        self._header = "\n".join(header) + "\n"
        self._width = width
        self._columns = column_widths(read_table(node), width)
        self.closed = False

    def read(self, lines: Sequence[str], width: int, finished: list[Line]) -> int:
        """Add the lines of the complete rows; return how many source lines were used."""
        node = parse(self._header + "\n".join(lines), self._references)[0][0]
        assert node.map is not None
        used = node.map[1] - 2
        if used:
            table = read_table(node)
            if width != self._width:
                self._width = width
                self._columns = column_widths(table, width)
            finished += row_lines(table, self._columns, width)
        self.closed = used < len(lines)
        return used

    def open_lines(self, partial: str, width: int) -> list[Line]:
        """Return the row that is being written, as it stands."""
        return wrap((Run(partial.expandtabs(4), theme.DIM),), width) if partial else []


def _dedent(line: str, indent: int) -> str:
    """Return `line` without the white space of its first `indent` columns; a tab goes to the next fourth one."""
    column = used = 0
    while column < indent and line[used : used + 1] in {" ", "\t"}:
        column += 1 if line[used] == " " else 4 - column % 4
        used += 1
    return " " * (column - indent) + line[used:]
