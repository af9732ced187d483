"""The model acts while a user is there to be asked: in the REPL, in a one-shot, and after a restart."""

import threading
from contextlib import closing

from tests.e2e.conftest import OpenTerminal
from tests.e2e.program import EXECUTABLE, Chat, Home
from tests.e2e.terminal import Terminal
from tests.fakes.openai_server import FakeOpenAI
from tests.fakes.steps import Answer, Calls, Gated, Request, call

ECHO = "echo approved > proof-of-a-command-that-is-longer-than-the-line-of-a-call-and-must-be-shown-to-its-very-end"


def act(request: Request) -> object:
    """Run a command for each question, and answer with what came of it."""
    return Answer(f"So: {request.last}") if request.messages[-1][0] == "tool" else call("run_shell", command="pwd -P")


def test_the_repl_asks_runs_and_remembers_for_the_thread(terminal: OpenTerminal, home: Home, fake: FakeOpenAI) -> None:
    fake.script(call("run_shell", command=ECHO), Answer("done"))
    chat = terminal("--tools", "--thread", "work")
    chat.wait_for_prompt()
    chat.send_line("go")
    shown = chat.wait_for("Answer: approve")
    assert "to-its-very-end" in shown.replace("\n", "")
    chat.wait_for_prompt()
    assert not list(home.work.iterdir())
    chat.send_line("approve")
    chat.wait_for("done")
    assert len(list(home.work.iterdir())) == 1
    fake.default = act  # type: ignore[assignment]
    chat.wait_for_prompt()
    chat.send_line("again")
    chat.wait_for("every call like run_shell:pwd *")
    chat.wait_for_prompt()
    chat.send_line("reject not now")
    chat.wait_for("So: The user refused this call: not now")
    chat.wait_for_prompt()
    chat.send_line("and again")
    chat.wait_for(lambda text: text.count("every call like run_shell:pwd *") == 2)
    chat.wait_for_prompt()
    chat.send_line("approve thread")
    chat.wait_for(lambda text: text.count("So: ") == 2)
    chat.wait_for_prompt()
    chat.send_line("and once more")
    chat.wait_for(lambda text: text.count("So: ") == 3)
    chat.wait_for_prompt()
    chat.send_line("/tools")
    chat.wait_for("run_shell:pwd *   this thread")
    assert "read_file" in chat.text()


def test_a_one_shot_in_a_terminal_asks_too_and_waits_for_the_next_run_when_it_is_left(
    terminal: OpenTerminal, chat: Chat, fake: FakeOpenAI
) -> None:
    fake.default = act  # type: ignore[assignment]
    window = terminal("--tools", "--thread", "work", "go")
    window.wait_for("Answer: approve")
    window.send_line("what?")
    window.wait_for("is no decision here")
    window.send_key("ctrl-c")
    assert window.exit_code() == 0
    assert "--resume-with" in window.text()
    window = terminal("--tools", "--thread", "work")
    window.wait_for("Answer: approve")
    window.wait_for_prompt()
    window.send_line("approve")
    window.wait_for("So: /")
    window.wait_for_prompt()
    window.send_line("again")
    window.wait_for(lambda text: text.count("Answer: approve") == 2)
    window.send_key("ctrl-d")
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
