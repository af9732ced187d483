"""Fences around texts of others in what a model is sent: lines that begin with a random marker, so none is forged."""

import html
import os
import re
from collections.abc import Iterable

_ATTACHED = re.compile(r"^[0-9a-f]{16} (?=</?(?:file|stdin)\b)", re.MULTILINE)

_TAG = re.compile(
    r"^(?P<marker>[0-9a-f]{16}) <(?P<end>/?)(?P<kind>file|stdin)(?: name=(?P<quote>[\"'])(?P<name>.*?)(?P=quote))?>$",
    re.MULTILINE,
)


def new_marker() -> str:
    """Return a marker that nobody can know before."""
    return os.urandom(8).hex()


def fenced(parts: Iterable[tuple[str, str]], marker: str, end: str) -> str:
    """Return `parts`, each a heading on one line and a text, as a model gets them.

    Each text is below a line with `marker` and its heading; below the last is a line with `marker` and `end`.
    """
    pieces: list[str] = []
    for heading, text in parts:  # joined in one go: a text may have 50 MB
        pieces += (marker, " ", heading, "\n", text, "" if text.endswith("\n") else "\n")
    return "".join((*pieces, marker, " ", end))


def unmarked(text: str) -> str:
    """Return `text`, a question, as it is shown: without the markers before the lines of its attached files."""
    return _ATTACHED.sub("", text)


def question_alone(text: str) -> str:
    """Return `text`, a question, without its attached files; if it has nothing else, what they hold."""
    return _TAG.split(text, 1)[0].strip() or _TAG.sub("", text)


def in_words(text: str) -> str:
    """Return `text`, a question, with words on the lines around its attached files: a small model takes tags for code.

    The markers stay.
    """
    return _TAG.sub(_as_words, text)


def _as_words(tag: re.Match[str]) -> str:
    name = html.unescape(tag["name"]) if tag["name"] else ""
    what = f"the file {name}".rstrip() if tag["kind"] == "file" else "the piped text"
    return f"({tag['marker']}: {'end' if tag['end'] else 'beginning'} of {what})"
