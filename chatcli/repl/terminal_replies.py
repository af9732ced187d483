"""Answers of the terminal to our own questions, told apart from typed keys."""

import re
from collections.abc import Callable

from prompt_toolkit.input.posix_utils import PosixStdinReader

ASK_BACKGROUND = "\x1b]11;?\x07"
"""Asks the terminal for its background, https://invisible-island.net/xterm/ctlseqs/ctlseqs.html#h3-Operating-System-Commands."""

_REPLY = re.compile(
    r"\x1b\]11;rgba?:([0-9a-fA-F]{1,4})/([0-9a-fA-F]{1,4})/([0-9a-fA-F]{1,4})[^\x07\x1b]*(?:\x07|\x1b\\)"
)
_REPLY_BEGUN = re.compile(r"\x1b\](?:1(?:1(?:;[rgba:0-9a-fA-F/]*\x1b?)?)?)?\Z")


class ReplyReader(PosixStdinReader):
    """Reads the keyboard; a reply about the background goes to `on_background`, whenever it comes, and is no key.

    Nobody waits for the reply, so that no key waits either and a slow line makes no difference.
    """

    def __init__(self, descriptor: int, encoding: str, on_background: Callable[[bool], None]) -> None:
        super().__init__(descriptor, encoding=encoding)
        self._on_background = on_background
        self._begun = ""

    def read(self, count: int = 1024) -> str:
        """Return what was typed; the beginning of a reply is held back until the next call."""
        text = self._begun + super().read(count)
        for reply in _REPLY.finditer(text):
            self._on_background(is_dark(*reply.groups()))
        text = _REPLY.sub("", text)
        begun = _REPLY_BEGUN.search(text)
        # What was held back before and is no longer now is typed text: Alt-] begins like a reply.
        self._begun = begun.group() if begun and begun.group() != self._begun else ""
        return text.removesuffix(self._begun) if self._begun else text


def is_dark(red: str, green: str, blue: str) -> bool:
    """Return whether a colour, in hexadecimal numbers of one to four digits, wants light text."""
    parts = [int(part, 16) / int("f" * len(part), 16) for part in (red, green, blue)]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2] < 0.5
