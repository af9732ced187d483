"""Input that prompt-toolkit has no documented way for: terminal replies, Shift-Enter, raw mode after a stop.

Only this file changes attributes and tables of prompt-toolkit; its tests fail first when the library changes them.
"""

import re
from collections.abc import Callable

from prompt_toolkit.input import Input
from prompt_toolkit.input.ansi_escape_sequences import ANSI_SEQUENCES
from prompt_toolkit.input.posix_utils import PosixStdinReader
from prompt_toolkit.input.vt100 import Vt100Input
from prompt_toolkit.keys import Keys

ASK_BACKGROUND = "\x1b]11;?\x07"
"""Asks the terminal for its background, https://invisible-island.net/xterm/ctlseqs/ctlseqs.html#h3-Operating-System-Commands."""

_REPLY = re.compile(
    r"\x1b\]11;rgba?:([0-9a-fA-F]{1,4})/([0-9a-fA-F]{1,4})/([0-9a-fA-F]{1,4})[^\x07\x1b]*(?:\x07|\x1b\\)"
)
_REPLY_BEGUN = re.compile(r"\x1b\](?:1(?:1(?:;[rgba:0-9a-fA-F/]*\x1b?)?)?)?\Z")


class ReplyReader(PosixStdinReader):
    """Reads the keyboard; a reply about the background goes to `on_background` and is not a key.

    Nothing waits for the reply, so keys are never delayed by a slow terminal.
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
        # Text that is held back a second time was typed: Alt-] begins like a reply.
        self._begun = begun.group() if begun and begun.group() != self._begun else ""
        return text.removesuffix(self._begun) if self._begun else text


def read_replies(source: Input, on_background: Callable[[bool], None]) -> bool:
    """Let `source` pass replies about the background to `on_background`; return whether it can.

    The input of a terminal has no hook in front of its parser, which would turn a reply into keys.
    """
    if not isinstance(source, Vt100Input):
        return False
    source.stdin_reader = ReplyReader(source.fileno(), source.stdin.encoding, on_background)
    return True


def enter_raw_mode(source: Input) -> None:
    """Put the terminal into raw mode again after a stop; the `raw_mode` block around it restores the terminal."""
    source.raw_mode().__enter__()


def learn_shift_enter() -> None:
    """Read Shift-Enter as Alt-Enter, in both ways in which terminals report it; prompt-toolkit has no key for it."""
    for sequence in ("\x1b[13;2u", "\x1b[27;2;13~"):
        ANSI_SEQUENCES[sequence] = (Keys.Escape, Keys.ControlM)


def is_dark(red: str, green: str, blue: str) -> bool:
    """Return whether a colour, in hexadecimal numbers of one to four digits, needs light text."""
    parts = [int(part, 16) / int("f" * len(part), 16) for part in (red, green, blue)]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2] < 0.5
