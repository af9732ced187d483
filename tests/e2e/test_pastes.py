"""Pasted text in a terminal: it gives no orders."""

from pathlib import Path
from threading import Event

import pytest

from tests.e2e.conftest import OpenTerminal
from tests.e2e.program import Home
from tests.e2e.terminal import Terminal
from tests.fakes.openai_server import FakeOpenAI
from tests.fakes.steps import Gated

LINES = "".join(f"\nline {number}" for number in range(200))


def started(terminal: OpenTerminal, *args: str, **options: object) -> Terminal:
    tty = terminal(*args, **options)  # type: ignore[arg-type]
    tty.wait_for_prompt()
    return tty


@pytest.mark.parametrize("rest", ["\nsecond line", LINES], ids=["visible", "folded"])
@pytest.mark.parametrize("order", ["!touch pwned", "/exit", "/system Obey.", "//text", "@~/secret.txt", "@docs/"])
def test_a_paste_of_several_lines_is_sent_as_it_is(
    order: str, rest: str, home: Home, fake: FakeOpenAI, terminal: OpenTerminal
) -> None:
    (home.root / "secret.txt").write_text("SECRET")
    (home.work / "docs").mkdir()
    (home.work / "docs" / "a.md").write_text("SECRET")
    tty = started(terminal)
    tty.paste(order + rest)
    tty.send_key("enter")
    if order.startswith("@"):
        tty.wait_for("no (Enter)")
        named = "secret.txt (6 B)" if order.startswith("@~") else "work/docs/ (a folder of"
        assert f"{home.root.resolve()}/{named}".replace(" ", "") in "".join(tty.lines()).replace(" ", "")
        tty.send_key("enter")
    fake.wait_for_requests(1)
    assert fake.requests[0].messages == [("user", order + rest)]
    assert not (home.work / "pwned").exists()


@pytest.mark.parametrize(("key", "attached"), [("y", True), ("n", False), ("\r", False)])
@pytest.mark.parametrize("paste", ["look at @notes.txt", "look at @notes.txt\nplease"])
def test_what_a_paste_names_is_attached_after_a_question_alone(
    paste: str, key: str, attached: bool, home: Home, fake: FakeOpenAI, terminal: OpenTerminal
) -> None:
    (home.work / "notes.txt").write_text("NOTES")
    tty = started(terminal)
    tty.paste(paste)
    tty.send_key("enter")
    tty.wait_for("no (Enter)")
    assert fake.requests == []
    tty.send(key)
    fake.wait_for_requests(1)
    assert ("NOTES" in fake.requests[0].last) is attached
    assert fake.requests[0].last.startswith(paste)


def test_ctrl_c_at_the_question_gives_the_line_back(home: Home, fake: FakeOpenAI, terminal: OpenTerminal) -> None:
    (home.work / "notes.txt").write_text("NOTES")
    tty = started(terminal)
    tty.paste("see @notes.txt")
    tty.send_key("enter")
    tty.wait_for("no (Enter)")
    tty.send_key("ctrl-c")
    tty.wait_for("nothing was sent")
    tty.wait_for_prompt("see @notes.txt")
    assert fake.requests == []


def test_keys_that_were_typed_before_the_question_are_no_answer(
    home: Home, fake: FakeOpenAI, terminal: OpenTerminal
) -> None:
    (home.work / "notes.txt").write_text("NOTES")
    tty = started(terminal)
    tty.send("\x1b[200~see @notes.txt\x1b[201~\ry")
    tty.wait_for("no (Enter)")
    tty.send_key("enter")
    fake.wait_for_requests(1)
    assert fake.requests[0].last == "see @notes.txt"


@pytest.mark.parametrize("typed", ["!", "/system "])
def test_a_folded_paste_is_no_part_of_a_command(
    typed: str, home: Home, fake: FakeOpenAI, terminal: OpenTerminal
) -> None:
    tty = started(terminal)
    tty.send(typed)
    tty.paste("touch pwned\n" * 200)
    tty.send_key("enter")
    tty.wait_for("can't be part of a command")
    tty.wait_for_prompt(f"{typed}[pasted 200 lines]")
    assert not (home.work / "pwned").exists()


def test_a_question_that_is_edited_again_gives_no_order(home: Home, fake: FakeOpenAI, terminal: OpenTerminal) -> None:
    tty = started(terminal)
    tty.paste("!touch pwned\nsecond")
    tty.send_key("enter")
    tty.wait_for("You said: ")
    tty.wait_for_prompt()
    tty.send_line("/undo")
    tty.wait_for(lambda text: text.count("> !touch pwned") == 2)
    tty.send_key("enter")
    fake.wait_for_requests(2)
    assert fake.requests[1].messages == [("user", "!touch pwned\nsecond")]
    assert not (home.work / "pwned").exists()


def test_the_output_of_a_command_names_no_files(home: Home, fake: FakeOpenAI, terminal: OpenTerminal) -> None:
    (home.work / "notes.txt").write_text("NOTES")
    tty = started(terminal)
    tty.send_line("!echo see @notes.txt")
    tty.wait_for("Ctrl-X Ctrl-O")
    tty.wait_for_prompt()
    tty.send("\x18\x0f\r")
    tty.wait_for("no (Enter)")
    tty.send_key("enter")
    fake.wait_for_requests(1)
    assert "NOTES" not in fake.requests[0].last


def test_a_paste_during_an_answer_has_the_same_rules(home: Home, fake: FakeOpenAI, terminal: OpenTerminal) -> None:
    gate = Event()
    fake.script(Gated("The first half", gate, " and the second."))
    tty = started(terminal)
    tty.send_line("go")
    tty.wait_for("The first half")
    tty.paste("!touch pwned\nsecond")
    tty.send_key("enter")
    tty.wait_for("second")
    gate.set()
    fake.wait_for_requests(2)
    assert fake.requests[1].last == "!touch pwned\nsecond"
    assert not (home.work / "pwned").exists()


def test_the_editor_gets_the_paste_and_what_it_returns_gives_no_order(
    home: Home, tmp_path: Path, fake: FakeOpenAI, terminal: OpenTerminal
) -> None:
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\ncp "$1" seen\nprintf "!touch pwned\\nsecond" > "$1"\n')
    editor.chmod(0o700)
    tty = started(terminal, env={"VISUAL": str(editor)})
    tty.paste("@one\n" * 30)
    tty.send("\x18\x05")
    fake.wait_for_requests(1)
    assert (home.work / "seen").read_text() == "@one\n" * 30
    assert fake.requests[0].last == "!touch pwned\nsecond"
    assert not (home.work / "pwned").exists()


@pytest.mark.executable
def test_lines_that_are_pasted_before_the_prompt_appears_wait_there(
    home: Home, fake: FakeOpenAI, terminal: OpenTerminal
) -> None:
    tty = terminal()
    tty.send("!touch pwned\rsecond\r")
    tty.wait_for("> !touch pwned\n  second")
    tty.send_key("enter")
    fake.wait_for_requests(1)
    assert fake.requests[0].last == "!touch pwned\nsecond\n"
    assert not (home.work / "pwned").exists()
