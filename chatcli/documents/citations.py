"""What an answer cites: the numbers in its Markdown, and the passages that they stand for."""

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chatcli.message import Citation, Cited
from chatcli.runtime.parse import read_json

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

CITED = "chatcli_cited"
"""The key of an answer's metadata for what it cites, with absolute paths."""
_NUMBER = r"\^?\d{1,3}"
_RANGE = rf"{_NUMBER}(?:\s*[-\u2010-\u2015]\s*{_NUMBER})?"
_COMMA = "[,;\u3001\uff0c\uff1b]"
_NUMBERS = rf"\s*({_RANGE}(?:\s*{_COMMA}\s*{_RANGE})*)\s*"
# At most three digits: [2024] is a year. 【1†source】 is how some models were taught to cite.
_MARK = re.compile(rf"\[{_NUMBERS}\]|【{_NUMBERS}(?:†[^】\n]*)?】")
_WIDEST = 50
"""How far the ends of a range are apart at most; of a wider one, only they are cited."""
_CANDIDATE = re.compile(r"[\[【]\s*\^?\d")
_JSON = re.compile(r"\s*\[?\s*\{")
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://|mailto:", re.IGNORECASE)


def cite(answer: str, found: Iterable[Citation]) -> Cited:
    """Return the citations of the passages `found` in `answer`, Markdown, and its numbers that name no passage."""
    known = {citation.number: citation for citation in found}
    numbers = sorted(set(cited_numbers(answer)))
    return Cited(
        tuple(known[number] for number in numbers if number in known),
        tuple(number for number in numbers if number not in known),
    )


def cited_in(metadata: Mapping[str, Any]) -> Cited | None:
    """Return the citations of the answer with this `metadata`; None if it used no documents or can't be read."""
    if CITED not in metadata:
        return None
    from pydantic import TypeAdapter, ValidationError  # late: most threads have no documents

    with suppress(ValidationError):  # an import may hold anything
        return TypeAdapter(Cited).validate_python(metadata[CITED])
    return None


def for_people(cited: Cited) -> Cited:
    """Return `cited`, whose paths are absolute, with the paths that people see."""
    from chatcli.documents.find import shown_path

    shown = (replace(citation, path=shown_path(Path(citation.path))) for citation in cited.citations)
    return replace(cited, citations=tuple(shown))


def cited_numbers(answer: str) -> Iterator[int]:
    """Yield the numbers that `answer`, Markdown, cites: `[1]`, `[1, 2]`, `[1-3]` or `【1】` in its text.

    Code, links, images and link definitions cite nothing, and of JSON only its texts do. A definition of a number that
    is no web address, as in `[1]: docs/setup.md` or `[1](docs/setup.md)`, names a source: the number is no link then.
    """
    if not _CANDIDATE.search(answer):
        return
    environment: dict[str, Any] = {}
    for token in _parser().parse("\n\n".join(_texts(answer)), environment):
        if token.type == "inline":
            text = _text_of(token.children or [], environment.get("references", {}))
            for mark in _MARK.finditer(text):
                yield from _expanded(mark[1] or mark[2])


def _texts(answer: str) -> list[str]:
    """Return the texts in an answer that is a JSON object or a list of such; of any other, the answer itself."""
    if not _JSON.match(answer):
        return [answer]
    try:
        values = [read_json(answer)]
    except ValueError:
        return [answer]
    texts: list[str] = []
    for value in values:  # it grows meanwhile
        if isinstance(value, str):
            texts.append(value)
        elif isinstance(value, dict | list):
            values += value.values() if isinstance(value, dict) else value
    return texts


def _expanded(numbers: str) -> Iterator[int]:
    """Yield the numbers in `1, 3-5`."""
    for part in re.split(_COMMA, numbers):
        first, last = (int(digits) for digits in (re.findall(r"\d+", part) * 2)[:2])
        yield from range(first, last + 1) if first <= last <= first + _WIDEST else (first, last)


def _text_of(tokens: "list[Token]", references: Mapping[str, Any]) -> str:
    """Return the text of inline `tokens` without code and links; a character stands where something is left out."""
    pieces: list[str] = []
    inside: list[tuple[int, str]] = []
    """The links around the current token: where the text of each begins, and its address."""
    for token in tokens:
        if token.type == "link_open":
            inside.append((len(pieces), str(token.attrs.get("href", ""))))
        elif token.type == "link_close" and inside:
            begin, address = inside.pop()
            text = "".join(pieces[begin:])
            is_number = text.upper() in references or _MARK.fullmatch(f"[{text}]")
            pieces[begin:] = [f"[{text}]" if is_number and not _ADDRESS.match(address) else "\0"]
        elif token.type == "text":
            pieces.append(token.content)
        elif token.type == "softbreak":
            pieces.append("\n")
        elif token.nesting == 0:  # code, an image, or an escaped character
            pieces.append("\0")
    return "".join(pieces)


@cache
def _parser() -> "MarkdownIt":
    from markdown_it import MarkdownIt  # late: only an answer from documents is parsed

    # Without the last rule, an escaped bracket is a token of its own, and so no part of a citation. HTML is text.
    return MarkdownIt("commonmark", {"html": False, "maxNesting": 100}).disable("text_join")
