"""A passage: a part of a document with its place, as the index keeps it, a search finds it, and programs get it."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Passage:
    """A part of the document `path`; `text` is exactly what stands in the lines `start_line` to `end_line`.

    Lines are counted from 1, as editors count them, and joined by newlines; none stands at the end of `text`. In a PDF
    a passage has a `page`, counted from 1, and no lines. The lines of a DOCX or EPUB file are those of its extracted
    text.
    """

    path: Path
    """Absolute, with symbolic links resolved."""
    text: str
    start_line: int | None = None
    end_line: int | None = None
    page: int | None = None
    headings: tuple[str, ...] = ()
    """The headings, classes and functions around it, the outermost first."""
    plain: str = ""
    """The text without its markup, where it has much: a web page, a notebook. Else empty."""
    score: float = field(default=1.0, compare=False)
    """How well it matches what was searched for; a higher score is better, 1 at most."""
    by_words: float = field(default=1.0, compare=False)
    """The same by its words alone."""
    weak: bool = field(default=False, compare=False)
    """Whether an answer would say that nothing was found: all that one search finds is weak, or none."""

    def as_json(self) -> dict[str, Any]:
        """Return it as `chat docs search` and the tool of `chat mcp` print it."""
        from chatcli.documents.find import shown_path  # late: most of those who have passages search no folders

        return {
            "path": shown_path(self.path),
            "start_line": self.start_line,
            "end_line": self.end_line,
            "page": self.page,
            "text": self.text,
            "score": round(self.score, 4),
            "weak": self.weak,
        }
