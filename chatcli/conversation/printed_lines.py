"""What a graph of the user's prints: told beside the answer, since the answer's stream is not its own."""

import io
import sys
from collections.abc import Callable

from chatcli.events import Notice


class PrintedLines(io.TextIOBase):
    """A text stream that makes a notice of each line; `tell` is called from whatever thread prints."""

    def __init__(self, tell: Callable[[Notice], None]) -> None:
        self._tell_line = tell
        self._open_line = ""

    def write(self, text: str) -> int:
        """Take `text`; an unfinished line waits for its end."""
        *lines, self._open_line = (self._open_line + text).split("\n")
        for line in lines:
            self._tell_line(Notice(line))
        return len(text)

    def writable(self) -> bool:
        """Return True."""
        return True

    def fileno(self) -> int:
        """Return where a child process may write."""
        return sys.stderr.fileno()
