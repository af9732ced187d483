"""Splits text into words as the full-text search does, and cuts out a snippet around the words found."""

import re
import string
import unicodedata
from collections.abc import Collection

from chatcli.store.threads import MATCH_END, MATCH_START

_WORD = re.compile(r"[^\W_]+")
_LATIN = [chr(code) for code in range(0xC0, 0x250)]

BETWEEN_WORDS = string.punctuation
"""The characters that separate words; PostgreSQL's own parser would read `file.py` or `a/b` as one word."""
ACCENTS = {letter: plain for letter in _LATIN if (plain := unicodedata.normalize("NFD", letter)[0]) != letter}
"""Letters with diacritics, and the plain letters that replace them in a search."""
_PLAIN = str.maketrans(ACCENTS)


def words_in(text: str) -> list[str]:
    """Return the words of `text`, without case and diacritics."""
    return [_folded(word) for word in _WORD.findall(text)]


def snippet(text: str, wanted: Collection[str], length: int) -> str:
    """Return `length` words of `text` around the first of `wanted`, with marks around each wanted word."""
    words = list(_WORD.finditer(text))
    first = next((place for place, word in enumerate(words) if _folded(word[0]) in wanted), 0)
    begin = max(min(first - length // 3, len(words) - length), 0)
    chosen = words[begin : begin + length]
    if not chosen:
        return text
    start = chosen[0].start() if begin else 0
    end = chosen[-1].end() if begin + length < len(words) else len(text)
    shown, last = "..." if begin else "", start
    for word in chosen:
        if _folded(word[0]) in wanted:
            shown += f"{text[last : word.start()]}{MATCH_START}{word[0]}{MATCH_END}"
            last = word.end()
    return shown + text[last:end] + ("..." if end < len(text) else "")


def _folded(word: str) -> str:
    return word.translate(_PLAIN).lower()
