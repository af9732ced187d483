"""Markdown as styled lines of a given width: blocks, and tables as aligned columns."""

import re
from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import NamedTuple

from markdown_it.tree import SyntaxTreeNode
from rich.style import Style

from chatcli.rendering import theme
from chatcli.rendering.markdown.code import CodeBlock
from chatcli.rendering.markdown.inline import inline_lines
from chatcli.rendering.markdown.parser import first_line
from chatcli.rendering.theme import EMPTY, Line, Run, after, fold, join, plain_text, split_lines, width_of, wrap

_SEPARATOR = Run(" │ ", theme.DIM)
_NARROWEST_COLUMN = 5
"""The least width of a column, in cells. If the screen has less, the cells of a row are shown one below the other."""
Cell = list[Line]
"""The lines of a cell, not wrapped."""
Row = list[Cell]

_DETAILS = re.compile(r"<(/?)(details|summary)(?:\s+open)?\s*>", re.IGNORECASE)

_NARROWEST = 16
"""The least width of a block, in cells. A nested block that would be narrower is not indented further."""
_BULLETS = "•◦▪"
_TASK = re.compile(r"\[([ xX])\] ")
_QUOTE = Run("│ ", theme.DIM)
_ALERT = re.compile(r"\[!(NOTE|TIP|IMPORTANT|WARNING|CAUTION)\]\s*", re.IGNORECASE)
_BLANK_IN_QUOTES = re.compile(r"[>\s]*")
"""A blank line, perhaps with the marks of quotes."""


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
    rows = row_lines(table, widths, width)
    if not widths:
        return rows
    rule = "─┼─".join("─" * width for width in widths)
    return [*_row(table.header, widths, table.alignments), (Run(rule, theme.DIM),), *rows]


def column_widths(table: Table, width: int) -> list[int]:
    """Return each column's width in cells, the widest cut first to fit `width`; nothing if that is too small."""
    columns = zip(table.header, *table.rows, strict=True)
    widths = [max(1, *(width_of(line) for cell in column for line in cell)) for column in columns]
    room = width - len(_SEPARATOR.text) * (len(widths) - 1)
    if sum(widths) <= room:
        return widths
    if room < _NARROWEST_COLUMN * len(widths):
        return []
    return _shrink(widths, room)


def row_lines(table: Table, widths: Sequence[int], width: int) -> list[Line]:
    """Return the rows below the header; if `widths` is empty, a line for each cell, after its column's name."""
    if widths:
        return [line for row in table.rows for line in _row(row, widths, table.alignments)]
    lines: list[Line] = []
    for row in table.rows:
        for name, cell in zip(table.header, row, strict=True):
            first = join([*name[0], Run(": ", theme.STRONG), *cell[0]])
            lines += _wrapped([first, *cell[1:]], width)
        lines.append(EMPTY)
    return lines[:-1]


def _content(cell: SyntaxTreeNode) -> Sequence[SyntaxTreeNode]:
    return cell.children[0].children if cell.children else ()


def _shrink(widths: list[int], room: int) -> list[int]:
    """Return `widths` with the widest columns cut to a common width, so that all fit into `room`."""
    common = bisect_right(range(room), room, key=lambda limit: sum(min(width, limit) for width in widths)) - 1
    spare = room - sum(min(width, common) for width in widths)
    shrunk = []
    for width in widths:
        shrunk.append(min(width, common + (spare > 0)))
        spare -= width > common
    return shrunk


def _row(row: Row, widths: Sequence[int], alignments: Sequence[str]) -> list[Line]:
    cells = [_wrapped(cell, width) for cell, width in zip(row, widths, strict=True)]
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


class BlockRenderer:
    """Renders the blocks of one source text.

    The lines of a block depend on its own text only, never on the text after it. The blank lines between
    list items are those of the source, and each item is indented by the width of its own marker. So a
    document may be rendered block by block, and a list item by item, with the same result. Tables are
    the exception: a later row can change the widths of the columns.
    """

    def __init__(self, source: str, code_theme: str) -> None:
        self._source = source.split("\n")
        self._code_theme = code_theme
        self._depth = 0  # of nested lists
        self._renderers: dict[str, Callable[[SyntaxTreeNode, int], list[Line]]] = {
            "paragraph": lambda node, width: _wrapped(_inline(node), width),
            "heading": self._heading,
            "hr": lambda _, width: [(Run("─" * min(width, 24), theme.DIM),)],
            "blockquote": self._quote,
            "bullet_list": self._list,
            "ordered_list": self._list,
            "fence": self._code,
            "code_block": self._code,
            "html_block": self._html,
            "table": table_lines,
        }

    def blocks(self, nodes: Sequence[SyntaxTreeNode], width: int, number: int | None = None) -> list[Line]:
        """Return the lines of neighbouring blocks, `width` cells wide, with the blank lines between them.

        `number` is that of the first item, if the first block continues a list whose first items are finished.
        """
        lines: list[Line] = []
        for index, node in enumerate(nodes):
            if index and self.gap(nodes[index - 1], node):
                lines.append(EMPTY)
            if index == 0 and number is not None and node.type == "ordered_list":
                lines += self.items(node, node.children, width, number)
            else:
                lines += self._renderers[node.type](node, width)
        return lines

    def gap(self, first: SyntaxTreeNode, second: SyntaxTreeNode) -> bool:
        """Return whether a blank line separates two neighbouring blocks or list items.

        Inside a list the source decides. Elsewhere all blocks are separated, except a list from the
        paragraph directly above it.
        """
        line = first_line(second)
        if line > 0 and _BLANK_IN_QUOTES.fullmatch(self._source[line - 1]):
            return True
        if second.type == "list_item" or (second.parent and second.parent.type == "list_item"):
            return False
        return not (first.type == "paragraph" and second.type in {"bullet_list", "ordered_list"})

    def items(self, node: SyntaxTreeNode, items: Sequence[SyntaxTreeNode], width: int, number: int) -> list[Line]:
        """Return the lines of neighbouring `items` of the list `node`; the first has the number `number`."""
        lines: list[Line] = []
        self._depth += 1
        for index, item in enumerate(items):
            if index and self.gap(items[index - 1], item):
                lines.append(EMPTY)
            ordered = f"{number + index}{node.markup}" if node.type == "ordered_list" else ""
            lines += self._item(item, ordered, width)
        self._depth -= 1
        return lines

    def _list(self, node: SyntaxTreeNode, width: int) -> list[Line]:
        return self.items(node, node.children, width, int(node.attrs.get("start", 1)))

    def _item(self, item: SyntaxTreeNode, ordered: str, width: int) -> list[Line]:
        marker = f"{ordered or _BULLETS[(self._depth - 1) % len(_BULLETS)]} "
        task = _task(item)
        if task:
            marker = f"{ordered} [{task}] ".lstrip()
        lines = self.blocks(item.children, _inner(width, len(marker)))
        if task:
            lines[0] = after(lines[0], 4)
        return _prefix(lines, Run(marker, theme.DIM), Run(" " * len(marker), theme.PLAIN), width)

    def _heading(self, node: SyntaxTreeNode, width: int) -> list[Line]:
        level = int(node.tag[1])
        style = theme.HEADINGS[level - 1]
        mark = "#" * level + " "
        lines = _wrapped(_inline(node, style), _inner(width, len(mark)))
        return _prefix(lines, Run(mark, style), Run(" " * len(mark), theme.PLAIN), width)

    def _quote(self, node: SyntaxTreeNode, width: int) -> list[Line]:
        alert = _alert(node)
        if alert is None:
            return _prefix(self.blocks(node.children, _inner(width, 2)), _QUOTE, _QUOTE, width)
        style, title, rest = alert
        paragraph, *others = node.children
        lines: list[Line] = [(Run(title, style + theme.STRONG),)]
        lines += _wrapped(inline_lines(rest), _inner(width, 2)) if rest else []
        if others:
            lines += [EMPTY] if self.gap(paragraph, others[0]) and rest else []
            lines += self.blocks(others, _inner(width, 2))
        bar = Run(_QUOTE.text, style)
        return _prefix(lines, bar, bar, width)

    def _code(self, node: SyntaxTreeNode, width: int) -> list[Line]:
        language = code_language(node.info)
        block = CodeBlock(language, self._code_theme)
        text = node.content.removesuffix("\n")
        lines = block.feed(text.split("\n")) + block.open_lines() if node.content else []
        return [code_top(language), *code_lines(lines, width), CODE_BOTTOM]

    def _html(self, node: SyntaxTreeNode, width: int) -> list[Line]:
        if _DETAILS.search(node.content):
            return _wrapped(_details(node.content), width)
        lines = node.content.expandtabs(4).rstrip("\n").split("\n")
        return _wrapped([(Run(line, theme.DIM),) if line else EMPTY for line in lines], width)


CODE_BOTTOM: Line = (Run("╰─", theme.DIM),)


def code_top(language: str) -> Line:
    """Return the line above a code block."""
    return (Run(f"╭─ {language}".rstrip(), theme.DIM),)


def code_language(info: str) -> str:
    """Return the language that the info string of a fence names: its first word, at most 40 characters."""
    words = info.replace("{", " ").replace(",", " ").split()
    return words[0].strip("}.")[:40] if words else ""


def code_lines(lines: Sequence[Line], width: int) -> list[Line]:
    """Return lines of code, folded to `width`. They have no margin, so that they can be copied."""
    return [part for line in lines for part in fold(line, width, copied_whole=True)]


def _wrapped(lines: Sequence[Line], width: int) -> list[Line]:
    return [part for line in lines for part in wrap(line, width)]


def _inline(node: SyntaxTreeNode, style: Style = theme.PLAIN) -> list[Line]:
    return inline_lines(node.children[0].children, style) if node.children else [EMPTY]


def _alert(node: SyntaxTreeNode) -> tuple[Style, str, Sequence[SyntaxTreeNode]] | None:
    """Return the style and the title of the alert that a quote is, and what follows on its first lines; else None."""
    first = node.children[0] if node.children else None
    if first is None or first.type != "paragraph" or not first.children:
        return None
    mark, *rest = first.children[0].children
    match = _ALERT.fullmatch(mark.content) if mark.type == "text" else None
    if match is None or (rest and rest[0].type not in {"softbreak", "hardbreak"}):
        return None
    kind = match[1].upper()
    return theme.ALERTS[kind], kind.capitalize(), rest[1:]


def _details(content: str) -> list[Line]:
    """Return the lines of HTML with `<details>` and `<summary>`: the summary as a title, an end mark, and text."""
    runs: list[Run] = []
    position = 0
    style = theme.PLAIN
    opened = False  # whether `<details>` waits for its summary
    for match in _DETAILS.finditer(content):
        runs.append(Run(content[position : match.start()], style))
        position = match.end()
        closes, name = bool(match[1]), match[2].lower()
        style = theme.STRONG if name == "summary" and not closes else theme.PLAIN
        if name == "summary":
            runs.append(Run("\n" if closes else "\n▾ ", style))
            opened = False
        else:
            runs.append(Run("\n▴\n" if closes else "\n", theme.DIM))
            opened = not closes
    runs.append(Run(content[position:], style))
    lines = split_lines(Run(text.expandtabs(4), style) for text, style in runs)
    shown = [line for line in lines if plain_text(line).strip()]
    return [*shown, (Run("▾", theme.DIM),)] if opened else shown


def _task(item: SyntaxTreeNode) -> str:
    """Return the character in the box of the task `item`, `x` or a space; empty if `item` is not a task."""
    node: SyntaxTreeNode | None = item
    for kind in ("paragraph", "inline", "text"):
        node = node.children[0] if node and node.children else None
        if node is None or node.type != kind:
            return ""
    match = _TASK.match(node.content) if node else None
    return match.group(1).lower() if match else ""


def _inner(width: int, indent: int) -> int:
    """Return the width that is left after `indent` cells, or `width` where too little would be left."""
    return width - indent if width - indent >= _NARROWEST else width


def _prefix(lines: Sequence[Line], first: Run, others: Run, width: int) -> list[Line]:
    if not lines:
        return [(first,)]
    if _inner(width, len(first.text)) == width:
        return [(first,), *lines]
    blank = EMPTY if others.text.isspace() else (Run(others.text.rstrip(), others.style),)
    return [
        join([first, *line]) if index == 0 else join([others, *line]) if line else blank
        for index, line in enumerate(lines)
    ]
