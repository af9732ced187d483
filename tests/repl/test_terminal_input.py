"""The parts of prompt-toolkit that are changed from outside, and the replies of the terminal."""

import gc
import io
import os
import pty
import termios
from collections.abc import Iterator
from contextlib import suppress

import pytest
from prompt_toolkit.data_structures import Size
from prompt_toolkit.input import DummyInput
from prompt_toolkit.input.ansi_escape_sequences import ANSI_SEQUENCES
from prompt_toolkit.input.vt100 import Vt100Input
from prompt_toolkit.keys import Keys
from prompt_toolkit.output import DummyOutput
from prompt_toolkit.output.vt100 import Vt100_Output

from chatcli.repl.keys import (
    Focus,
    Reply,
    ReplyReader,
    enter_raw_mode,
    is_dark,
    learn_sequences,
    read_replies,
)
from chatcli.repl.typeahead import Typeahead

DARK = "\x1b]11;rgb:1e1e/1e1e/1e1e\x07"
LIGHT = "\x1b]11;rgb:ff/ff/ff\x1b\\"


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    read, write = os.pipe()
    yield read, write
    os.close(read)
    os.close(write)


@pytest.fixture
def terminal() -> Iterator[tuple[int, Vt100Input]]:
    """Return the end of a pseudo-terminal that types, and the input at the other end."""
    typing, reading = pty.openpty()
    with os.fdopen(typing, "wb"), os.fdopen(reading, encoding="utf-8") as stdin:
        yield typing, Vt100Input(stdin)


def test_prompt_toolkit_reads_keys_through_the_reader_that_is_put_into_its_input(
    terminal: tuple[int, Vt100Input],
) -> None:
    typing, source = terminal
    seen: list[Reply] = []
    assert read_replies(source, seen.append)
    with source.raw_mode():
        os.write(typing, f"a{DARK}b".encode())
        assert [press.data for press in source.read_keys()] == ["a", "b"]
    assert seen == ["dark"]
    assert not read_replies(DummyInput(), seen.append)


def test_raw_mode_that_is_entered_again_lasts_until_the_outer_block_ends(terminal: tuple[int, Vt100Input]) -> None:
    _, source = terminal
    before = termios.tcgetattr(source.fileno())
    with source.raw_mode():
        raw = termios.tcgetattr(source.fileno())
        assert raw != before
        termios.tcsetattr(source.fileno(), termios.TCSANOW, before)  # as a shell does
        enter_raw_mode(source)
        gc.collect()
        assert termios.tcgetattr(source.fileno()) == raw
    assert termios.tcgetattr(source.fileno()) == before


def test_prompt_toolkit_takes_the_sequences_of_shift_enter_from_its_table(terminal: tuple[int, Vt100Input]) -> None:
    learn_sequences()
    typing, source = terminal
    with source.raw_mode():
        for sequence in ("\x1b[13;2u", "\x1b[27;2;13~"):
            assert sequence in ANSI_SEQUENCES
            os.write(typing, sequence.encode())
            assert [press.key for press in source.read_keys()] == [Keys.Escape, Keys.ControlM]


@pytest.mark.parametrize(("reply", "background"), [(DARK, "dark"), (LIGHT, "light")])
@pytest.mark.parametrize("cut", range(len(DARK)))
def test_a_reply_is_not_a_key_wherever_it_is_cut(
    pipe: tuple[int, int], reply: str, background: Reply, cut: int
) -> None:
    seen: list[Reply] = []
    reader = ReplyReader(pipe[0], "utf-8", seen.append)
    typed = f"before{reply}after"
    text = ""
    for part in (typed[: 6 + cut], typed[6 + cut :]):
        os.write(pipe[1], part.encode())
        text += reader.read() if part else ""
    if cut == 1:  # a lone Escape may be a key: it can't be held back
        return
    assert text == "beforeafter"
    assert seen == [background]


@pytest.mark.parametrize(
    ("reply", "abilities"),
    [
        ("\x1b[?62;4;22c", ["sixel"]),
        ("\x1b[?65;1;9c", []),
        ("\x1b[?4c", []),
        ("\x1bP>|tmux 3.3a\x1b\\", ["wrapping"]),
        ("\x1bP>|XTerm(390)\x1b\\", []),
    ],
)
@pytest.mark.parametrize("cut", range(17))
def test_what_a_terminal_can_do_is_not_a_key_wherever_its_reply_is_cut(
    pipe: tuple[int, int], reply: str, abilities: list[Reply], cut: int
) -> None:
    seen: list[Reply] = []
    reader = ReplyReader(pipe[0], "utf-8", seen.append)
    typed = f"before{reply}after"
    text = ""
    for part in (typed[: 6 + cut], typed[6 + cut :]):
        os.write(pipe[1], part.encode())
        text += reader.read()
    if cut == 1:  # as above
        return
    assert text == "beforeafter"
    assert seen == abilities


@pytest.mark.parametrize("typed", ["hello", "\x1b]x", "\x1b", "\x1b[A", "]11;rgb"])
def test_keys_pass(pipe: tuple[int, int], typed: str) -> None:
    reader = ReplyReader(pipe[0], "utf-8", print)
    os.write(pipe[1], typed.encode())
    assert reader.read() == typed


def test_alt_bracket_comes_with_the_next_key(pipe: tuple[int, int]) -> None:
    reader = ReplyReader(pipe[0], "utf-8", print)
    os.write(pipe[1], b"\x1b]")
    assert reader.read() == ""
    os.write(pipe[1], b"x")
    assert reader.read() == "\x1b]x"


@pytest.mark.parametrize(("report", "focus"), [("\x1b[I", "focused"), ("\x1b[O", "away")])
@pytest.mark.parametrize("cut", range(4))
def test_a_report_of_the_focus_is_not_a_key_wherever_it_is_cut(
    terminal: tuple[int, Vt100Input], report: str, focus: Reply, cut: int
) -> None:
    typing, source = terminal
    seen: list[Reply] = []
    learn_sequences()
    read_replies(source, seen.append)
    typed = f"before{report}after\x1b[A"
    keys = []
    with source.raw_mode():
        for part in (typed[: 6 + cut], typed[6 + cut :]):
            os.write(typing, part.encode())
            keys += source.read_keys()
    draft = Typeahead()
    for key in keys:
        draft.press(key)
    assert [key.data for key in draft.keys] == [*"beforeafter", "\x1b[A"]
    assert draft.texts == ("beforeafter",)
    assert seen == [focus]


def test_the_last_report_holds(pipe: tuple[int, int]) -> None:
    focus = Focus(DummyOutput(), reports=True)
    reader = ReplyReader(pipe[0], "utf-8", lambda reply: focus.note(reply == "focused"))
    away = [focus.away]  # nothing was reported yet
    for reports, typed in ((b"\x1b[O\x1b[I\x1b[O", ""), (b"a\x1b[Ib", "ab")):
        os.write(pipe[1], reports)
        assert reader.read() == typed
        away.append(focus.away)
    assert away == [False, True, False]


def test_the_focus_is_reported_only_while_the_terminal_is_held() -> None:
    screen = io.StringIO()
    focus = Focus(Vt100_Output(screen, lambda: Size(24, 80)), reports=True)
    with focus.paused():
        pass
    with suppress(ZeroDivisionError), focus.held():
        focus.note(False)
        with focus.paused():
            screen.write(" elsewhere ")
        assert not focus.away  # nobody knows what happened meanwhile
        screen.write(f" {1 // 0} ")
    assert screen.getvalue() == "\x1b[?1004h\x1b[?1004l elsewhere \x1b[?1004h\x1b[?1004l"
    silent = io.StringIO()
    focus = Focus(Vt100_Output(silent, lambda: Size(24, 80)), reports=False)
    with focus.held(), focus.paused():
        pass
    assert silent.getvalue() == ""


def test_what_is_dark() -> None:
    assert is_dark("0", "0", "0")
    assert is_dark("2828", "2c2c", "3434")
    assert not is_dark("fd", "f6", "e3")
