"""The model acts while a user is there to be asked: in the REPL, in a one-shot, and after a restart."""

import threading
from contextlib import closing

import pytest

from chatcli.tools.sandbox.confinement import find_strength
from tests.e2e.conftest import OpenTerminal
from tests.e2e.program import EXECUTABLE, Chat, Home
from tests.e2e.terminal import Terminal
from tests.fakes.openai_server import FakeOpenAI
from tests.fakes.steps import Answer, Calls, Gated, Request, call
from tests.waiting import WAIT_SECONDS

ECHO = "echo approved > proof-of-a-command-that-is-longer-than-the-line-of-a-call-and-must-be-shown-to-its-very-end"


def act(request: Request) -> object:
    """Run a command for each question, and answer with what came of it."""
    return Answer(f"So: {request.last}") if request.messages[-1][0] == "tool" else call("run_shell", command="pwd -P")


KEYS = "Run it? y once, t for the thread, a always, o once outside, e edit, n no"


def test_the_repl_asks_for_a_key_runs_and_remembers_for_the_thread(
    terminal: OpenTerminal, home: Home, fake: FakeOpenAI
) -> None:
    fake.script(call("run_shell", command=ECHO), Answer("done"))
    chat = terminal("--tools", "--thread", "work", size=(80, 24))
    chat.wait_for_prompt()
    chat.send_line("go")
    shown = chat.wait_for(KEYS)
    assert shown.count("run_shell(command=") == 1
    assert "to-its-very-end" in shown.replace("\n", "")
    assert not list(home.work.iterdir())
    assert "tokens in" not in shown
    chat.send("y")
    chat.wait_for("done\n22 tokens in, 14 out, ")
    assert len(list(home.work.iterdir())) == 1
    fake.default = act  # type: ignore[assignment]
    chat.wait_for_prompt()
    chat.send_line("again")
    assert "t and a allow every call like run_shell:pwd *" in chat.wait_for(lambda text: text.count(KEYS) == 2)
    chat.send("n")
    chat.wait_for("So: The user refused this call.")
    chat.wait_for_prompt()
    chat.send_line("and again")
    chat.wait_for(lambda text: text.count(KEYS) == 3)
    chat.send("t")
    chat.wait_for(lambda text: text.count("So:") == 2)
    chat.wait_for_prompt()
    chat.send_line("and once more")
    chat.wait_for(lambda text: text.count("So:") == 3)
    chat.wait_for_prompt()
    chat.send_line("/tools")
    listed = chat.wait_for(lambda text: "read_file" in text and "run_shell:pwd *" in text.partition("/tools")[2])
    assert {"Tools", "Run without asking"} <= set(listed.splitlines())  # titles are not wrapped
    assert "without a keyboard." in listed


def test_no_other_key_and_nothing_that_was_typed_before_approves(
    terminal: OpenTerminal, home: Home, fake: FakeOpenAI
) -> None:
    go_on = threading.Event()

    def ask_late(request: Request) -> Calls:
        go_on.wait(WAIT_SECONDS)
        return call("run_shell", command="touch ran")

    fake.script(ask_late, Answer("done"))
    chat = terminal("--tools", size=(200, 60))
    chat.wait_for_prompt()
    chat.send_line("go")
    chat.wait_for("waiting for")
    chat.send("y\ry")
    chat.wait_for_prompt("y")
    go_on.set()
    chat.wait_for(KEYS)
    for key in ("enter", "up", "left", "tab", "alt-enter"):
        chat.send_key(key)
    chat.send("\x1b[I\x1b[O")
    chat.paste("y")
    chat.wait_for("nothing has run yet. Answer: approve, approve outside, approve always")
    chat.wait_for("  yy")  # what was typed before, then the paste
    chat.send_key("ctrl-c")
    chat.wait_for_prompt()
    chat.send_line("/approve reject")
    chat.wait_for("done")
    assert not list(home.work.iterdir())
    assert fake.requests[-1].results == ["The user refused this call."]
    for key in ("ctrl-c", "ctrl-d", "escape"):
        fake.script(call("run_shell", command="touch ran"))
        chat.wait_for_prompt()
        asked = chat.text().count(KEYS)
        chat.send_line("go")
        chat.wait_for(lambda text, asked=asked: text.count(KEYS) > asked)  # type: ignore[misc]
        chat.send_key(key)
        chat.wait_for_prompt()
        chat.send_line("/undo")
        chat.clear_prompt("go")
    assert not list(home.work.iterdir())


def test_a_call_is_edited_before_it_runs(terminal: OpenTerminal, home: Home, fake: FakeOpenAI) -> None:
    fake.script(call("run_shell", command="echo wrong"), Answer("done"))
    chat = terminal("--tools")
    chat.wait_for_prompt()
    chat.send_line("go")
    chat.wait_for(KEYS)
    chat.send("e")
    chat.wait_for('new arguments: {"command": "echo wrong"}')
    chat.send("\x15nonsense\r")
    chat.wait_for("an edit gives all arguments, as a JSON object")
    chat.wait_for(lambda text: text.endswith("new arguments: nonsense"))
    chat.send("\x15" + '{"command": "echo right"}\r')
    chat.wait_for("done")
    assert fake.requests[-1].results == ["right"]


def test_a_file_is_changed_as_the_diff_says_and_undo_takes_it_back(
    terminal: OpenTerminal, home: Home, fake: FakeOpenAI
) -> None:
    notes, new = home.work / "notes.txt", home.work / "sub" / "new.py"
    notes.write_bytes(b"one\r\ntwo\r\nthree\r\n")
    notes.chmod(0o640)
    edit = {"path": "notes.txt", "old_text": "two\n", "new_text": "TWO\n"}
    fake.script(
        Calls([("write_file", {"path": "sub/new.py", "content": "x = 1\n"}), ("edit_file", edit)]),
        Answer("Written."),
        call("edit_file", **edit | {"old_text": "one", "new_text": "\x1b]0;title\x07\u202eeno"}),
        Answer("Not written."),
    )
    chat = terminal("--tools", "--allow", "*", "--thread", "work", size=(80, 24))
    chat.wait_for_prompt()
    chat.send_line("go")
    chat.wait_for("y once, e edit, n no")
    assert "--- /dev/null\n+++ sub/new.py\n@@ -0,0 +1 @@\n+x = 1\n" in chat.text()
    chat.send("y")
    chat.wait_for("call 2 of 2:")
    chat.wait_for(lambda text: text.count("y once, e edit, n no") == 2)
    assert "@@ -1,3 +1,3 @@\n one\n-two\n+TWO\n three\n" in chat.text()
    assert not new.exists()
    chat.send("y")
    chat.wait_for("Written.")
    assert new.read_text() == "x = 1\n"
    assert notes.read_bytes() == b"one\r\nTWO\r\nthree\r\n"
    assert notes.stat().st_mode & 0o777 == 0o640
    chat.wait_for_prompt()
    chat.send_line("and now?")
    chat.wait_for("+<U+001B>]0;title<U+0007><U+202E>eno")
    chat.wait_for(lambda text: text.count("y once, e edit, n no") == 3)
    chat.send("n")
    chat.wait_for("Not written.")
    chat.wait_for_prompt()
    assert b"]0;title\x07" not in chat.raw
    notes.write_bytes(b"mine")
    chat.send("/undo 2\ry")
    chat.wait_for("Change these files back, too? y yes, n no")
    assert "--- sub/new.py\n+++ /dev/null\n@@ -1 +0,0 @@\n-x = 1\n" in chat.text()
    assert new.exists()  # the y was typed before
    chat.send("y")
    chat.wait_for("sub/new.py is removed")
    chat.wait_for("notes.txt stays as it is: it has changed since")
    chat.wait_for_prompt("goy")
    assert not new.exists()
    assert notes.read_bytes() == b"mine"


def test_a_one_shot_in_a_terminal_asks_too_and_waits_for_the_next_run_when_it_is_left(
    terminal: OpenTerminal, chat: Chat, fake: FakeOpenAI
) -> None:
    fake.default = act  # type: ignore[assignment]
    window = terminal("--tools", "--thread", "work", "go")
    window.wait_for(KEYS)
    window.send_line("what?")
    window.wait_for("is no decision here")
    window.wait_for(lambda text: text.count(KEYS) == 2)
    window.send_key("ctrl-c")
    assert window.exit_code() == 0
    assert "--resume-with" in window.text()
    assert window.settings() == window.settings_before
    window = terminal("--tools", "--thread", "work")
    window.wait_for(KEYS)
    window.send("y")
    window.wait_for("So: /")
    window.wait_for_prompt()
    window.send_line("again")
    window.wait_for(lambda text: text.count(KEYS) == 2)
    window.send_key("ctrl-d")
    window.wait_for_prompt()
    window.send_key("ctrl-d")
    window = terminal("--tools", "--thread", "other", "go")
    window.wait_for(KEYS)
    window.send("n")
    window.wait_for("So: The user refused this call.")
    assert window.exit_code() == 0
    done = chat("--tools", "--thread", "work", "--resume-with", '{"decisions": [{"type": "reject"}]}')
    assert done.stdout == "So: The user refused this call.\n", done


def test_tool_lines_have_lines_of_their_own_beside_an_answer_that_is_piped_to_the_terminal(
    home: Home, fake: FakeOpenAI
) -> None:
    go_on = threading.Event()
    (home.work / "notes.txt").write_text("buy milk")
    fake.script(Calls([("read_file", {"path": "notes.txt"})], text="Let me look."), Gated("It says", go_on, " milk."))
    line = f"{EXECUTABLE} --tools --yes 'what does it say?' | cat"
    with closing(Terminal(["/bin/sh", "-c", line], env=home.env, cwd=home.work)) as tty:
        tty.wait_for("It says")
        go_on.set()
        tty.wait_for("It says milk.")
        lines = [shown for shown in tty.lines() if shown.strip()]
    assert [shown.startswith("read_file") for shown in lines if "read_file" in shown] == [True]
    assert "Let me look." in lines
    assert lines[-1] == "It says milk."


@pytest.mark.linux
@pytest.mark.skipif(find_strength() != "full", reason="commands can't be confined here")
def test_in_auto_mode_only_what_leaves_the_folder_asks(terminal: OpenTerminal, home: Home, fake: FakeOpenAI) -> None:
    outside = home.work.parent / "outside"
    unasked = [
        call("run_shell", command="echo one > file && cat file"),
        call("edit_file", path="file", old_text="one", new_text="two"),
        call("run_shell", command=f"echo x > {outside}"),
        call("run_shell", command="curl -sS http://127.0.0.1:1"),
    ]
    fake.script(*unasked, call("run_shell", command=f"echo x > {outside}", access="outside"), Answer("done"))
    chat = terminal("--tools", "--auto", size=(160, 60))
    chat.wait_for_prompt()
    chat.send_line("go")
    shown = chat.wait_for(KEYS)
    assert "asks to run outside of the sandbox" in shown
    assert "[the sandbox refused to write " in shown
    assert "[the sandbox refused the network]" in shown
    assert (home.work / "file").read_text() == "two\n"
    assert not outside.exists()
    chat.send("o")
    chat.wait_for("approved, outside")
    chat.wait_for("done")
    assert outside.read_text() == "x\n"
