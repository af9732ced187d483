import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.style import Style

from chatcli.rendering.theme import Line, Run, fold, plain_text, width_of, wrap

PLAIN = Style()
BOLD = Style(bold=True)


def line(*texts: str) -> Line:
    return tuple(Run(text, BOLD if index % 2 else PLAIN) for index, text in enumerate(texts))


@pytest.mark.parametrize(
    ("text", "width", "wrapped"),
    [
        ("", 5, [""]),
        ("fits", 5, ["fits"]),
        ("two words", 5, ["two", "words"]),
        ("a   b", 2, ["a", "b"]),
        ("    indented words", 12, ["    indented", "words"]),
        ("abcdefghij k", 4, ["abcd", "efgh", "ij k"]),
        ("x abcdefghij", 4, ["x", "abcd", "efgh", "ij"]),
        ("中文没有空格", 5, ["中文", "没有", "空格"]),
        ("中文\uff0c没有", 4, ["中", "文\uff0c", "没有"]),
        ("中文a", 1, ["中", "文", "a"]),
        ("no\u00a0break here", 9, ["no\u00a0break", "here"]),
    ],
)
def test_wraps_between_words(text: str, width: int, wrapped: list[str]) -> None:
    assert [plain_text(part) for part in wrap(line(text), width)] == wrapped


def test_styles_survive_wrapping() -> None:
    assert wrap(line("one ", "two three", " four"), 8) == [
        (Run("one ", PLAIN), Run("two", BOLD)),
        (Run("three", BOLD),),
        (Run("four", PLAIN),),
    ]


@given(st.text(st.characters(exclude_categories=["C", "Z", "M"]) | st.just(" ")), st.integers(2, 30))
def test_no_part_is_too_wide_and_only_spaces_are_lost(text: str, width: int) -> None:
    parts = wrap(line(text[:5], text[5:]), width)
    assert all(width_of(part) <= width for part in parts)
    assert "".join(plain_text(part) for part in parts).replace(" ", "") == text.replace(" ", "")


@given(st.text(st.characters(exclude_categories=["C"])), st.integers(2, 30))
def test_folding_loses_nothing(text: str, width: int) -> None:
    parts = fold(line(text[:5], text[5:]), width)
    assert "".join(map(plain_text, parts)) == text
