"""Long pastes: folded in the input line, sent whole."""

import itertools

FOLDED_LINES = 20
FOLDED_CHARACTERS = 2000
"""A paste of so many lines or characters is folded."""


class Pastes:
    """The pasted texts that stand folded in the input line, as `[pasted 300 lines]`."""

    def __init__(self) -> None:
        self.offered = ""
        """The sign of the text that Ctrl-X Ctrl-O inserts."""
        self._texts: dict[str, str] = {}

    def fold(self, text: str) -> str:
        """Return what to insert for the pasted `text`: itself, or a short sign of it."""
        lines = text.count("\n") + (not text.endswith("\n"))
        if lines >= FOLDED_LINES:
            return self.add(f"pasted {lines} lines", text)
        if len(text) >= FOLDED_CHARACTERS:
            return self.add(f"pasted {len(text)} characters", text)
        return text

    def add(self, what: str, text: str) -> str:
        """Return a sign for `text` that says `what` it is, unlike all others."""
        names = itertools.chain([f"[{what}]"], (f"[{what} #{number}]" for number in itertools.count(2)))
        sign = next(name for name in names if self._texts.get(name, text) == text)
        self._texts[sign] = text
        return sign

    def unfold(self, line: str) -> str:
        """Return `line` with every sign replaced by its text."""
        for sign, text in self._texts.items():
            line = line.replace(sign, text)
        return line

    def ending(self, line: str) -> str:
        """Return the sign that `line` ends with, or nothing: it goes as a whole when its end is deleted."""
        return next((sign for sign in self._texts if line.endswith(sign)), "")
