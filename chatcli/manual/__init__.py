"""The manual: a Markdown page for each topic, which `chat help` and `/help` show."""

import difflib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from chatcli.errors import UsageError
from chatcli.runtime.options import OPTIONS

GROUPS = {
    "Start here": {
        "quickstart": "your first ten minutes",
        "privacy": "what leaves this machine",
        "troubleshooting": "problems and remedies",
        "platforms": "Linux, macOS and WSL",
    },
    "Guides": {
        "guide-notes": "take notes with threads",
        "guide-files": "ask your own files",
        "guide-review": "review code and commit",
        "guide-scripts": "scripts, cron and CI",
        "guide-graph": "your LangGraph app",
    },
    "Models": {
        "models": "models, keys and costs",
        "providers": "each provider's key",
        "langflow": "flows as models",
        "roles": "named system prompts",
        "context": "what the model gets",
    },
    "Conversation": {
        "conversation": "keys and commands",
        "threads": "keep, find, export",
        "documents": "answers from files",
        "memory": "instructions, facts",
        "postgresql": "threads on a server",
    },
    "Programs": {
        "scripts": "pipes, exit codes",
        "json": "output for programs",
        "settings": "options, variables",
        "editors": "Zed, Neovim, Emacs",
        "mcp": "chat as MCP server",
    },
    "Tools and graphs": {
        "tools": "tools and approvals",
        "trust": "what folders may do",
        "graphs": "graphs in Python",
        "server": "LangGraph servers",
    },
}
"""The topics by group, each with what its page is about, in at most six words."""

TOPICS = tuple(topic for group in GROUPS.values() for topic in group)

_COMMENT = re.compile(r"^<!--.*?-->\n", re.DOTALL | re.MULTILINE)
_OPTIONS = "<!-- options -->\n"
"""The line of a page that the rows of all options take the place of."""
_FENCE = "```"
_WHOLE = (_FENCE, "|", "#", "![")
"""The beginnings of lines that no other line continues."""
_STARTS = re.compile("|".join((*map(re.escape, _WHOLE), "- ", r"\d+\. ")))
"""The beginnings of lines that continue no other line."""
_HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)
_REMARK = re.compile(r"^( *)(\S.*?) +(# .+)$")
"""A line of code with a comment behind it: its indentation, the code and the comment."""
_CODE_WIDTH = 76
"""The most columns of a line of code that a screen of 80 columns shows whole."""


def read_page(topic: str) -> str:
    """Return the Markdown of the page `topic`, without its comments, which are for tests."""
    name = topic.strip().lower()
    if name not in TOPICS:
        # Those whose names are like it, then those that have it in a heading.
        headings = {topic: " ".join(_HEADING.findall(read_page(topic))).lower().split() for topic in TOPICS}
        like = difflib.get_close_matches(name, TOPICS, n=3)
        near = list(dict.fromkeys([*like, *(topic for topic in TOPICS if name in headings[topic])]))
        remedy = f"{'Nearest' if near else 'Topics'}: {', '.join(near or TOPICS)}."
        raise UsageError(f"the manual has no topic {topic!r}", remedy=remedy)
    page = (Path(__file__).parent / f"{name}.md").read_text("utf-8").replace(_OPTIONS, _option_rows())
    return _COMMENT.sub("", page)


def _option_rows() -> str:
    """Return the rows of a table of all options: the names, the environment variable, the help."""
    rows = []
    for option in OPTIONS:
        first, *others = option.flags[0].split("/") + list(option.flags[1:])
        names = ", ".join(f"`{name}`" for name in (f"{first} {option.metavar}".strip().replace("|", r"\|"), *others))
        variable = "" if "start" in option.scopes else f"`CHATCLI_{option.key.upper()}`"
        rows.append(f"| {names} | {variable} | {option.help} |\n")
    return "".join(rows)


def unfold(page: str) -> str:
    """Return `page` with a line for each paragraph: the renderer keeps the line breaks of its source.

    In a block of code with a long line, each comment is above its line.
    """
    lines: list[str] = []
    code: list[str] | None = None
    for line in page.split("\n"):
        if line.startswith(_FENCE):
            if code is not None:
                lines += _narrow(code)
            code = [] if code is None else None
        if code is not None and not line.startswith(_FENCE):
            code.append(line)
        elif lines and lines[-1] and line and not (_STARTS.match(line) or lines[-1].startswith(_WHOLE)):
            lines[-1] += f" {line.strip()}"
        else:
            lines.append(line)
    return "\n".join(lines)


def _narrow(code: Sequence[str]) -> Iterator[str]:
    """Yield the lines of `code`; if one is long, yield the comment behind a line before it."""
    is_wide = max(map(len, code), default=0) > _CODE_WIDTH
    for line in code:
        remark = _REMARK.match(line) if is_wide else None
        yield from (remark[1] + remark[3], remark[1] + remark[2]) if remark else (line,)


def list_topics() -> tuple[tuple[str, str], ...]:
    """Return each topic with what its page is about."""
    return tuple(topic for group in GROUPS.values() for topic in group.items())
