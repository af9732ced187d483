"""The Markdown that models write: CommonMark, tables, strikethrough, and LaTeX left as it is."""

import re
from collections.abc import Mapping
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.rules_block import table
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token
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


def code_blocks(source: str) -> list[str]:
    """Return the code in each fenced block of `source`; a block that is not closed goes to its end."""
    return [token.content.removesuffix("\n") for token in _fences(source)]


def open_fence(source: str) -> str:
    """Return the line that closes the code block in which `source` ends, empty if it ends in none.

    A block inside a list or a quote needs no such line: it ends with the list or the quote.
    """
    for token in _fences(source)[-1:]:
        start, end = token.map or (0, 0)
        is_closed = end - start == token.content.count("\n") + 2  # the opening line and the closing one
        if token.level == 0 and not is_closed:
            return token.markup
    return ""


def _fences(source: str) -> list[Token]:
    # With a newline at its end each line of a block's content ends with one.
    complete = source if source.endswith("\n") else f"{source}\n"
    return [token for token in _BLOCK_PARSER.parse(complete) if token.type == "fence"]


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
    # Below the nesting limit text would be dropped; a hundred levels are more than a reader needs.
    parser = MarkdownIt("commonmark", {"maxNesting": 100}).enable("strikethrough")
    # As in GFM a list marker counts before a table's rule does: `- a | b` is not a header. (In markdown-it's own
    # order a list item would become a table when the next line has come.)
    parser.block.ruler.after("list", "gfm_table", table, {"alt": ["paragraph", "reference"]})
    parser.inline.ruler.before("escape", "math", _math)
    return parser


_PARSER = _build()
_BLOCK_PARSER = _build().disable("inline")
