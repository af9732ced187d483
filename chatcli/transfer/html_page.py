"""A thread as one HTML file that needs nothing else: no script, no network; everything in it is escaped."""

from collections.abc import Iterator, Sequence
from html import escape
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererProtocol
from markdown_it.token import Token

# No stubs: see rendering/code.py.
from pygments import highlight  # type: ignore[import-untyped]
from pygments.formatters import HtmlFormatter  # type: ignore[import-untyped]
from pygments.lexers import get_lexer_by_name  # type: ignore[import-untyped]
from pygments.util import ClassNotFound  # type: ignore[import-untyped]

from chatcli.message import SPEAKERS
from chatcli.transfer.page import ThreadPage

MAX_MARKDOWN = 500_000
"""Characters of an answer above which it is shown as it was written: a browser, too, has its limits."""
MAX_CODE = 100_000
"""Characters of a code block above which it is not coloured."""

# Nothing may be loaded, whatever stands on the page.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
_LAYOUT = """
:root { color-scheme: light dark; }
body { max-width: 46rem; margin: 2rem auto; padding: 0 1rem; font: 1rem/1.6 system-ui, sans-serif;
  color: #1f2328; background: #fff; overflow-wrap: break-word; }
h1 { font-size: 1.5rem; line-height: 1.3; }
.facts, .interrupted { color: #656d76; font-size: .875rem; }
article { margin: 1.5rem 0; padding: .25rem 1rem; border-left: 3px solid #d1d9e0; }
article.user { border-color: #0969da; background: #f6f8fa; }
article > h2 { font-size: .875rem; margin: .5rem 0; color: #656d76; }
.said { white-space: pre-wrap; margin: .5rem 0; }
pre { overflow-x: auto; padding: .75rem; background: #f6f8fa; }
code, pre { font: .875rem/1.5 ui-monospace, monospace; }
table { border-collapse: collapse; } th, td { border: 1px solid #d1d9e0; padding: .25rem .6rem; }
@media (prefers-color-scheme: dark) {
  body { color: #e6edf3; background: #0d1117; }
  article { border-color: #3d444d; } article.user { border-color: #4493f8; background: #151b23; }
  .facts, .interrupted, article > h2 { color: #9198a1; }
  pre { background: #151b23; } th, td { border-color: #3d444d; } a { color: #4493f8; }
}
"""


def html_page(page: ThreadPage) -> Iterator[str]:
    """Yield the lines of `page`, some of them several lines long."""
    markdown = _markdown()
    yield "<!DOCTYPE html>"
    yield '<html lang="en"><head><meta charset="utf-8">'
    yield f'<meta http-equiv="Content-Security-Policy" content="{escape(_POLICY)}">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f"<title>{escape(page.heading)}</title>"
    yield f"<style>{_LAYOUT}{_colors()}</style></head><body>"
    yield f'<h1>{escape(page.heading)}</h1><p class="facts">{escape(page.facts)}</p>'
    for speaker, text, interrupted in page.sections():
        answer = speaker == SPEAKERS["assistant"]
        kind = "assistant" if answer else "summary" if speaker == SPEAKERS["summary"] else "user"
        yield f'<article class="{kind}"><h2>{escape(speaker)}</h2>'
        if answer and len(text) <= MAX_MARKDOWN:
            yield markdown.render(text)
        else:  # what a user typed, line by line as they typed it
            yield f'<div class="said">{escape(text)}</div>'
        if interrupted:
            yield '<p class="interrupted">[interrupted]</p>'
        yield "</article>"
    yield "</body></html>"


def _markdown() -> MarkdownIt:
    """Return a renderer that lets no HTML through and loads no picture."""
    markdown = MarkdownIt("commonmark", {"html": False, "highlight": _highlight, "maxNesting": 100}).enable(
        ["table", "strikethrough"]
    )
    markdown.add_render_rule("image", _picture)
    return markdown


def _picture(renderer: RendererProtocol, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
    """Return a link to the picture: loading it would reveal the reader to its server."""
    token = tokens[index]
    source = escape(str(token.attrs.get("src", "")))
    return f'<a href="{source}">[{escape(token.content) or "image"}]</a>'


def _highlight(code: str, language: str, attributes: str) -> str:
    try:
        lexer = get_lexer_by_name(language, stripnl=False) if len(code) <= MAX_CODE else None
    except ClassNotFound:
        lexer = None
    return escape(code) if lexer is None else str(highlight(code, lexer, HtmlFormatter(nowrap=True)))


def _colors() -> str:
    """Return the colours of code, on light and on dark."""
    light = HtmlFormatter(style="default").get_style_defs("pre")
    dark = HtmlFormatter(style="github-dark").get_style_defs("pre")
    return f"{light}\n@media (prefers-color-scheme: dark) {{\n{dark}\n}}"
