"""Markdown tables as aligned columns."""

from collections.abc import Sequence
from typing import NamedTuple

from markdown_it.tree import SyntaxTreeNode

from chatcli.rendering import theme
from chatcli.rendering.lines import EMPTY, Line, Run, join, width_of, wrap
from chatcli.rendering.markdown.inline import inline_lines

_SEPARATOR = Run(" │ ", theme.DIM)
_NARROWEST = 5
"""The least width of a column, in cells. If the screen has less, the cells of a row are shown one below the other."""

Cell = list[Line]
"""The lines of a cell, not wrapped."""
Row = list[Cell]


class Table(NamedTuple):
    """The contents of a table, before its layout."""

    header: Row
    rows: list[Row]
    alignments: list[str]  # "left", "center", "right" or "" for each column


def read_table(node: SyntaxTreeNode) -> Table:
    """Return the cells of a table node."""
    head, *bodies = node.children
    header = head.children[0].children
    return Table(
        header=[inline_lines(_content(cell), theme.STRONG) for cell in header],
        rows=[[inline_lines(_content(cell)) for cell in row.children] for body in bodies for row in body.children],
        alignments=[str(cell.attrs.get("style", "")).removeprefix("text-align:") for cell in header],
    )


def table_lines(node: SyntaxTreeNode, width: int) -> list[Line]:
    """Return the lines of a whole table."""
    table = read_table(node)
    widths = column_widths(table, width)
    return header_lines(table, widths) + row_lines(table, widths, width)


def column_widths(table: Table, width: int) -> list[int]:
    """Return the width of each column in cells; an empty list if `width` is too small for columns.

    If the table is too wide, the widest columns are made narrower first.
    """
    columns = zip(table.header, *table.rows, strict=True)
    widths = [max(1, *(width_of(line) for cell in column for line in cell)) for column in columns]
    room = width - len(_SEPARATOR.text) * (len(widths) - 1)
    if sum(widths) <= room:
        return widths
    if room < _NARROWEST * len(widths):
        return []
    return _shrink(widths, room)


def header_lines(table: Table, widths: Sequence[int]) -> list[Line]:
    """Return the header and the rule below it; nothing if `widths` is empty."""
    if not widths:
        return []
    rule = "─┼─".join("─" * width for width in widths)
    return [*_row(table.header, widths, table.alignments), (Run(rule, theme.DIM),)]


def row_lines(table: Table, widths: Sequence[int], width: int) -> list[Line]:
    """Return the rows below the header; if `widths` is empty, a line for each cell, after its column's name."""
    if widths:
        return [line for row in table.rows for line in _row(row, widths, table.alignments)]
    lines: list[Line] = []
    for row in table.rows:
        for name, cell in zip(table.header, row, strict=True):
            first = join([*name[0], Run(": ", theme.STRONG), *cell[0]])
            lines += [part for line in (first, *cell[1:]) for part in wrap(line, width)]
        lines.append(EMPTY)
    return lines[:-1]


def _content(cell: SyntaxTreeNode) -> Sequence[SyntaxTreeNode]:
    return cell.children[0].children if cell.children else ()


def _shrink(widths: list[int], room: int) -> list[int]:
    """Return `widths` with the widest columns cut to a common width, so that all fit into `room`."""
    limit = room
    left = len(widths)
    for width in sorted(widths):
        if width > limit // left:
            break
        limit -= width
        left -= 1
    common, spare = divmod(limit, left)
    shrunk = []
    for width in widths:
        if width <= common:
            shrunk.append(width)
        else:
            shrunk.append(common + (spare > 0))
            spare -= 1
    return shrunk


def _row(row: Row, widths: Sequence[int], alignments: Sequence[str]) -> list[Line]:
    cells = [[part for line in cell for part in wrap(line, width)] for cell, width in zip(row, widths, strict=True)]
    lines: list[Line] = []
    for index in range(max(map(len, cells))):
        runs: list[Run] = []
        for column, (cell, width, alignment) in enumerate(zip(cells, widths, alignments, strict=True)):
            line = cell[index] if index < len(cell) else EMPTY
            runs += [_SEPARATOR] if column else []
            runs += _aligned(line, width, alignment, last=column == len(widths) - 1)
        lines.append(join(runs))
    return lines


def _aligned(line: Line, width: int, alignment: str, *, last: bool) -> Line:
    spare = width - width_of(line)
    before = spare if alignment == "right" else spare // 2 if alignment == "center" else 0
    after = 0 if last else spare - before  # a line ends with its text
    return (Run(" " * before, theme.PLAIN), *line, Run(" " * after, theme.PLAIN))
