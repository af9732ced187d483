import unicodedata

from hypothesis import given, settings
from hypothesis import strategies as st

from chatcli.rendering import theme
from chatcli.rendering.terminal.painter import SYNC_BEGIN, Painter
from chatcli.rendering.theme import EMPTY, Line, Run
from tests.rendering.screen import Terminal

TEXTS = st.sampled_from(
    ["", "a", "ab", "abc", "abd", "x" * 20, "x" * 19, "中文", "中a", "中文文", "é", "e\u0301", "a 👍", "a 👍b"]
)
LINES = st.lists(TEXTS, max_size=9)


def lines(*texts: str) -> list[Line]:
    return [(Run(text, theme.PLAIN),) if text else EMPTY for text in texts]


def test_growing_text_is_only_added_to() -> None:
    terminal = Terminal(20, 5)
    painter = Painter(terminal.console)
    for text in ("Hel", "Hello", "Hello w"):
        painter.update(lines(text))
    painter.update(lines("Hello w", "", "next"))
    assert terminal.bytes.getvalue() == "Hello w\n\nnext"


def test_a_change_above_the_last_line_is_synchronized() -> None:
    terminal = Terminal(20, 5)
    painter = Painter(terminal.console)
    painter.update(lines("one", "two", "three"))
    painter.update(lines("one", "2", "three"))
    assert terminal.bytes.getvalue().count(SYNC_BEGIN) == 1
    assert terminal.lines() == ["one", "2", "three"]


@given(st.lists(st.tuples(LINES, st.integers(0, 9)), max_size=8))
@settings(derandomize=True, max_examples=300, deadline=None)
def test_the_screen_shows_the_last_lines_of_each_kind(updates: list[tuple[list[str], int]]) -> None:
    terminal = Terminal(20, 60)
    painter = Painter(terminal.console)
    done: list[str] = []
    shown: list[str] = []
    for texts, finished in updates:
        painter.update(lines(*texts), min(finished, len(texts)))
        done += texts[:finished]
        shown = texts[finished:]
    expected = [unicodedata.normalize("NFC", text) for text in [*done, *shown]]  # as pyte does
    while expected and not expected[-1]:
        expected.pop()
    assert terminal.lines() == expected


@given(st.lists(st.integers(0, 12), max_size=12), st.integers(2, 6))
@settings(derandomize=True, max_examples=200, deadline=None)
def test_what_scrolled_off_is_never_repeated(counts: list[int], height: int) -> None:
    terminal = Terminal(20, height)
    painter = Painter(terminal.console)
    for count in [*counts, 15]:
        painter.update(lines(*(f"line {number}" for number in range(count))))
    painter.update(lines(*(f"line {number}" for number in range(15))), 15)
    assert terminal.lines() == [f"line {number}" for number in range(15)]


def test_clear_makes_room_and_the_next_update_goes_on_below() -> None:
    terminal = Terminal(20, 5)
    painter = Painter(terminal.console)
    tail = lines(*(f"line {number}" for number in range(8)))
    painter.update(tail)
    painter.clear()
    terminal.console.file.write("notice\n")
    painter.update(tail, len(tail))
    shown = terminal.lines()
    assert sorted(shown) == sorted(["notice", *(f"line {number}" for number in range(8))])


def test_no_colour_means_no_colour() -> None:
    terminal = Terminal(20, 5)
    terminal.console.no_color = True
    Painter(terminal.console).update([(Run("x", theme.CODE), Run("y", theme.STRONG))])
    assert terminal.bytes.getvalue() == "x\x1b[1my\x1b[0m"
