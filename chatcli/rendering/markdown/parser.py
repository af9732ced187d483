"""Parse the Markdown that models write: CommonMark, tables, strikethrough, and LaTeX formulas."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.rules_block import StateBlock, table
from markdown_it.rules_inline import StateInline, image, link
from markdown_it.token import Token
from markdown_it.tree import SyntaxTreeNode

from chatcli.rendering.markdown.formulas import MAX_LENGTH

# As in Pandoc: no space next to a dollar sign inside the formula, and no digit after it. So prices are not formulas.
_INLINE_MATH = re.compile(r"\$(?![\s$])((?:[^$\\\n]|\\[^\n])*)(?<!\s)\$(?!\d)")
_MATH_ENDS = {"\\(": "\\)", "\\[": "\\]", "$$": "$$"}
_DISPLAYS = ("$$", "\\[")
_DISPLAY_LINES = 60
"""The most lines of a formula that begins a line."""
_FENCES = ("```", "~~~")
_LATEX = re.compile(r"[\\^_{]")
_WORDS = re.compile(r"[^\W\d_]{2,}\s+[^\W\d_]{2,}")
_PROSE = re.compile(rf"{_WORDS.pattern}|\s[^\W\d_]{{2,}}\s|[-+/=:,;.&]$")
"""What shows that the text between two dollar signs, which has no LaTeX in it, is words, prices or paths."""
_NAME = re.compile(r"\w{2,}")


def parse(source: str, references: Mapping[str, Any]) -> tuple[list[SyntaxTreeNode], dict[str, Any]]:
    """Return the top-level blocks of `source`, and the link definitions known after it.

    The source ends with a whole line, or with the whole text; `references` are the link definitions before it.
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
    end = _formula_end(state.src, state.pos, state.posMax)
    if not end:
        return False
    if not silent:
        state.push("math", "", 0).content = state.src[state.pos : end]
    state.pos = end
    return True


def _if_closed(rule: Callable[[StateInline, bool], bool]) -> Callable[[StateInline, bool], bool]:
    """Return `rule`, which reads a link, as one that looks for it only where a bracket closes after it.

    Otherwise each bracket costs a look at those after it, and at those after each of them, down to the parser's limit.
    """

    def read(state: StateInline, silent: bool) -> bool:
        return state.src.find("]", state.pos, state.posMax) >= 0 and rule(state, silent)

    return read


def _formula_end(source: str, start: int, limit: int) -> int:
    """Return where the formula ends that begins at `start`; 0 if there is none."""
    closing = _MATH_ENDS.get(source[start : start + 2])
    if closing:
        # The length is bounded, since each opening that is not closed is looked for an end.
        found = source.find(closing, start + 3, min(limit, start + MAX_LENGTH))
        return found + 2 if found > 0 else 0
    match = _INLINE_MATH.match(source, start, limit)
    return match.end() if match and not _is_prose(match[1], source[match.end() : match.end() + 1]) else 0


def display_end(line: str) -> str:
    """Return the mark that closes the formula that `line` begins but does not end; empty if it begins none."""
    if not line.startswith(_DISPLAYS) or (closing := _MATH_ENDS[line[:2]])[-1] in line[2:]:
        return ""
    return "" if _WORDS.search(line) and not _LATEX.search(line, 2) else closing


def _is_prose(text: str, after: str) -> bool:
    """Return whether `text` between single dollar signs, before the character `after`, is no formula."""
    if _LATEX.search(text):
        return False
    return _PROSE.search(text) is not None or (after.isalnum() and _NAME.fullmatch(text) is not None)


def _display(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """Read the lines of a formula as one paragraph: a line of it may begin as a list or a title does.

    Where it begins is decided by its first line, and where it ends by the lines up to there: a blank one at the latest.
    So no line that comes later changes a block that is finished.
    """
    if state.is_code_block(start):
        return False
    first = state.src[state.bMarks[start] + state.tShift[start] : state.eMarks[start]]
    closing = display_end(first)
    if not closing:
        return False
    if silent:
        return True
    following = start + 1
    while following < min(end, start + _DISPLAY_LINES):
        line = state.src[state.bMarks[following] + state.tShift[following] : state.eMarks[following]]
        if not line or state.sCount[following] < state.blkIndent or line.startswith(_FENCES):
            break
        following += 1
        if closing in line:
            break
    state.push("paragraph_open", "p", 1).map = [start, following]
    inline = state.push("inline", "", 0)
    inline.content = state.getLines(start, following, state.blkIndent, False).strip()
    inline.map = [start, following]
    inline.children = []
    state.push("paragraph_close", "p", -1)
    state.line = following
    return True


def _build() -> MarkdownIt:
    # The parser drops text that is nested deeper than this limit. A hundred levels are more than any text needs.
    parser = MarkdownIt("commonmark", {"maxNesting": 100}).enable("strikethrough")
    # As in GFM, the list rule comes before the table rule: `- a | b` is not the header of a table. In markdown-it's
    # own order, the list item would become a table when the next line arrives.
    parser.block.ruler.after("list", "gfm_table", table, {"alt": ["paragraph", "reference"]})
    parser.block.ruler.before("fence", "display", _display, {"alt": ["paragraph", "reference", "blockquote", "list"]})
    parser.inline.ruler.before("escape", "math", _math)
    parser.inline.ruler.at("link", _if_closed(link))
    parser.inline.ruler.at("image", _if_closed(image))
    return parser


_PARSER = _build()
_BLOCK_PARSER = _build().disable("inline")
