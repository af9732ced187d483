"""Make untrusted text safe for a terminal, even if it arrives in pieces."""

import re
import unicodedata
from enum import Enum, auto
from functools import cache

from chatcli.text import one_line

MAX_SEQUENCE = 4096
"""The most characters of an escape sequence. A longer OSC or DCS was never closed, so it is text and must be shown."""

# Control characters, and the bidirectional overrides and isolates of https://trojansource.codes. The marks
# U+200E, U+200F and U+061C stay: they reorder no more text than a letter of their script does.
_SPECIAL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_STRING_END = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f]")
_CSI_BODY = re.compile(r"[\x20-\x3f]*")
_ESC_INTERMEDIATES = re.compile(r"[\x20-\x2f]*")

_STRING_OPENERS_7BIT = "]PX^_"  # OSC, DCS, SOS, PM, APC
_BEL = "\x07"
_ESC = "\x1b"
_ST_8BIT = "\x9c"


# Letters and symbols without ink or without a width: fillers and the Korean vowels and finals that only show in a
# syllable, a blank braille pattern, the object replacement, hieroglyphs that are blank, a note without a head.
_UNSEEN = re.compile("[\u115f-\u11ff\u2800\u3164\ud7b0-\ud7ff\uffa0\ufffc\U00013441\U00013442\U00016fe4\U0001d159]")
_MARKED_SCRIPTS = frozenset(
    (
        *("ARABIC", "BENGALI", "DEVANAGARI", "GUJARATI", "GURMUKHI", "HEBREW", "KANNADA", "KHMER", "LAO", "MALAYALAM"),
        *("MYANMAR", "ORIYA", "SINHALA", "SYRIAC", "TAMIL", "TELUGU", "THAANA", "THAI", "TIBETAN"),
    )
)
"""The scripts whose letters have marks that no single character includes, as the names of their characters begin."""
_UNSEEN_MARK = re.compile(r"\b(?:COENG|INHERENT|SELECTOR|JOINER|FILLER)\b|^MYANMAR SIGN VIRAMA$")
"""The names of marks of these scripts that have no ink."""
_MOST_MARKS = 3
"""The marks on one letter that can be told apart."""


class _State(Enum):
    GROUND = auto()
    ESCAPE = auto()  # after ESC, with its intermediate bytes
    CSI = auto()
    STRING = auto()  # inside OSC, DCS, SOS, PM or APC
    STRING_ESCAPE = auto()  # after an ESC inside one of them; a backslash ends the sequence


_OPENERS = {_ESC: _State.ESCAPE, "\x9b": _State.CSI} | dict.fromkeys("\x9d\x90\x98\x9e\x9f", _State.STRING)
"""What a control character opens: the 8-bit ones are CSI, and as in `_STRING_OPENERS_7BIT`."""


class Sanitizer:
    r"""Removes control characters and whole escape sequences from a text that arrives in pieces.

    - C0 and C1 characters are removed, except newline and tab; CR LF and a lone CR become a newline.
    - CSI, OSC, DCS, SOS, PM, APC and two-character escape sequences are removed as a whole, even if they
      are split between pieces.
    - An OSC, DCS, SOS, PM or APC that is not closed before the end of its line, or within `MAX_SEQUENCE`
      characters, is not a sequence: its first characters are removed and its text is shown. No text is lost.
    - Bidirectional overrides and isolates become visible, as `<U+202E>`; lone surrogates become U+FFFD.

    The result does not depend on how the text is split into pieces.
    """

    def __init__(self) -> None:
        self._state = _State.GROUND
        self._held: list[str] = []  # the text of the open string sequence
        self._length = 0  # characters of the open sequence so far
        self._after_cr = False

    def feed(self, text: str) -> str:
        """Return the text that can be shown now: of `text` and of the pieces before it."""
        if self._state is _State.GROUND and not self._after_cr and not _SPECIAL.search(text):
            return text
        steps = {
            _State.GROUND: self._ground,
            _State.ESCAPE: self._escape,
            _State.CSI: self._csi,
            _State.STRING: self._string,
            _State.STRING_ESCAPE: self._string_escape,
        }
        shown: list[str] = []
        position = 0
        while position < len(text):
            position = steps[self._state](text, position, shown)
        return "".join(shown)

    def flush(self) -> str:
        """End the text: return the text of a sequence that was not closed, and start again."""
        shown: list[str] = []
        self._give_up(shown)
        self._after_cr = False
        return "".join(shown)

    def _ground(self, text: str, position: int, shown: list[str]) -> int:
        if self._after_cr and text[position] == "\n":
            self._after_cr = False
            return position + 1
        match = _SPECIAL.search(text, position)
        end = match.start() if match else len(text)
        if end > position:
            self._after_cr = False
            shown.append(text[position:end])
        if match:
            self._special(match.group(), shown)
            end += 1
        return end

    def _special(self, char: str, shown: list[str]) -> None:
        if char in _OPENERS:
            self._open(_OPENERS[char])
        elif char == "\r":
            shown.append("\n")
            self._after_cr = True
        elif "\ud800" <= char <= "\udfff":
            shown.append("\ufffd")
            self._after_cr = False
        elif char >= "\u2000":
            shown.append(f"<U+{ord(char):04X}>")
            self._after_cr = False

    def _open(self, state: _State) -> None:
        self._state = state
        self._length = 0

    def _escape(self, text: str, position: int, shown: list[str]) -> int:
        char = text[position]
        if self._length == 0 and (char == "[" or char in _STRING_OPENERS_7BIT):
            self._open(_State.CSI if char == "[" else _State.STRING)
            return position + 1
        return self._skip(_ESC_INTERMEDIATES, "\x30", text, position)

    def _csi(self, text: str, position: int, shown: list[str]) -> int:
        return self._skip(_CSI_BODY, "\x40", text, position)

    def _skip(self, body: re.Pattern[str], first_final: str, text: str, position: int) -> int:
        """Skip the body and the final byte of a sequence; any other character ends the sequence and is kept."""
        match = body.match(text, position, position + MAX_SEQUENCE - self._length)
        end = match.end() if match else position
        self._length += end - position
        if self._length >= MAX_SEQUENCE:
            self._state = _State.GROUND
        elif end < len(text):
            self._state = _State.GROUND
            if first_final <= text[end] <= "\x7e":
                end += 1
        return end

    def _string(self, text: str, position: int, shown: list[str]) -> int:
        limit = position + MAX_SEQUENCE - self._length
        match = _STRING_END.search(text, position, limit)
        end = match.start() if match else min(limit, len(text))
        self._held.append(text[position:end])
        self._length += end - position
        if match and match.group() == _ESC:
            self._state = _State.STRING_ESCAPE
            return end + 1
        if match and match.group() in (_BEL, _ST_8BIT):
            self._held.clear()
            self._state = _State.GROUND
            return end + 1
        if match or self._length >= MAX_SEQUENCE:
            self._give_up(shown)
        return end

    def _string_escape(self, text: str, position: int, shown: list[str]) -> int:
        if text[position] == "\\":
            self._held.clear()
            self._state = _State.GROUND
            return position + 1
        self._give_up(shown)
        self._open(_State.ESCAPE)
        return position

    def _give_up(self, shown: list[str]) -> None:
        self._state = _State.GROUND
        held = "".join(self._held)
        self._held.clear()
        position = 0
        while position < len(held):  # no character in it opens a sequence
            position = self._ground(held, position, shown)


def sanitize(text: str) -> str:
    """Return `text`, a whole text, made safe for a terminal."""
    if text.isprintable():  # a fast check, since a list may have thousands of texts
        return text
    sanitizer = Sanitizer()
    return sanitizer.feed(text) + sanitizer.flush()


def sanitize_line(text: str) -> str:
    """Return `text` made safe and on one line, for titles, names and table cells."""
    return one_line(sanitize(text))


def reveal(text: str) -> str:
    """Return `text` on one line with nothing hidden: what can't be seen stands there by its number, as `<U+001B>`.

    It is for what a user approves or trusts. `sanitize` removes whole sequences, and a terminal shows no invisible
    characters: either could hide a part of what is done. Only what is known to be visible is shown as itself: letters,
    numbers, punctuation, symbols, the space and the tab. A mark is, where it changes the letter before it. So an
    emoji of several parts is shown as its parts. Letters that look like others are not told apart.
    """
    if text.isascii() and text.isprintable():
        return text
    shown: list[str] = []
    cluster = ""  # a visible character, and the marks after it
    for char in text:
        if _is_visible(char):
            cluster = char
        elif cluster and _changes(cluster, char):
            cluster = unicodedata.normalize("NFC", cluster + char)
        else:
            shown.append(f"<U+{ord(char):04X}>")
            cluster = ""
            continue
        shown.append(char)
    return "".join(shown)


def reveal_lines(text: str) -> list[str]:
    """Return the lines of `text` with nothing hidden, as `reveal` returns each; only a newline ends a line."""
    return [reveal(line) for line in text.replace("\r\n", "\n").removesuffix("\n").split("\n")]


@cache
def _is_visible(char: str) -> bool:
    """Return whether `char` alone can be seen, or is a space or a tab."""
    return char in " \t" or (unicodedata.category(char)[0] in "LNPS" and not _UNSEEN.match(char))


def _changes(cluster: str, mark: str) -> bool:
    """Return whether `mark` can be seen behind `cluster`, and was not there yet."""
    if len(unicodedata.normalize("NFC", cluster + mark)) == 1:  # an accented letter, a Korean syllable
        return True
    if unicodedata.category(mark)[0] != "M" or len(cluster) > _MOST_MARKS or mark in cluster:
        return False
    name = unicodedata.name(mark, "")
    script = name.partition(" ")[0]
    return (
        script in _MARKED_SCRIPTS
        and not _UNSEEN_MARK.search(name)
        and unicodedata.category(cluster[0])[0] == "L"
        and unicodedata.name(cluster[0], "").startswith(f"{script} ")
    )
