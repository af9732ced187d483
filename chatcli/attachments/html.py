"""The visible text of a web page: its markup would take most of a model's context."""

import re
from collections.abc import Iterable, Iterator
from html import unescape

from chatcli.text import one_line

_LEFT_OUT = frozenset({"script", "style", "noscript", "template", "svg"})
_RAW_ENDS = {tag: re.compile(rf"</{tag}(?=[\s/>])", re.IGNORECASE) for tag in ("script", "style")}
"""The end tags of the elements whose content is not markup."""
_INLINE = frozenset(
    {"a", "abbr", "b", "cite", "code", "em", "i", "kbd", "mark", "q", "s", "small", "span", "strong", "sub", "sup", "u"}
)
_START = re.compile(  # possessive: without it, many comments in a row would cost exponential time
    r"\s*+(?:<\?xml[^>]*+>\s*+)?+(?:(?><!--.*?-->)\s*+)*+<(?:!doctype html|html)\b", re.IGNORECASE | re.DOTALL
)
_MARKUP = re.compile(r"<(?:(?P<comment>!--)|(?P<odd>[!?]|/(?=[^a-zA-Z]))|(?P<end>/?)(?P<tag>[a-zA-Z][^\s/>]*))")
_COMMENT_END = re.compile("--!?>")
_TAG_END_OR_QUOTE = re.compile(r""">|=\s*(["'])""")


def is_html(text: str) -> bool:
    """Return whether `text` is a whole web page."""
    return _START.match(text[:2000]) is not None


def readable(text: str) -> str:
    """Return the text of `text` if it is a web page, else `text` itself."""
    return html_text(text) if is_html(text) else text


def html_text(page: str) -> str:
    """Return the visible text of `page`, one line per block."""
    return join_pieces(None if tag else page[start:end] for start, end, tag in html_pieces(page))


def join_pieces(pieces: Iterable[str | None]) -> str:
    """Return the text of `pieces` of a page, each a text, or None for the end of a line."""
    joined = "".join("\n" if piece is None else unescape(piece).replace("\n", " ") for piece in pieces)
    lines = (one_line(line) for line in joined.split("\n"))
    return "\n".join(line for line in lines if line)


def html_pieces(page: str) -> Iterator[tuple[int, int, str]]:
    """Yield the visible parts of `page`: begin, end and name of each text, and of each tag that ends a line.

    A text has no name, and that of an end tag begins with a slash. Like a browser, this accepts any text as a page: an
    unknown declaration is a comment, and an element that is never closed ends with the page
    (https://html.spec.whatwg.org/multipage/parsing.html). It takes linear time, which html.parser does not guarantee
    on hostile pages.
    """
    left_out, position = "", 0
    while markup := _MARKUP.search(page, position):
        if not left_out and markup.start() > position:
            yield position, markup.start(), ""
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
            yield markup.start(), position, markup["end"] + tag
    if not left_out and position < len(page):
        yield position, len(page), ""


def _end_of(markup: re.Match[str], page: str) -> int:
    """Return the position after `markup`, whose beginning is the match."""
    if markup["comment"]:
        end = _COMMENT_END.search(page, markup.end() - 2)  # `<!-->` is a complete comment
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
