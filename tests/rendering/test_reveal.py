"""What a user approves or trusts is shown with nothing hidden."""

import sys
import unicodedata

import pytest
from wcwidth import wcwidth

from chatcli.sanitize import reveal, reveal_lines

VISIBLE = ("L", "N", "P", "S")


def number(char: str) -> str:
    return f"<U+{ord(char):04X}>"


@pytest.mark.parametrize("before", ["", "a", "\u0915"])
def test_every_code_point_can_be_seen(before: str, weekly: bool) -> None:
    """Each is shown as itself, with a width and a category that has ink, or by its number, or it changes a letter."""
    # Beyond the assigned planes, and within the private ones, all are alike.
    some = [*range(0x33480), *range(0x33480, 0xE0000, 251), *range(0xE0000, 0xE1000), *range(0xE1000, 0x110000, 251)]
    for char in map(chr, range(sys.maxunicode + 1) if weekly else some):
        shown = reveal(before + char).removeprefix(before)
        if shown == number(char):
            continue
        assert shown == char
        if char in " \t" or (unicodedata.category(char)[0] in VISIBLE and wcwidth(char) > 0):
            continue
        composed = unicodedata.normalize("NFC", before + char)
        assert len(composed) == 1 or unicodedata.name(char).startswith("DEVANAGARI "), number(char)


# Of several kinds: fillers, variation selectors, tags, joiners, blanks, marks without ink, formats, private ones.
UNSEEN = (
    "\u00a0\u00ad\u034f\u061c\u115f\u1160\u1680\u17b4\u17b5\u180b\u180e\u180f\u2000\u200a\u200b\u200d"
    "\u200e\u202e\u202f\u205f\u2060\u2064\u2066\u206a\u2800\u3000\u3164\ufe00\ufe0f\ufeff\uffa0\ufff9"
    "\ufffc\U0001107f\U00013441\U00016fe4\U0001bca0\U0001d159\U0001d173\U000e0001\U000e0041\U000e0154"
    "\U000e0100\ue000\u0378\x00\x1b\x7f\x85\u2028\ud800"
)


@pytest.mark.parametrize("char", UNSEEN, ids=number)
@pytest.mark.parametrize("around", [("", ""), ("a", "b"), ("\u1780", "\u1780"), ("\u1112\u1161", "x")])
def test_what_can_not_be_seen_is_shown_by_its_number(char: str, around: tuple[str, str]) -> None:
    if unicodedata.normalize("NFC", around[0] + char) == around[0] + char:
        assert reveal(char.join(around)) == number(char).join(around)


@pytest.mark.parametrize(
    "text",
    [
        *("plain\ttext", "Tiếng Việt", "a\u0301", "日本語が", "か\u3099", "한국어", "\u1112\u1161\u11ab", "हिन्दी"),
        *("ภาษาไทยที่", "👍🏽🇩🇪", "שָׁלוֹם", "العَرَبِيَّة", "<U+200B>", "→ ✓ “x” €"),
    ],
)
def test_text_of_many_scripts_stays_as_it_is(text: str) -> None:
    assert reveal(text) == text


def test_an_emoji_of_several_parts_is_shown_as_its_parts() -> None:
    assert reveal("👩\u200d💻 ❤\ufe0f 1\ufe0f\u20e3") == "👩<U+200D>💻 ❤<U+FE0F> 1<U+FE0F><U+20E3>"


def test_a_mark_that_is_there_already_or_has_no_letter_of_its_own_is_shown_by_its_number() -> None:
    assert reveal("\u0e01\u0e34\u0e34") == "\u0e01\u0e34<U+0E34>"
    assert reveal("a\u0e34 \u0301 1\u0301 a\u0332\u0301") == "a<U+0E34> <U+0301> 1<U+0301> a<U+0332><U+0301>"
    assert "<U+" in reveal("\u0915\u0941\u0947\u0948\u0949")


def test_only_a_newline_ends_a_line() -> None:
    assert reveal_lines("a\r\nb\x0bc\u2028d\n") == ["a", "b<U+000B>c<U+2028>d"]
