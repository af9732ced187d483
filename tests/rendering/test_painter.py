import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chatcli.rendering import theme
from chatcli.rendering.terminal.painter import SYNC_BEGIN, SYNC_END, Painter, wraps_old_lines_again
from chatcli.rendering.theme import EMPTY, Line, Run
from tests.rendering.screen import Terminal, WrappingTerminal

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


@pytest.mark.parametrize("after", ["x" * 19 + "y", "x" * 19, "x"])
def test_what_replaces_a_line_that_was_too_wide_is_whole(after: str) -> None:
    terminal = Terminal(20, 5)
    painter = Painter(terminal.console)
    painter.update(lines("x" * 19 + "yz"))
    painter.update(lines(after, "z"))
    assert terminal.lines() == [after, "z"]


@given(st.lists(st.tuples(LINES, st.integers(0, 9)), max_size=8))
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


def folded(*texts: str) -> list[Line]:
    return [
        part for text in texts for part in theme.fold((Run(text, theme.PLAIN),) * bool(text), 20, copied_whole=True)
    ]


ALPHABET = "abcdefghijklmnopqrstuvwxyz" * 3


def test_a_folded_line_is_wrapped_by_the_terminal() -> None:
    terminal = Terminal(20, 5)
    painter = Painter(terminal.console)
    painter.update(folded("one", ALPHABET[:50], "two"), 5)
    painter.update(folded("three", ALPHABET[:40]), 3)
    assert terminal.bytes.getvalue() == f"one\n{ALPHABET[:50]}\ntwo\nthree\n{ALPHABET[:40]}\n"


@pytest.mark.parametrize("step", [1, 3, 20, 27])
def test_a_folded_line_that_grows_is_wrapped_by_the_terminal(step: int) -> None:
    terminal = Terminal(20, 5)
    wrapped = WrappingTerminal(terminal)
    painter = Painter(terminal.console)
    for length in range(step, 60, step):
        painter.update([*folded(ALPHABET[:length]), *lines("status")])
        painter.update(folded(ALPHABET[:length]))
    last = max(range(step, 60, step))
    assert wrapped.copied() == [ALPHABET[:last]]
    assert terminal.lines() == [ALPHABET[start : min(start + 20, last)] for start in range(0, last, 20)]


@given(st.lists(st.tuples(st.lists(st.integers(0, 65), max_size=4), st.booleans(), st.integers(0, 9)), max_size=8))
@example([([48], False, 0), ([20], False, 1), ([1], False, 0)])  # a full row that was wrapped stays without its rest
def test_what_is_copied_is_the_lines_before_they_were_folded(updates: list[tuple[list[int], bool, int]]) -> None:
    terminal = Terminal(20, 60)
    wrapped = WrappingTerminal(terminal)
    painter = Painter(terminal.console)
    done: list[str] = []
    shown: list[str] = []
    for lengths, bold, finished in updates:
        texts = [ALPHABET[length % 7 :][:length] for length in lengths]
        rows = [folded(text) if text else [EMPTY] for text in texts]
        if bold:
            rows = [[type(row)(Run(run.text, theme.STRONG) for run in row) for row in part] for part in rows]
        count = min(finished, len(texts))
        painter.update([row for part in rows for row in part], sum(map(len, rows[:count])))
        done, shown = [*done, *texts[:count]], texts[count:]
    expected = [*done, *shown]
    while expected and not expected[-1]:
        expected.pop()
    assert wrapped.copied() == expected


def test_a_screen_that_joins_its_rows_when_it_gets_wider_loses_nothing() -> None:
    terminal = Terminal(20, 10)
    painter = Painter(terminal.console)
    painter.update(folded("kept", "kept too", ALPHABET[:50], "open"), 2)
    before = terminal.bytes.tell()
    terminal.resize(50, 10)
    painter.update(folded("other"))
    # The long line and "open" take two rows now.
    assert terminal.bytes.getvalue()[before:] == f"{SYNC_BEGIN}\x1b[1A\r\x1b[Jother{SYNC_END}"


def test_a_screen_that_wraps_its_rows_again_when_it_gets_narrower_keeps_none_twice() -> None:
    terminal = Terminal(20, 10)
    painter = Painter(terminal.console, wraps_again=True)
    painter.update([*folded("kept", ALPHABET[:40]), *lines("x" * 18, "open")], 1)
    before = terminal.bytes.tell()
    terminal.resize(15, 10)
    painter.update(folded("other"))
    # The long line takes three rows now, and the next one two.
    assert terminal.bytes.getvalue()[before:] == f"{SYNC_BEGIN}\x1b[5A\x1b[2G\x1b[J\r\x1b[Kother{SYNC_END}"


def test_only_whole_lines_are_drawn_again_that_are_on_the_narrower_screen() -> None:
    terminal = Terminal(20, 4)
    painter = Painter(terminal.console, wraps_again=True)
    painter.update(lines("a" * 18, "b" * 18, "c" * 18, "open"))
    before = terminal.bytes.tell()
    terminal.resize(10, 4)
    painter.update(lines("a", "b", "c", "open"))
    assert terminal.bytes.getvalue()[before:] == f"{SYNC_BEGIN}\x1b[2A\x1b[2G\x1b[J\r\x1b[Kc\nopen{SYNC_END}"


@pytest.mark.parametrize(
    ("environment", "wraps"),
    [
        ({}, False),
        ({"VTE_VERSION": "7600"}, True),
        ({"VTE_VERSION": "7600", "XTERM_VERSION": "XTerm(390)"}, False),
        ({"KITTY_WINDOW_ID": "1", "STY": "1.pts-0"}, False),
        ({"XTERM_VERSION": "XTerm(390)", "TMUX": "/tmp/tmux,1,0"}, True),
    ],
)
def test_terminals_that_wrap_old_lines_again_are_known(environment: dict[str, str], wraps: bool) -> None:
    assert wraps_old_lines_again(environment) is wraps
