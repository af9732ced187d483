"""Pasted text in the line: it gives no orders, and comes out as it was."""

import os
from collections.abc import Iterator

import pytest

from chatcli.repl.pastes import FOLDED_ROWS, PASTE_BEGIN, PASTE_END, PasteReader, Pastes, holds_folded, mark, plain
from chatcli.repl.pastes import typed_mentions as typed

LONG = "\n".join(f"!{number} @a" for number in range(FOLDED_ROWS))


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("@a\ufdd0\ufdd4 b", "@a\ufffd\ufffd b"),  # characters that stand for something in a line
        ("!a\ufdd0\ufdd4\n/b", "!a\ufffd\ufffd\n/b"),
        (f"a{PASTE_END}!b\nc", "a !b\nc"),
        ("a\r\nb\rc", "a\nb\nc"),
    ],
)
def test_a_paste_has_its_text_and_no_mark_of_its_own(text: str, line: str) -> None:
    folded = Pastes().fold(text)
    assert plain(folded) == line
    assert not holds_folded(folded)
    assert "@" not in folded


def test_one_line_gives_orders_if_it_can_be_seen_as_a_whole() -> None:
    pastes = Pastes()
    assert [pastes.fold(text)[0] for text in ("!ls", "/help", "!ls\n")] == ["!", "/", "!"]
    for hidden in ("!ls\u200b", "!ls\x1b[8m", "!ls\n!ls", f"!{'x' * 76 * FOLDED_ROWS}"):
        assert pastes.fold(hidden)[0] not in "!/"


def test_only_what_was_typed_is_a_mention() -> None:
    line = f"@typed {mark('@pasted [x] !y')}"
    assert plain(line) == "@typed @pasted [x] !y"
    assert typed(line).count("@") == 1
    assert plain(typed(line)) == plain(line)


def test_a_folded_text_is_marked_whole_and_each_has_its_sign() -> None:
    pastes = Pastes()
    first, second, again = pastes.fold(LONG), pastes.fold(LONG.upper()), pastes.fold(LONG)
    assert (first, second, again) == ("[pasted 20 lines]", "[pasted 20 lines #2]", first)
    line = pastes.unfold(f"{second} and {first}")
    assert plain(line) == f"{LONG.upper()} and {LONG}"
    assert holds_folded(line)
    assert not set(line) & set("@!/[")
    longer = pastes.fold(f"{LONG}\nand more")
    assert pastes.fold_again(f"{line} {pastes.unfold(longer)}") == f"{second} and {first} {longer}"
    assert (pastes.ending(f"a{second}"), pastes.ending("a")) == (second, "")


def test_what_the_editor_returns_keeps_what_was_typed_first() -> None:
    pastes = Pastes()
    line = f"! {pastes.fold(LONG)}"
    assert pastes.edited(line, "!rm @a")[0] == "!"
    assert "@" not in pastes.edited(line, "!rm @a")
    assert pastes.edited(line, "/rm")[0] not in "!/"
    assert pastes.edited("!typed", "/all") == "/all"


def test_a_dumb_terminal_gets_every_paste_folded() -> None:
    pastes = Pastes(folds_all=True)
    assert [pastes.fold(text) for text in ("a\nb", "ab")] == ["[pasted 2 lines]", "[pasted 2 characters]"]
    assert "".join(pastes.pieces("a\nb")) == "[pasted 2 lines]"
    assert len(pastes.pieces("a\nb")) > 1


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reader, writer = os.pipe()
    yield reader, writer
    os.close(reader)
    os.close(writer)


@pytest.mark.parametrize(
    "text",
    [
        f"a{PASTE_BEGIN}b{PASTE_END}\r!c{PASTE_END}d",  # the text holds its own end
        f"a{PASTE_BEGIN}b{PASTE_BEGIN}c{PASTE_END}",
        f"{PASTE_BEGIN}b{PASTE_END}{PASTE_BEGIN}c{PASTE_END}",
    ],
)
@pytest.mark.parametrize("cut", [5, 6, 8, 1024])
def test_what_arrives_without_a_pause_is_one_paste(pipe: tuple[int, int], text: str, cut: int) -> None:
    reader, writer = pipe
    os.write(writer, text.encode())
    read = PasteReader(reader, "utf-8").read(cut)
    assert (read.count(PASTE_BEGIN), read.count(PASTE_END)) == (1, 1)
    before, _, rest = text.partition(PASTE_BEGIN)
    assert read.startswith(f"{before}{PASTE_BEGIN}b")
    assert read.endswith(rest.rpartition(PASTE_END)[2])
