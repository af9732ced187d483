"""Inline Markdown, such as emphasis and links, as styled runs."""

import re
from collections.abc import Iterable, Iterator

from markdown_it.tree import SyntaxTreeNode
from rich.style import Style

from chatcli.rendering import theme
from chatcli.rendering.lines import Line, Run, split_lines
from chatcli.rendering.markdown.parser import link_text
from chatcli.sanitize import sanitize

_BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)
_STYLES = {"strong": theme.STRONG, "em": theme.EMPHASIS, "s": theme.STRUCK, "link": theme.LINK}
_LEAVES = {"code_inline": theme.CODE, "math": theme.MATH}


def inline_lines(nodes: Iterable[SyntaxTreeNode], style: Style = theme.PLAIN) -> list[Line]:
    """Return the lines of inline nodes, not wrapped.

    A line break in the source is a line break on the screen, as CommonMark allows. Models break the lines
    of poems and addresses on purpose, and rarely break lines inside paragraphs. Another reason: a line that
    is complete does not move again.
    """
    return split_lines(run for node in nodes for run in _runs(node, style))


def _runs(node: SyntaxTreeNode, style: Style) -> Iterator[Run]:
    kind = node.type
    if kind in {"softbreak", "hardbreak"} or (kind == "html_inline" and _BREAK.fullmatch(node.content)):
        yield Run("\n", style)
    elif kind == "image":
        yield from _image(node, style)
    elif node.children:
        inner = style + _STYLES.get(kind, theme.PLAIN)
        for child in node.children:
            yield from _runs(child, inner)
        if kind == "link":
            yield from _address(_text(node), str(node.attrs.get("href", "")), style)
    else:
        # The text was sanitised before it was parsed, but the parser decodes references such as `&#x202e;`.
        yield Run(sanitize(node.content).expandtabs(4), style + _LEAVES.get(kind, theme.PLAIN))


def _image(node: SyntaxTreeNode, style: Style) -> Iterator[Run]:
    description = sanitize(_text(node)) or "image"
    yield Run(description, style + theme.EMPHASIS)
    source = str(node.attrs.get("src", ""))
    yield from _address(description, "" if source.startswith("data:") else source, style)


def _address(text: str, url: str, style: Style) -> Iterator[Run]:
    """Yield the address `url` in parentheses, unless `text` is the same address."""
    readable = sanitize(link_text(url))
    bare = readable.removeprefix("mailto:").removeprefix("https://").removeprefix("http://").rstrip("/")
    if readable and text.rstrip("/") not in {url, readable, bare, readable.rstrip("/")}:
        yield Run(" (", style)
        yield Run(readable, style + theme.URL)
        yield Run(")", style)


def _text(node: SyntaxTreeNode) -> str:
    """Return the text of `node` and everything in it."""
    return node.content + "".join(_text(child) for child in node.children) if node.type != "image" else _alt(node)


def _alt(node: SyntaxTreeNode) -> str:
    return "".join(_text(child) for child in node.children)
