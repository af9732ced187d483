"""The inline parts of Markdown as styled lines: emphasis, links, formulas and a few tags of HTML."""

import re
from collections.abc import Iterable, Iterator, Sequence

from markdown_it.tree import SyntaxTreeNode
from rich.style import Style

from chatcli.rendering import theme
from chatcli.rendering.images import IMAGE, image_name
from chatcli.rendering.markdown.formulas import formula_text, script_text
from chatcli.rendering.markdown.parser import link_text
from chatcli.rendering.theme import Line, Run, split_lines
from chatcli.sanitize import sanitize

_BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)
_TAG = re.compile(r"<(/?)(kbd|sub|sup)(\s[^>]*)?>", re.IGNORECASE)
"""The tags that are shown as what they mean. They count in pairs, without attributes and with no other in between."""
_STYLES = {"strong": theme.STRONG, "em": theme.EMPHASIS, "s": theme.STRUCK, "link": theme.LINK}


def inline_lines(nodes: Iterable[SyntaxTreeNode], style: Style = theme.PLAIN) -> list[Line]:
    """Return the lines of inline nodes, not wrapped.

    A line break in the source is a line break on the screen, as CommonMark allows. Models break the lines
    of poems and addresses on purpose, and rarely break lines inside paragraphs. Another reason: a line that
    is complete does not move again.
    """
    return split_lines(_all_runs(list(nodes), style))


def _all_runs(nodes: Sequence[SyntaxTreeNode], style: Style) -> Iterator[Run]:
    pairs = _tag_pairs(nodes)
    position = 0
    while position < len(nodes):
        if end := pairs.get(position):
            yield from _tagged(nodes[position].content, nodes[position + 1 : end], style)
            position = end + 1
        else:
            yield from _runs(nodes[position], style)
            position += 1


def _tag_pairs(nodes: Sequence[SyntaxTreeNode]) -> dict[int, int]:
    """Return the index of the closing tag for that of each opening one, if no other of these tags is between them."""
    pairs: dict[int, int] = {}
    opened, name = 0, ""
    for index, node in enumerate(nodes):
        match = _TAG.fullmatch(node.content) if node.type == "html_inline" else None
        if match is None:
            continue
        slash, tag, attributes = match.groups()
        if slash and tag.lower() == name:
            pairs[opened] = index
        opened, name = index, "" if slash or attributes else tag.lower()
    return pairs


def _tagged(tag: str, nodes: Sequence[SyntaxTreeNode], style: Style) -> Iterator[Run]:
    """Yield `nodes`, which stand between `tag` and its closing tag: as keys, or in small characters."""
    name = tag.strip("<> \t\n").lower()
    if name == "kbd":
        yield from _all_runs(nodes, style + theme.KEYS)
        return
    runs = list(_all_runs(nodes, style))
    text = "".join(run.text for run in runs)
    above = name == "sup"
    script = script_text(text, above=above)
    if len(script) == len(text):
        yield from (Run(script_text(run.text, above=above), run.style) for run in runs)
    else:  # some characters have no small form: there is a mark before the text
        mark, _, end = script.partition(text)
        yield from (Run(mark, style), *runs, Run(end, style))


def _runs(node: SyntaxTreeNode, style: Style) -> Iterator[Run]:
    kind = node.type
    if kind in {"softbreak", "hardbreak"} or (kind == "html_inline" and _BREAK.fullmatch(node.content)):
        yield Run("\n", style)
    elif kind == "image":
        yield from _image(node, style)
    elif node.children:
        inner = style + _STYLES.get(kind, theme.PLAIN)
        yield from _all_runs(node.children, inner)
        if kind == "link":
            yield from _address(_text(node), str(node.attrs.get("href", "")), style)
    elif kind == "math":
        yield Run(formula_text(node.content) or node.content.expandtabs(4), style + theme.MATH)
    else:
        # The text was sanitised before it was parsed, but the parser decodes references such as `&#x202e;`.
        yield Run(sanitize(node.content).expandtabs(4), style + theme.CODE if kind == "code_inline" else style)


def _image(node: SyntaxTreeNode, style: Style) -> Iterator[Run]:
    description = sanitize(_text(node)) or "image"
    source = str(node.attrs.get("src", ""))
    # The address is found again in the finished line, below which the image is shown where the terminal can.
    shown = style + theme.EMPHASIS + Style(meta={IMAGE: source})
    if source.startswith("data:"):
        yield Run(image_name(description, source), shown)
    else:
        yield Run(description, shown)
        yield from _address(description, source, style)


def _address(text: str, url: str, style: Style) -> Iterator[Run]:
    """Yield the address `url` in parentheses, unless `text` is the same address."""
    readable = sanitize(link_text(url))
    bare = readable.removeprefix("mailto:").removeprefix("https://").removeprefix("http://").rstrip("/")
    if readable and text.rstrip("/") not in {url, readable, bare, readable.rstrip("/")}:
        yield Run(" (", style)
        yield Run(readable, style + theme.URL)
        yield Run(")", style)


def _text(node: SyntaxTreeNode) -> str:
    inside = "".join(map(_text, node.children))
    return inside if node.type == "image" else node.content + inside
