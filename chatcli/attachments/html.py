"""The text of a web page: its markup would take most of a model's context."""

import re
from html import unescape

from chatcli.text_lines import one_line

_LEFT_OUT = frozenset({"script", "style", "noscript", "template", "svg"})
_RAW_ENDS = {tag: re.compile(rf"</{tag}(?=[\s/>])", re.IGNORECASE) for tag in ("script", "style")}
"""What ends an element in which nothing else is markup."""
_INLINE = frozenset(
    {"a", "abbr", "b", "cite", "code", "em", "i", "kbd", "mark", "q", "s", "small", "span", "strong", "sub", "sup", "u"}
)
_START = re.compile(  # possessive, since many comments in a row could be read in very many ways
    r"\s*+(?:<\?xml[^>]*+>\s*+)?+(?:(?><!--.*?-->)\s*+)*+<(?:!doctype html|html)\b", re.IGNORECASE | re.DOTALL
)
_MARKUP = re.compile(r"<(?:(?P<comment>!--)|(?P<odd>[!?]|/(?=[^a-zA-Z]))|(?P<end>/?)(?P<tag>[a-zA-Z][^\s/>]*))")
_COMMENT_END = re.compile("--!?>")
_TAG_END_OR_QUOTE = re.compile(r""">|=\s*(["'])""")


def is_html(text: str) -> bool:
    """Return whether `text` is a whole web page."""
    return _START.match(text[:2000]) is not None


def html_text(page: str) -> str:
    """Return what a reader sees of `page`, a block a line.

    Any text is a page, as it is to a browser: an odd declaration is a comment, and what is never closed goes to the
    end (https://html.spec.whatwg.org/multipage/parsing.html). It is read once, in time that grows with its length.
    """
    pieces: list[str] = []
    left_out, position = "", 0
    while markup := _MARKUP.search(page, position):
        if not left_out:
            pieces.append(_words(page[position : markup.start()]))
        position = _end_of(markup, page)
        tag = (markup["tag"] or "").lower()
        if left_out:
            left_out = "" if markup["end"] and tag == left_out else left_out
        elif tag in _LEFT_OUT and not markup["end"]:
            left_out = tag
            if tag in _RAW_ENDS:
                end = _RAW_ENDS[tag].search(page, position)
                position = end.start() if end else len(page)
        elif tag and tag not in _INLINE:
            pieces.append("\n")
    if not left_out:
        pieces.append(_words(page[position:]))
    lines = (one_line(line) for line in "".join(pieces).split("\n"))
    return "\n".join(line for line in lines if line)


def _words(text: str) -> str:
    return " ".join(unescape(text).split("\n"))


def _end_of(markup: re.Match[str], page: str) -> int:
    """Return where `markup` ends, of which the match is the beginning."""
    if markup["comment"]:
        end = _COMMENT_END.search(page, markup.end() - 2)  # `<!-->` is a whole one
        return end.end() if end else len(page)
    if markup["odd"]:
        return page.find(">", markup.end()) + 1 or len(page)
    position = markup.end()
    while found := _TAG_END_OR_QUOTE.search(page, position):
        if not found[1]:
            return found.end()
        position = page.find(found[1], found.end()) + 1
        if not position:
            break
    return len(page)
