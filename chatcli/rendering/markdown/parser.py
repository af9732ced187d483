"""Parse the Markdown that models write: CommonMark, tables, strikethrough, and LaTeX, which is shown as it is."""

import re
from collections.abc import Mapping
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.rules_block import table
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token
from markdown_it.tree import SyntaxTreeNode

# As in Pandoc: no space next to a dollar sign inside the formula, and no digit after it. So prices are not formulas.
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
        source: Markdown that ends with a whole line, or with the whole text.
        references: The link definitions of the text before `source`.

    """
    environment: dict[str, Any] = {"references": dict(references)}
    tree = SyntaxTreeNode(_PARSER.parse(source, environment))
    return tree.children, environment["references"]


def first_line(node: SyntaxTreeNode) -> int:
    """Return the index of the source line in which a block begins."""
    assert node.map is not None
    return node.map[0]


def code_blocks(source: str) -> list[str]:
    """Return the code of each fenced block in `source`; a block that is not closed ends with the source."""
    return [token.content.removesuffix("\n") for token in _fences(source)]


def open_fence(source: str) -> str:
    """Return the line that closes the last code block of `source`; empty if it is closed or there is none.

    A block inside a list or a quote needs no such line, since it ends with the list or the quote.
    """
    for token in _fences(source)[-1:]:
        start, end = token.map or (0, 0)
        is_closed = end - start == token.content.count("\n") + 2  # the opening line and the closing one
        if token.level == 0 and not is_closed:
            return token.markup
    return ""


def _fences(source: str) -> list[Token]:
    # With a newline at the end of the source, every line of a block's content ends with a newline.
    complete = source if source.endswith("\n") else f"{source}\n"
    return [token for token in _BLOCK_PARSER.parse(complete) if token.type == "fence"]


def link_text(url: str) -> str:
    """Return `url` in readable form: percent-encoded letters are decoded."""
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
    # The parser drops text that is nested deeper than this limit. A hundred levels are more than any text needs.
    parser = MarkdownIt("commonmark", {"maxNesting": 100}).enable("strikethrough")
    # As in GFM, the list rule comes before the table rule: `- a | b` is not the header of a table. In markdown-it's
    # own order, the list item would become a table when the next line arrives.
    parser.block.ruler.after("list", "gfm_table", table, {"alt": ["paragraph", "reference"]})
    parser.inline.ruler.before("escape", "math", _math)
    return parser


_PARSER = _build()
_BLOCK_PARSER = _build().disable("inline")
