"""Makes the man page chat(1) of sections of the manual, for the build hook."""

import re
from collections.abc import Iterator

from chatcli import __version__
from chatcli.manual import list_topics, read_page

_INLINE = re.compile(
    r"`(?P<code>[^`]+)`|\*\*(?P<bold>[^*]+)\*\*|\[(?P<link>[^]]+)\]\([^)]*\)|(?<!\w)\*(?P<it>[^*\s][^*]*)\*"
)
_CELLS = re.compile(r"(?<!\\)\|")
_ESCAPES = str.maketrans({"\\": r"\e", "-": r"\-", "~": r"\(ti", "^": r"\(ha", "`": r"\(ga"})
_HEAD = r"""
.SH NAME
chat \- chat with language models in the terminal, on threads that last
.SH SYNOPSIS
.B chat
[\fIOPTIONS\fR] [\fIPROMPT\fR]...
.br
.B chat
[\fIOPTIONS\fR] \fICOMMAND\fR [\fIARGUMENTS\fR]...
"""


def man_page() -> str:
    """Return the man page as roff."""
    settings, scripts = read_page("settings"), read_page("scripts")
    topics = "\n".join(f"| `chat help {topic}` | {about} |" for topic, about in list_topics())
    sections = {
        "DESCRIPTION": "\n\n".join(introduction(read_page(topic)) for topic in ("conversation", "threads", "scripts")),
        "OPTIONS": section(settings, "Options"),
        "COMMANDS": section(settings, "Sub-commands"),
        "EXIT STATUS": section(scripts, "Exit codes"),
        "ENVIRONMENT": "\n\n".join(
            section(settings, heading) for heading in ("Settings without an option", "Variables of others")
        ),
        "FILES": section(settings, "Files"),
        "SEE ALSO": f"| topic | about |\n|---|---|\n{topics}",
    }
    body = "".join(f".SH {title}\n{roff(text)}" for title, text in sections.items())
    return f'.TH CHAT 1 "" "threadchat {__version__}" "User Commands"{_HEAD}{body}'


def introduction(page: str) -> str:
    """Return the text of `page` between its title and its first heading."""
    return page.partition("\n")[2].partition("\n#")[0].strip()


def section(page: str, heading: str) -> str:
    """Return the text of `page` under the heading `heading`."""
    found = page.partition(f"\n## {heading}\n")[2]
    if not found:
        raise ValueError(f"the manual has no section {heading}")
    return found.partition("\n## ")[0].strip()


def roff(markdown: str) -> str:
    """Return `markdown` as roff: paragraphs, tables (a tag and its text a row) and blocks of code."""
    lines: list[str] = []
    for kind, block in _blocks(markdown):
        if kind == "code":
            lines += [".PP", ".EX", *(_escape(line) for line in block), ".EE"]
        elif kind == "table":
            for row in block[2:]:
                first, *others = (cell.strip().replace(r"\|", "|") for cell in _CELLS.split(row)[1:-1])
                text = "; ".join(filter(None, (others[-1], *others[:-1])))
                lines += [".TP", _inline(first), _inline(text)]
        elif not block[0].startswith("!["):  # a picture
            lines += [".PP", *map(_inline, block)]
    return "".join(f"{line}\n" for line in lines[lines[:1] == [".PP"] :])  # a section begins with a paragraph anyway


def _blocks(markdown: str) -> Iterator[tuple[str, list[str]]]:
    """Yield the blocks of `markdown`, each with its kind: "code", "table" or "text"."""
    block: list[str] = []
    code = False
    for line in (*markdown.split("\n"), ""):
        if line.startswith("```"):
            if code:
                yield "code", block
            code, block = not code, []
        elif line or code:
            block.append(line)
        elif block:
            yield "table" if block[0].startswith("|") else "text", block
            block = []


def _inline(text: str) -> str:
    """Return a line of Markdown as a line of roff, with bold code."""
    parts: list[str] = []
    end = 0
    for found in _INLINE.finditer(text):
        parts.append(_escape(text[end : found.start()]))
        end = found.end()
        if found["link"]:
            parts.append(_escape(found["link"]))
        else:
            font = "I" if found["it"] else "B"
            parts.append(rf"\f{font}{_escape(found[found.lastgroup or 0])}\fR")
    line = "".join([*parts, _escape(text[end:])])
    return rf"\&{line}" if line.startswith((".", "'")) else line


def _escape(text: str) -> str:
    """Return `text` with roff's own characters escaped."""
    escaped = text.translate(_ESCAPES)
    return rf"\&{escaped}" if escaped.startswith((".", "'")) else escaped
