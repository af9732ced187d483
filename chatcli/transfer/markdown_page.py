"""A thread as a Markdown file: what was said, as it was written."""

import re
from collections.abc import Iterator

from chatcli.transfer.page import ThreadPage

_SYNTAX = re.compile(r"([\\`*_\[\]<>#&|~])")


def markdown_page(page: ThreadPage) -> Iterator[str]:
    """Yield the lines of `page`, some of them several lines long."""
    from chatcli.rendering.markdown.parser import open_fence

    yield f"# {_literal(page.heading)}"
    yield ""
    yield _literal(page.facts)
    for speaker, text, interrupted in page.sections():
        yield ""
        yield f"## {_literal(speaker)}"
        yield ""
        yield text.rstrip("\n")
        if fence := open_fence(text):
            yield fence  # an answer that was cut short inside of code would swallow the rest of the page
        if interrupted:
            yield ""
            yield "*[interrupted]*"


def _literal(text: str) -> str:
    return _SYNTAX.sub(r"\\\1", text)
