"""The Markdown that models write: CommonMark, tables, strikethrough, and LaTeX left as it is."""

import re
from collections.abc import Mapping
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.rules_block import table
from markdown_it.rules_inline import StateInline
from markdown_it.tree import SyntaxTreeNode

# Pandoc's rule: no space inside the dollars, and no digit after them, so that prices stay prices.
_MATH = re.compile(
    r"""
    \\\( .+? \\\)
  | \\\[ .+? \\\]
  | \$\$ .+? \$\$
  | \$ (?![\s$]) [^$\n]*? (?<![\s\\]) \$ (?!\d)
    """,
    re.VERBOSE | re.DOTALL,
)


def parse(source: str, references: Mapping[str, Any]) -> tuple[list[SyntaxTreeNode], dict[str, Any]]:
    """Return the top-level blocks of `source`, and the link definitions known after it.

    Args:
        source: Markdown, not cut inside a line.
        references: The link definitions that came earlier.

    """
    environment: dict[str, Any] = {"references": dict(references)}
    tree = SyntaxTreeNode(_PARSER.parse(source, environment))
    return tree.children, environment["references"]


def first_line(node: SyntaxTreeNode) -> int:
    """Return the number of the source line that a block begins in."""
    assert node.map is not None
    return node.map[0]


def link_text(url: str) -> str:
    """Return `url` as people read it: percent-encoded letters decoded."""
    return _PARSER.normalizeLinkText(url)


def _math(state: StateInline, silent: bool) -> bool:
    if state.src[state.pos] not in "\\$":
        return False
    match = _MATH.match(state.src, state.pos, state.posMax)
    if not match:
        return False
    if not silent:
        state.push("math", "", 0).content = match.group()
    state.pos = match.end()
    return True


def _build() -> MarkdownIt:
    # Below the nesting limit text would be dropped; a hundred levels are more than anyone wants to read.
    parser = MarkdownIt("commonmark", {"maxNesting": 100}).enable("strikethrough")
    # As in GFM a list marker counts before a table's rule does: `- a | b` is no header. (markdown-it's own order would
    # turn a list item into a table when the next line has come.)
    parser.block.ruler.after("list", "gfm_table", table, {"alt": ["paragraph", "reference"]})
    parser.inline.ruler.before("escape", "math", _math)
    return parser


_PARSER = _build()
