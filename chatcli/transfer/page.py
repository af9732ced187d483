"""A thread as a page: Markdown, or one HTML file that has no script and loads nothing: its texts are escaped."""

import re
from collections.abc import Iterator, Sequence
from html import escape
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererProtocol
from markdown_it.token import Token

# No stubs: see rendering/markdown/code.py.
from pygments import highlight  # type: ignore[import-untyped]
from pygments.formatters import HtmlFormatter  # type: ignore[import-untyped]
from pygments.lexers import get_lexer_by_name  # type: ignore[import-untyped]
from pygments.util import ClassNotFound  # type: ignore[import-untyped]

from chatcli.fences import unmarked
from chatcli.message import SPEAKERS
from chatcli.rendering.markdown.parser import open_fence
from chatcli.rendering.plain import source_lines
from chatcli.sanitize import sanitize, sanitize_line
from chatcli.sessions.history import as_shown
from chatcli.transfer.document import ThreadDocument

_SYNTAX = re.compile(r"([\\`*_\[\]<>#&|~])")

MAX_MARKDOWN = 500_000
"""Characters of an answer above which it is shown as plain text, since browsers have limits too."""
MAX_CODE = 100_000
"""Characters of a code block above which it is not highlighted."""

# Nothing may be loaded, whatever the page contains.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
_LAYOUT = """
:root { color-scheme: light dark; }
body { max-width: 46rem; margin: 2rem auto; padding: 0 1rem; font: 1rem/1.6 system-ui, sans-serif;
  color: #1f2328; background: #fff; overflow-wrap: break-word; }
h1 { font-size: 1.5rem; line-height: 1.3; }
.facts, .sources, .interrupted { color: #656d76; font-size: .875rem; }
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
  .facts, .sources, .interrupted, article > h2 { color: #9198a1; }
  pre { background: #151b23; } th, td { border-color: #3d444d; } a { color: #4493f8; }
}
"""


def _head(document: ThreadDocument) -> tuple[str, str]:
    """Return the title, or the ID of a thread without one, and one line about the thread."""
    facts = (f"Thread {document.thread_id}", document.model, document.updated_at[:16].replace("T", " "))
    heading = sanitize_line(document.title) or sanitize_line(document.thread_id)
    return heading, " · ".join(filter(None, map(sanitize_line, facts)))


def _sections(document: ThreadDocument) -> Iterator[tuple[str, str, list[str], bool]]:
    """Yield the speaker, the text, the sources, and whether it was interrupted; the system prompt comes first."""
    system = document.system
    if document.template:
        system = document.template.format_map(document.variables)  # its fields are plain names: `template_variables`
    if system:
        role = f" (role {sanitize_line(document.role)})" if document.role else ""
        yield f"System prompt{role}", sanitize(system), [], False
    for message in as_shown(list(document.messages)):
        speaker = SPEAKERS.get(message.role, sanitize_line(message.role))
        yield speaker, sanitize(unmarked(message.text)), source_lines(message.cited), message.interrupted


def markdown_page(document: ThreadDocument) -> Iterator[str]:
    """Yield the lines of `document` as a page, some of them several lines long."""
    heading, facts = _head(document)
    yield f"# {_literal(heading)}"
    yield ""
    yield _literal(facts)
    for speaker, text, sources, interrupted in _sections(document):
        yield ""
        yield f"## {_literal(speaker)}"
        yield ""
        yield text.rstrip("\n")
        if fence := open_fence(text):
            yield fence  # otherwise an answer that was cut short in a code block would swallow the rest of the page
        if sources:
            yield ""
            yield from (f"- {_literal(line)}" for line in sources)
        if interrupted:
            yield ""
            yield "*[interrupted]*"


def _literal(text: str) -> str:
    return _SYNTAX.sub(r"\\\1", text)


def html_page(document: ThreadDocument) -> Iterator[str]:
    """Yield the lines of `document` as a page, some of them several lines long."""
    heading, facts = (escape(text) for text in _head(document))
    options = {"html": False, "highlight": _highlight, "maxNesting": 100}
    markdown = MarkdownIt("commonmark", options).enable(["table", "strikethrough"])
    markdown.add_render_rule("image", _picture)
    light, dark = (HtmlFormatter(style=name).get_style_defs("pre") for name in ("default", "github-dark"))
    yield "<!DOCTYPE html>"
    yield '<html lang="en"><head><meta charset="utf-8">'
    yield f'<meta http-equiv="Content-Security-Policy" content="{escape(_POLICY)}">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f"<title>{heading}</title>"
    yield f"<style>{_LAYOUT}{light}\n@media (prefers-color-scheme: dark) {{\n{dark}\n}}</style></head><body>"
    yield f'<h1>{heading}</h1><p class="facts">{facts}</p>'
    for speaker, text, sources, interrupted in _sections(document):
        answer = speaker == SPEAKERS["assistant"]
        kind = "assistant" if answer else "summary" if speaker == SPEAKERS["summary"] else "user"
        yield f'<article class="{kind}"><h2>{escape(speaker)}</h2>'
        if answer and len(text) <= MAX_MARKDOWN:
            yield markdown.render(text)
        else:  # a question keeps its line breaks
            yield f'<div class="said">{escape(text)}</div>'
        if sources:
            yield f'<p class="sources">{"<br>".join(map(escape, sources))}</p>'
        if interrupted:
            yield '<p class="interrupted">[interrupted]</p>'
        yield "</article>"
    yield "</body></html>"


def _picture(renderer: RendererProtocol, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
    """Return a link to the image: loading it would reveal the reader to its server."""
    token = tokens[index]
    source = escape(str(token.attrs.get("src", "")))
    return f'<a href="{source}">[{escape(token.content) or "image"}]</a>'


def _highlight(code: str, language: str, attributes: str) -> str:
    try:
        lexer = get_lexer_by_name(language, stripnl=False) if len(code) <= MAX_CODE else None
    except ClassNotFound:
        lexer = None
    return escape(code) if lexer is None else str(highlight(code, lexer, HtmlFormatter(nowrap=True)))
