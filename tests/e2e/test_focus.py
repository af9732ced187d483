"""A user who looks at another window is called, and the terminal's reports of its focus are never typed text."""

import re
from pathlib import Path
from threading import Event

from tests.e2e.conftest import OpenTerminal
from tests.e2e.terminal import Terminal
from tests.fakes.openai_server import FakeOpenAI
from tests.fakes.steps import Gated, call

AWAY, BACK = "\x1b[O", "\x1b[I"
AT_ONCE = {"CHATCLI_NOTIFY_AFTER": "0", "KITTY_WINDOW_ID": "1"}


def reports(tty: Terminal) -> list[str]:
    """Return how the terminal was told to report its focus: h for on, l for off."""
    return [mode.decode() for mode in re.findall(rb"\x1b\[\?1004([hl])", tty.raw)]


def calls(tty: Terminal) -> int:
    """Count the rings of the bell."""
    return tty.raw.replace(b"\x1b]11;?\x07", b"").count(b"\a")


def test_an_answer_that_ends_unseen_is_announced(fake: FakeOpenAI, terminal: OpenTerminal) -> None:
    first, second = Event(), Event()
    fake.script(Gated("The first half", first, " and the second."), Gated("Another", second, " answer."))
    tty = terminal(env=AT_ONCE)
    tty.wait_for_prompt()
    tty.send_line("why is the sky blue?")
    tty.wait_for("The first half")
    tty.send("ty" + AWAY[:-1])
    tty.wait_for_prompt("ty")
    tty.send(AWAY[-1] + "ped")
    tty.wait_for_prompt("typed")
    first.set()
    tty.wait_for(lambda text: b"\x1b]777;notify;chat;the answer is complete: why is the sky blue?\x1b\\" in tty.raw)
    tty.wait_for_prompt("typed")
    tty.wait_for(lambda text: calls(tty) == 1)
    tty.send(f"{BACK}{AWAY}{BACK} too")
    tty.wait_for_prompt("typed too")
    tty.send_line("")
    tty.wait_for("Another")
    second.set()
    tty.wait_for("Another answer.")
    tty.wait_for_prompt()
    assert fake.requests[-1].last == "typed too"
    tty.send_key("ctrl-d")
    assert tty.exit_code() == 0
    assert calls(tty) == 1  # the user looked on
    assert reports(tty) == ["h", "l"]


def test_a_tool_that_waits_for_approval_calls_the_user_at_once(fake: FakeOpenAI, terminal: OpenTerminal) -> None:
    fake.script(call("run_shell", command="pwd -P"))
    tty = terminal("--tools", env={"CHATCLI_NOTIFY": "bell", "KITTY_WINDOW_ID": "1"})
    tty.wait_for_prompt()
    tty.send_line(f"go{AWAY}")
    tty.wait_for("y once")
    tty.wait_for(lambda text: calls(tty) == 1)
    assert b"]777;" not in tty.raw


def test_an_editor_has_the_terminal_without_reports(fake: FakeOpenAI, terminal: OpenTerminal, tmp_path: Path) -> None:
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\nprintf EDITING >/dev/tty\nprintf "from the editor" >"$1"\n')
    editor.chmod(0o755)
    tty = terminal(env={"EDITOR": str(editor), "VISUAL": str(editor)})
    tty.wait_for_prompt()
    tty.send("\x18\x05")
    tty.wait_for("You said: from the editor")
    before, _, after = tty.raw.partition(b"EDITING")
    assert before.rfind(b"?1004l") > before.rfind(b"?1004h")
    assert b"?1004h" in after


def test_no_reports_are_asked_for_where_the_user_wants_no_calls(terminal: OpenTerminal, fake: FakeOpenAI) -> None:
    tty = terminal(env={"CHATCLI_NOTIFY": "off"})
    tty.wait_for_prompt()
    tty.send(f"a{AWAY}b")
    tty.wait_for_prompt("ab")
    assert reports(tty) == []
