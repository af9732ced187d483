"""Markdown blocks as styled lines of a given width."""

import re
from collections.abc import Callable, Sequence

from markdown_it.tree import SyntaxTreeNode
from rich.style import Style

from chatcli.rendering import theme
from chatcli.rendering.lines import EMPTY, Line, Run, fold, join, wrap
from chatcli.rendering.markdown.code import CodeBlock
from chatcli.rendering.markdown.inline import inline_lines
from chatcli.rendering.markdown.parser import first_line
from chatcli.rendering.markdown.table import table_lines

_NARROWEST = 16
"""The least width of a block, in cells. A nested block that would be narrower is not indented further."""
_BULLETS = "•◦▪"
_TASK = re.compile(r"\[([ xX])\] ")
_QUOTE = Run("│ ", theme.DIM)
_BLANK_IN_QUOTES = re.compile(r"[>\s]*")


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
            "paragraph": self._paragraph,
            "heading": self._heading,
            "hr": self._rule,
            "blockquote": self._quote,
            "bullet_list": self._list,
            "ordered_list": self._list,
            "fence": self._code,
            "code_block": self._code,
            "html_block": self._html,
            "table": table_lines,
        }

    def blocks(self, nodes: Sequence[SyntaxTreeNode], width: int, number: int | None = None) -> list[Line]:
        """Return the lines of neighbouring blocks, with the blank lines between them.

        Args:
            nodes: The blocks.
            width: The width of the screen, in cells.
            number: The number of the first item, if the first block continues a list whose first items are finished.

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

    def gap(self, before: SyntaxTreeNode, after: SyntaxTreeNode) -> bool:
        """Return whether a blank line separates two neighbouring blocks or list items.

        Inside a list the source decides. Elsewhere all blocks are separated, except a list from the
        paragraph directly above it.
        """
        if self._blank_before(after):
            return True
        if after.type == "list_item" or (after.parent and after.parent.type == "list_item"):
            return False
        return not (before.type == "paragraph" and after.type in {"bullet_list", "ordered_list"})

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
            lines[0] = _drop(lines[0], 4)
        return _prefix(lines, Run(marker, theme.DIM), Run(" " * len(marker), theme.PLAIN), width)

    def _blank_before(self, node: SyntaxTreeNode) -> bool:
        """Return whether the source has a blank line before `node`, perhaps with the marks of quotes."""
        line = first_line(node)
        return line > 0 and _BLANK_IN_QUOTES.fullmatch(self._source[line - 1]) is not None

    def _paragraph(self, node: SyntaxTreeNode, width: int) -> list[Line]:
        return _wrapped(_inline(node), width)

    def _heading(self, node: SyntaxTreeNode, width: int) -> list[Line]:
        level = int(node.tag[1])
        style = theme.heading(level)
        mark = "#" * level + " "
        lines = _wrapped(_inline(node, style), _inner(width, len(mark)))
        return _prefix(lines, Run(mark, style), Run(" " * len(mark), theme.PLAIN), width)

    def _rule(self, _: SyntaxTreeNode, width: int) -> list[Line]:
        return [(Run("─" * min(width, 24), theme.DIM),)]

    def _quote(self, node: SyntaxTreeNode, width: int) -> list[Line]:
        return _prefix(self.blocks(node.children, _inner(width, 2)), _QUOTE, _QUOTE, width)

    def _code(self, node: SyntaxTreeNode, width: int) -> list[Line]:
        language = code_language(node.info)
        block = CodeBlock(language, self._code_theme)
        text = node.content.removesuffix("\n")
        lines = block.feed(text.split("\n")) + block.open_lines() if node.content else []
        return [code_top(language), *code_lines(lines, width), CODE_BOTTOM]

    def _html(self, node: SyntaxTreeNode, width: int) -> list[Line]:
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
    return [part for line in lines for part in fold(line, width)]


def _wrapped(lines: Sequence[Line], width: int) -> list[Line]:
    return [part for line in lines for part in wrap(line, width)]


def _inline(node: SyntaxTreeNode, style: Style = theme.PLAIN) -> list[Line]:
    return inline_lines(node.children[0].children, style) if node.children else [EMPTY]


def _task(item: SyntaxTreeNode) -> str:
    """Return the character in the box of the task `item`, `x` or a space; empty if `item` is not a task."""
    node: SyntaxTreeNode | None = item
    for kind in ("paragraph", "inline", "text"):
        node = node.children[0] if node and node.children else None
        if node is None or node.type != kind:
            return ""
    match = _TASK.match(node.content) if node else None
    return match.group(1).lower() if match else ""


def _drop(line: Line, count: int) -> Line:
    """Return `line` without its first `count` characters, all of which are in its first run."""
    return (Run(line[0].text[count:], line[0].style), *line[1:])


def _inner(width: int, indent: int) -> int:
    """Return the width that is left after `indent` cells, or `width` where too little would be left."""
    return width - indent if width - indent >= _NARROWEST else width


def _prefix(lines: Sequence[Line], first: Run, others: Run, width: int) -> list[Line]:
    """Return `lines` with `first` before the first line and `others` before the others."""
    if not lines:
        return [(first,)]
    if _inner(width, len(first.text)) == width:
        return [(first,), *lines]
    blank = EMPTY if others.text.isspace() else (Run(others.text.rstrip(), others.style),)
    return [
        join([first, *line]) if index == 0 else join([others, *line]) if line else blank
        for index, line in enumerate(lines)
    ]
