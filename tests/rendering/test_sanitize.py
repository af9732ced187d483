import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chatcli.sanitize import MAX_SEQUENCE, Sanitizer, reveal, sanitize, sanitize_line
from tests.rendering.work import calls

FORBIDDEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
PARTS = [
    *["\x1b", "[", "]", "P", "_", "^", "X", "\\", "\x07", "\x18", "\r", "\n", "\t", ";", "8", "52", "m", "J", " ", "#"],
    *["\x90", "\x98", "\x9b", "\x9c", "\x9d", "\x9e", "\x9f", "\x85", "\x7f", "\x00", "\u202e", "\u2069", "\ud800"],
    *["a", "é", "中", "👍", "https://example.org"],
]
NASTY = st.lists(st.sampled_from(PARTS) | st.characters(), max_size=60).map("".join)


@pytest.mark.parametrize(
    ("dirty", "clean"),
    [
        ("plain\ttext\n", "plain\ttext\n"),
        ("a\x1b[31mred\x1b[0m", "ared"),
        ("a\x1b[2J\x1b[Hb", "ab"),
        ("\x1b[?2026h\x1b[38;2;1;2;3mx", "x"),
        ("a\x1b]52;c;aGFja2Vk\x07b", "ab"),
        ("\x1b]8;;http://evil\x1b\\text\x1b]8;;\x1b\\", "text"),
        ("\x1b]0;title\x9cx", "x"),
        ("\x1bPq#0;1~\x1b\\x", "x"),
        ("\x1b_apc\x1b\\\x1b^pm\x1b\\\x1bXsos\x1b\\x", "x"),
        ("\x9b31mx\x9d52;c;aGFja2Vk\x07y\x90q\x9cz", "xyz"),
        ("\x1bcx\x1b7y\x1b(Bz\x1b#8", "xyz"),
        ("\x1b\x1b[31mx", "x"),
        ("\x1b[31\nx", "\nx"),
        ("\x1b中", "中"),
        ("a\r\nb\rc\r\r\nd", "a\nb\nc\n\nd"),
        ("a\r\x1b[K\nb", "a\nb"),
        ("bell\x07 nul\x00 del\x7f nel\x85", "bell nul del nel"),
        ("user\u202etxt.exe\u2066x", "user<U+202E>txt.exe<U+2066>x"),
        ("שלום\u200f", "שלום\u200f"),
        ("half \ud83d pair", "half \ufffd pair"),
    ],
)
def test_removes_what_a_terminal_would_obey(dirty: str, clean: str) -> None:
    assert sanitize(dirty) == clean


@pytest.mark.parametrize(
    ("dirty", "clean"),
    [
        ("\x1b]52;c;never closed\nthe answer goes on", "52;c;never closed\nthe answer goes on"),
        ("\x1bPnever closed\x1b[31m, red", "never closed, red"),
        ("â\x80\x9d mojibake of a quotation mark", "â mojibake of a quotation mark"),
        ("\x1b]0;" + "x" * MAX_SEQUENCE + "\x07y", "0;" + "x" * MAX_SEQUENCE + "y"),
        ("\x1b[" + "1" * (MAX_SEQUENCE + 5) + "m", "1" * 5 + "m"),
    ],
    ids=["newline", "escape", "C1", "too long", "too long CSI"],
)
def test_a_sequence_that_is_never_closed_swallows_no_text(dirty: str, clean: str) -> None:
    assert sanitize(dirty) == clean


@given(NASTY, st.lists(st.integers(1, 5), min_size=1, max_size=20))
@example("\x1b]8;;\x1b", [1])
def test_nothing_dangerous_passes_however_the_text_is_cut(text: str, sizes: list[int]) -> None:
    whole = sanitize(text)
    assert not FORBIDDEN.search(whole)
    sanitizer = Sanitizer()
    pieces: list[str] = []
    position = 0
    while position < len(text):
        size = sizes[len(pieces) % len(sizes)]
        pieces.append(sanitizer.feed(text[position : position + size]))
        position += size
    pieces.append(sanitizer.flush())
    assert "".join(pieces) == whole
    assert sanitize(whole) == whole


def test_flush_starts_again() -> None:
    sanitizer = Sanitizer()
    assert sanitizer.feed("a\x1b]0;open") == "a"
    assert sanitizer.flush() == "0;open"
    assert sanitizer.feed("b") == "b"
    assert sanitizer.feed("c\r") == "c\n"
    assert sanitizer.flush() == ""
    assert sanitizer.feed("\nd") == "\nd"  # of another text: no half of a line end
    assert sanitizer.feed("\x1b[3") == ""
    assert sanitizer.flush() == ""
    assert sanitizer.feed("1m") == "1m"


@pytest.mark.parametrize("part", ["\x1b]", "\x1b]0;", "\x9d", "\x1b[1"])
@pytest.mark.parametrize("size", [1, 2, 100_000])
def test_work_is_linear_in_the_length_of_an_attack(part: str, size: int) -> None:
    def attack(length: int) -> None:
        text, sanitizer = part * (length // len(part)), Sanitizer()
        for start in range(0, len(text), size):
            sanitizer.feed(text[start : start + size])
        sanitizer.flush()

    assert calls(lambda: attack(20_000)) < 4 * 1.1 * calls(lambda: attack(5_000))


def test_a_line_has_no_line_breaks() -> None:
    assert sanitize_line(" a\nb\x1b[31m\tc\r\n") == "a b c"


@pytest.mark.parametrize(
    ("hidden", "shown"),
    [
        ("a\tb 中é", "a\tb 中é"),
        ("rm\x1b[8m -rf", "rm<U+001B>[8m -rf"),
        ("a\nb\rc\x00", "a<U+000A>b<U+000D>c<U+0000>"),
        ("a\u202eb\u200bc\u2028", "a<U+202E>b<U+200B>c<U+2028>"),
        ("\ud800\U000e0041", "<U+D800><U+E0041>"),
    ],
)
def test_what_is_approved_hides_nothing(hidden: str, shown: str) -> None:
    assert reveal(hidden) == shown
