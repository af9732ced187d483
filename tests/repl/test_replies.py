import os
from collections.abc import Iterator

import pytest

from chatcli.repl.terminal_replies import ReplyReader, is_dark

DARK = "\x1b]11;rgb:1e1e/1e1e/1e1e\x07"
LIGHT = "\x1b]11;rgb:ff/ff/ff\x1b\\"


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    read, write = os.pipe()
    yield read, write
    os.close(read)
    os.close(write)


@pytest.mark.parametrize(("reply", "dark"), [(DARK, True), (LIGHT, False)])
@pytest.mark.parametrize("cut", range(len(DARK)))
def test_a_reply_is_no_key_wherever_it_is_cut(pipe: tuple[int, int], reply: str, dark: bool, cut: int) -> None:
    told: list[bool] = []
    reader = ReplyReader(pipe[0], "utf-8", told.append)
    typed = f"before{reply}after"
    text = ""
    for part in (typed[: 6 + cut], typed[6 + cut :]):
        os.write(pipe[1], part.encode())
        text += reader.read() if part else ""
    if cut == 1:  # a lone Escape may be a key: it can't be held back
        return
    assert text == "beforeafter"
    assert told == [dark]


@pytest.mark.parametrize("typed", ["hello", "\x1b]x", "\x1b", "\x1b[A", "]11;rgb"])
def test_keys_pass(pipe: tuple[int, int], typed: str) -> None:
    reader = ReplyReader(pipe[0], "utf-8", lambda dark: None)
    os.write(pipe[1], typed.encode())
    assert reader.read() == typed


def test_alt_bracket_comes_with_the_next_key(pipe: tuple[int, int]) -> None:
    reader = ReplyReader(pipe[0], "utf-8", lambda dark: None)
    os.write(pipe[1], b"\x1b]")
    assert reader.read() == ""
    os.write(pipe[1], b"x")
    assert reader.read() == "\x1b]x"


def test_what_is_dark() -> None:
    assert is_dark("0", "0", "0")
    assert is_dark("2828", "2c2c", "3434")
    assert not is_dark("fd", "f6", "e3")
