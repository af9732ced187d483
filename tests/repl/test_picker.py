"""The rows of a picker: which fit what is typed, and how they stand in columns."""

from chatcli.commands.registry import Choice
from chatcli.repl.picker import Columns, matching

CHOICES = (
    Choice("openai:gpt-5", "key"),
    Choice("local:qwen", "on this machine"),
    Choice("gpt", "openai:gpt-5-mini, alias"),
)


def names(typed: str) -> list[str]:
    return [choice.name for choice in matching(CHOICES, typed)]


def test_every_typed_word_is_in_a_row_wherever() -> None:
    assert names("") == ["openai:gpt-5", "local:qwen", "gpt"]
    assert names("QWEN machine") == ["local:qwen"]
    assert names("alias mini") == ["gpt"]
    assert names("other") == []


def test_a_whole_name_comes_before_others_that_begin_so() -> None:
    assert names("gpt") == ["gpt", "openai:gpt-5"]


def test_the_columns_are_those_of_all_rows_and_fit_the_width() -> None:
    columns = Columns([("a", "short"), ("x" * 30, "y" * 100), ("日本語", "wide")])
    assert columns.line(0, 200) == "a" + " " * 31 + "short"
    assert columns.line(2, 200) == "日本語" + " " * 26 + "wide"
    narrow = [columns.line(number, 40) for number in range(3)]
    assert [len(line) <= 40 for line in narrow] == [True] * 3
    assert narrow[1].startswith("xxx")
    assert "...  yyy" in narrow[1]
    assert narrow[0].index("short") == narrow[1].index("y")


def test_columns_survive_hostile_rows_and_a_tiny_screen() -> None:
    columns = Columns([("a\x1b[2Jb\nc", ""), ("", "x\ty")])
    assert "\x1b" not in columns.line(0, 80)
    assert "\n" not in columns.line(0, 80)
    for width in range(1, 9):
        assert len(columns.line(0, width)) <= max(width, 8)
    assert Columns([]) is not None
