"""A thread as a page: what its Markdown and its HTML have in common, and the Markdown."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from chatcli.message import SPEAKERS, MessageShown
from chatcli.sanitize import sanitize, sanitize_line

_SYNTAX = re.compile(r"([\\`*_\[\]<>#&|~])")


@dataclass(frozen=True, slots=True)
class ThreadPage:
    """What stands on the page of a thread; every text may be untrusted."""

    thread_id: str
    title: str
    model: str
    updated_at: str
    system: str | None
    role: str
    messages: Sequence[MessageShown]

    @property
    def heading(self) -> str:
        """The title, or the ID of a thread without one."""
        return sanitize_line(self.title) or sanitize_line(self.thread_id)

    @property
    def facts(self) -> str:
        """One line about the thread."""
        facts = (f"Thread {self.thread_id}", self.model, self.updated_at[:16].replace("T", " "))
        return " · ".join(filter(None, map(sanitize_line, facts)))

    def sections(self) -> Iterator[tuple[str, str, bool]]:
        """Yield the speaker, the text, and whether it was interrupted; the system prompt comes first."""
        if self.system:
            role = f" (role {sanitize_line(self.role)})" if self.role else ""
            yield f"System prompt{role}", sanitize(self.system), False
        for message in self.messages:
            yield SPEAKERS.get(message.role, sanitize_line(message.role)), sanitize(message.text), message.interrupted


def markdown_page(page: ThreadPage) -> Iterator[str]:
    """Yield the lines of `page`, some of them several lines long."""
    from chatcli.rendering.markdown.parser import open_fence  # an export as JSON does without markdown-it

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
