"""Pasted text: long ones are folded, and none of it is taken for what the user typed.

In the line, the characters of a paste that could give orders (`@path`, `!command`, `/command`, a sign of another paste)
are replaced by characters that no text contains (https://www.unicode.org/faq/private_use.html#noncharacters). They look
like the original on the screen, and keep their meaning through edits, undo, the kill ring and the history.
"""

import itertools
import re
import select
from collections.abc import Callable, Mapping, Sequence

from prompt_toolkit.input.posix_utils import PosixStdinReader
from prompt_toolkit.layout.processors import Processor, Transformation, TransformationInput
from prompt_toolkit.utils import get_cwidth

from chatcli.sanitize import reveal

PASTE_BEGIN, PASTE_END = "\x1b[200~", "\x1b[201~"
"""Stand around a paste, as terminals send it."""
_MARKERS = re.compile(r"\x1b\[20[01]~")
_MARKER_BEGUN = re.compile(r"\x1b\[20[01]?\Z")
_SEVERAL_LINES = re.compile(r"\r\s*[^\s\x00-\x1f\x7f]")
_PAUSE = 0.03
"""Seconds without a character after which a paste, or whatever else arrived in one piece, is complete."""

FOLDED_ROWS = 20
"""The number of rows of a narrow screen from which a paste is folded: what is not folded can be seen."""
_COLUMNS = 76

_ORDERS, _PASTED, _FOLDED = "@[!/", "\ufdd0\ufdd1\ufdd2\ufdd3", "\ufdd4"
_MARK = str.maketrans({**dict.fromkeys(_PASTED + _FOLDED, "\ufffd"), **dict(zip(_ORDERS, _PASTED, strict=True))})
_MARK_LINE = {**_MARK, ord("!"): "!", ord("/"): "/"}
_SHOW = str.maketrans(_PASTED, _ORDERS)
_PLAIN = {**_SHOW, ord(_FOLDED): None}
_TYPED = {code: char for code, char in _SHOW.items() if code != ord(_PASTED[0])}


def mark(text: str) -> str:
    """Return `text` as the part of a line that gives no orders."""
    return text.translate(_MARK)


def plain(line: str) -> str:
    """Return the text of `line` without marks."""
    return line.translate(_PLAIN)


def typed_mentions(line: str) -> str:
    """Return `line` with marks on every `@` that was pasted, and no others."""
    return line.translate(_TYPED)


def holds_folded(line: str) -> bool:
    """Return whether a part of `line` was folded."""
    return _FOLDED in line


class ShowPastes(Processor):
    """Shows marked text as it was pasted."""

    def apply_transformation(self, transformation_input: TransformationInput) -> Transformation:
        """Return the line with what the marks stand for."""
        fragments = transformation_input.fragments
        return Transformation([(fragment[0], fragment[1].translate(_SHOW), *fragment[2:]) for fragment in fragments])


class Pastes:
    """Pasted texts that are shown folded in the input line, as a sign such as `[pasted 300 lines]`.

    Where the terminal shows only what is typed, every paste is folded (`folds_all`).
    """

    def __init__(self, *, folds_all: bool = False) -> None:
        self.offered = ""
        """The sign of the text that Ctrl-X Ctrl-O inserts."""
        self._folds_all = folds_all
        self._texts: dict[str, str] = {}

    def fold(self, text: str) -> str:
        """Return the text to insert for the pasted `text`: the text with its marks, or a short sign.

        One line that hides nothing is marked only where it names files.
        """
        text = _MARKERS.sub(" ", text.replace("\r\n", "\n").replace("\r", "\n"))
        lines = text.count("\n") + (not text.endswith("\n"))
        if lines >= FOLDED_ROWS or (self._folds_all and lines > 1):
            return self.add(f"pasted {lines} lines", text)
        if self._folds_all or len(text) >= FOLDED_ROWS * _COLUMNS or _rows(text) >= FOLDED_ROWS:
            return self.add(f"pasted {len(text)} characters", text)
        line = text.removesuffix("\n")
        return text.translate(_MARK_LINE if reveal(line) == line else _MARK)

    def pieces(self, text: str) -> Sequence[str]:
        """Return the parts to insert, one after the other, for the pasted `text`.

        A dumb terminal shows only the end of what is inserted at once, so it gets a character at a time.
        """
        folded = self.fold(text)
        return folded if self._folds_all else (folded,)

    def add(self, what: str, text: str) -> str:
        """Return a sign for `text` that describes it as `what`; each text has a different sign."""
        names = itertools.chain([f"[{what}]"], (f"[{what} #{number}]" for number in itertools.count(2)))
        sign = next(name for name in names if self._texts.get(name, text) == text)
        self._texts[sign] = text
        return sign

    def unfold(self, line: str, show: Callable[[str], str] = lambda text: _FOLDED + mark(text)) -> str:
        """Return `line` with every sign replaced by its text as `show` returns it."""
        return self._replace(line, {sign: show(text) for sign, text in self._texts.items() if sign in line})

    def fold_again(self, line: str) -> str:
        """Return the marked `line` with the texts that have a sign replaced by it."""
        marked = {mark(text): sign for sign, text in self._texts.items()}
        held = {text: sign for text, sign in marked.items() if text in line}
        return self._replace(line, {**held, **{_FOLDED + text: sign for text, sign in held.items()}})

    @staticmethod
    def _replace(line: str, replacements: Mapping[str, str]) -> str:
        """Replace in one go, since a text may contain the sign of another; the longest first."""
        longest_first = sorted(replacements, key=len, reverse=True)
        pattern = "|".join(map(re.escape, longest_first))
        return re.sub(pattern, lambda match: replacements[match.group()], line) if replacements else line

    def edited(self, line: str, text: str) -> str:
        """Return the line that the editor's `text` makes of `line`: pasted text stays pasted, wherever it is now.

        What `line` begins with keeps its meaning.
        """
        if plain(self.unfold(line)) == line:
            return text
        typed = len(line[:1]) if line[:1] == text[:1] else 0
        return text[:typed] + mark(text[typed:])

    def ending(self, line: str) -> str:
        """Return the sign at the end of `line`, empty if there is none; a sign is deleted as a whole."""
        return next((sign for sign in self._texts if line.endswith(sign)), "")


def _rows(text: str) -> int:
    return sum(get_cwidth(line) // _COLUMNS + 1 for line in text.split("\n"))


class PasteReader(PosixStdinReader):
    """Reads the keyboard, and finds where a paste ends.

    All that arrives without a pause, from the first mark of a paste to the last one, is one paste: nobody types that
    fast, and the text may contain the mark of its own end, with keys behind it. If the terminal `marks` no paste, lines
    that arrive in one piece are one.
    """

    def __init__(self, descriptor: int, encoding: str, *, marks: bool = True) -> None:
        super().__init__(descriptor, encoding=encoding)
        self._marks = marks
        self._pasting, self._end_begun = False, ""

    def read(self, count: int = 1024) -> str:
        """Return the typed text."""
        text = super().read(count)
        while self._may_go_on(text) and select.select([self.stdin_fd], [], [], _PAUSE)[0] and not self.closed:
            text += super().read(count)
        if not self._marks and _SEVERAL_LINES.search(text) and not _MARKERS.search(text):
            return f"{PASTE_BEGIN}{text}{PASTE_END}"
        return self._join(text)

    def _may_go_on(self, text: str) -> bool:
        """Return whether what follows `text` at once belongs to it."""
        if self._pasting or _MARKERS.search(text) or _MARKER_BEGUN.search(text):
            return True
        return not self._marks and len(text) > 1 and "\r" in text

    def _join(self, text: str) -> str:
        """Return `text` with one complete paste in it at most."""
        begin, last = text.find(PASTE_BEGIN), text.rfind(PASTE_END)
        start = 0 if self._pasting else begin + len(PASTE_BEGIN)
        newest = self._end_begun + text
        ended, self._end_begun = PASTE_END in newest, newest[1 - len(PASTE_END) :]
        joined = last > start and (self._pasting or begin >= 0)
        self._pasting = text.rfind(PASTE_BEGIN) > last or (self._pasting and not ended)
        inner = _MARKERS.sub(" ", text[start:last].replace(PASTE_END + PASTE_BEGIN, ""))
        return text[:start] + inner + text[last:] if joined else text
