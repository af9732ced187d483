"""The files and URLs that a typed line mentions as `@path`."""

import re
from pathlib import Path

_MENTION = re.compile(r"""(?:^|(?<=\s))@(?:"([^"\n]+)"|(\S+))""")
_CLOSING = ".,;:!?)]}'\""
_PATH = re.compile(r"(?:~|\.{0,2}/)?[^\s()<>{}\[\]=,;:|*@#$&\"'`\\]*")
"""The characters of a path; other text after an `@`, such as the call of a decorator, has others."""
_ENDING = re.compile(r"\.(?=\w*[a-zA-Z])\w{1,5}$")


def find_mentions(line: str) -> list[str]:
    """Return the files and URLs that `line` mentions as `@path` or `@"a path"`, each once.

    Only files that exist count: `@someone` stays text. Punctuation after a path is not part of it.
    """
    found: dict[str, None] = {}
    for quoted, bare in _MENTION.findall(line):
        source = quoted or _existing(bare)
        if source and (source.startswith(("http://", "https://")) or _is_file(source)):
            found[source] = None
    return list(found)


def missing_mentions(line: str) -> list[str]:
    """Return the mentions in `line` of files that do not exist, each once: those that look like a path or are quoted.

    `@someone` is a name. In a text of several lines, a mention at the beginning of a line is a decorator, and one in
    a code block is code; neither counts.
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
    except (OSError, RuntimeError, ValueError):  # a name that is too long, ~ of an unknown user, a zero byte
        return False
