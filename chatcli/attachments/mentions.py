"""`@path` in a typed line."""

import re
from pathlib import Path

_MENTION = re.compile(r"""(?:^|(?<=\s))@(?:"([^"\n]+)"|(\S+))""")
_CLOSING = ".,;:!?)]}'\""
_PATH = re.compile(r"(?:~|\.{0,2}/)?[^\s()<>{}\[\]=,;:|*@#$&\"'`\\]*")
"""What a path is written with, and other things behind an `@` are not: calls of a decorator, say."""
_ENDING = re.compile(r"\.(?=\w*[a-zA-Z])\w{1,5}$")


def find_mentions(line: str) -> list[str]:
    """Return the files and URLs that `line` mentions as `@path` or `@"a path"`, each once.

    Only what exists is meant: `@someone` stays text. Punctuation after a path is not part of it.
    """
    found: dict[str, None] = {}
    for quoted, bare in _MENTION.findall(line):
        source = quoted or _existing(bare)
        if source and (source.startswith(("http://", "https://")) or _is_file(source)):
            found[source] = None
    return list(found)


def missing_mentions(line: str) -> list[str]:
    """Return what `line` mentions as a file that is not there, each once: it looks like a path, or stands in quotes.

    `@someone` is a name. In a text of several lines, what begins a line is a decorator and what stands in a code
    block is code; neither is meant.
    """
    found: dict[str, None] = {}
    lines, fenced = line.strip().split("\n"), False
    for text in map(str.strip, lines):
        fenced ^= text.startswith("```")
        for mention in () if fenced else _MENTION.finditer(text):
            quoted, bare = mention.groups()
            source = quoted or (_existing(bare) if bare not in found else bare)
            decorates = len(lines) > 1 and mention.start() == 0
            if source in found or decorates or not (quoted or _looks_like_path(source)):
                continue
            if not source.startswith(("http://", "https://")) and not _is_file(source):
                found[source] = None
    return list(found)


def _looks_like_path(word: str) -> bool:
    return _PATH.fullmatch(word) is not None and bool(word.strip("./~")) and ("/" in word or bool(_ENDING.search(word)))


def _existing(word: str) -> str:
    return word if _is_file(word) else word.rstrip(_CLOSING)


def _is_file(source: str) -> bool:
    try:
        return Path(source).expanduser().is_file()
    except (OSError, RuntimeError, ValueError):  # a name too long, ~ of nobody, a zero byte
        return False
