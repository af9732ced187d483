"""A thread as a Markdown file: what was said, as it was written."""

import re
from collections.abc import Iterator

from chatcli.transfer.page import ThreadPage

_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})(.*)")
_SYNTAX = re.compile(r"([\\`*_\[\]<>#&|~])")


def markdown_page(page: ThreadPage) -> Iterator[str]:
    """Yield the lines of `page`, some of them several lines long."""
    yield f"# {_literal(page.heading)}"
    yield ""
    yield _literal(page.facts)
    for speaker, text, interrupted in page.sections():
        yield ""
        yield f"## {_literal(speaker)}"
        yield ""
        yield text.rstrip("\n")
        if fence := _open_fence(text):
            yield fence  # an answer that was cut short inside of code would swallow the rest of the page
        if interrupted:
            yield ""
            yield "*[interrupted]*"


def _literal(text: str) -> str:
    return _SYNTAX.sub(r"\\\1", text)


def _open_fence(text: str) -> str:
    """Return the fence that ends the code block in which `text` ends, or nothing."""
    fence = ""
    for line in text.split("\n"):
        match = _FENCE.match(line)
        if match is None:
            continue
        marks, rest = match.groups()
        if not fence:
            if marks[0] == "~" or "`" not in rest:
                fence = marks
        elif marks.startswith(fence) and not rest.strip():
            fence = ""
    return fence
