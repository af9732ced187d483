"""A thread as a page: what the Markdown and the HTML of an export have in common."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from chatcli.message import SPEAKERS, MessageShown
from chatcli.sanitize import sanitize, sanitize_line


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
        """The title, or what stands in for it."""
        return sanitize_line(self.title) or sanitize_line(self.thread_id)

    @property
    def facts(self) -> str:
        """One line about the thread."""
        facts = (f"Thread {self.thread_id}", self.model, self.updated_at[:16].replace("T", " "))
        return " · ".join(filter(None, map(sanitize_line, facts)))

    def sections(self) -> Iterator[tuple[str, str, bool]]:
        """Yield who speaks, what, and whether it was interrupted; the system prompt comes first."""
        if self.system:
            role = f" (role {sanitize_line(self.role)})" if self.role else ""
            yield f"System prompt{role}", sanitize(self.system), False
        for message in self.messages:
            yield SPEAKERS.get(message.role, sanitize_line(message.role)), sanitize(message.text), message.interrupted
