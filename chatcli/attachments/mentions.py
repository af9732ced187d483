"""`@path` in a typed line."""

import re
from pathlib import Path

_MENTION = re.compile(r"""(?:^|(?<=\s))@(?:"([^"\n]+)"|(\S+))""")
_CLOSING = ".,;:!?)]}'\""


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


def _existing(word: str) -> str:
    return word if _is_file(word) else word.rstrip(_CLOSING)


def _is_file(source: str) -> bool:
    try:
        return Path(source).expanduser().is_file()
    except (OSError, RuntimeError):  # a name too long, or ~ of nobody
        return False
