"""The screen and the keyboard while things go on: signals, suspension, pastes, what is typed in mid-answer."""

import os
import random
import re
import signal
import time
from threading import Event

import pytest

from tests.e2e.conftest import OpenTerminal
from tests.e2e.program import EXECUTABLE, Chat, Home
from tests.e2e.terminal import Terminal
from tests.e2e.test_focus import reports
from tests.fakes.openai_server import FakeOpenAI
from tests.fakes.steps import Answer, Gated, Hang, Stall

PARAGRAPHS = "".join(f"Paragraph {number} with **some** words.\n\n" for number in range(40))


def test_what_is_typed_in_mid_answer_shows_below_it(fake: FakeOpenAI, terminal: OpenTerminal) -> None:
    gate = Event()
    fake.script(Gated("The first half", gate, " and the second.\n\nEnd."))
    tty = terminal()
    tty.wait_for_prompt()
    tty.send_line("one")
    tty.wait_for("The first half")
    tty.send("two")
    tty.wait_for_prompt("two")
    tty.send_key("backspace")
    tty.send_line("ry this")
    tty.send("thr")
    tty.wait_for("> twry this\n> thr")
    gate.set()
    tty.wait_for("You said: twry this")
    tty.wait_for_prompt("thr")
    shown = tty.text()
    assert shown.count("> twry this") == 1
    assert "The first half and the second.\n\nEnd.\n" in shown
    tty.send_key("ctrl-c")
    tty.send_key("ctrl-d")
    assert tty.exit_code() == 0
    assert tty.settings() == tty.settings_before


def test_an_indicator_stands_until_the_first_token(fake: FakeOpenAI, terminal: OpenTerminal) -> None:
    fake.script(Hang())
    tty = terminal()
    tty.wait_for_prompt()
    tty.send_line("one")
    tty.wait_for("waiting for openai")
    tty.send_key("ctrl-c")
    tty.wait_for_prompt("one")
    assert "waiting for" not in tty.text()


def test_an_indicator_stands_below_an_answer_that_pauses(fake: FakeOpenAI, terminal: OpenTerminal) -> None:
    gate = Event()
    fake.script(Gated("The first half", gate, " and the second."))
    tty = terminal()
    tty.wait_for_prompt()
    tty.send_line("one")
    tty.wait_for("openai:gpt-fake is answering")
    tty.send("typed")
    tty.wait_for_prompt("typed")  # the line being typed stands below it
    shown = tty.screen()
    assert shown.index("The first half") < shown.index("is answering") < shown.index("> typed")
    gate.set()
    tty.wait_for("The first half and the second.")
    tty.wait_for_prompt("typed")
    assert "is answering" not in tty.text()


@pytest.mark.executable
def test_the_toolbar_shows_that_the_engine_starts(home: Home, fake: FakeOpenAI, terminal: OpenTerminal) -> None:
    del home.env["PROMPT_TOOLKIT_NO_CPR"]  # else there would be no toolbar
    tty = terminal("-t", "work")
    tty.answer_positions()
    tty.wait_for("· starting")
    tty.wait_for(lambda text: "starting" not in text)
    assert "work ·" in tty.screen()


@pytest.mark.parametrize(
    ("options", "env"),
    [
        (["--plain"], {}),
        ([], {"TERM": "dumb"}),
        ([], {"ACCESSIBLE": "1"}),
    ],
)
def test_plain_dumb_and_accessible_terminals_get_no_movement(
    fake: FakeOpenAI, terminal: OpenTerminal, options: list[str], env: dict[str, str]
) -> None:
    fake.script(Answer("**bold** text", delay=0.3))
    tty = terminal(*options, "-i", "one", env=env)
    tty.wait_for("**bold** text")
    answer = tty.raw[: tty.raw.index(b" text")]
    assert b"waiting" not in answer
    assert b"\x1b[K" not in answer
    assert b"\x1b[1A" not in answer


def test_a_screen_reader_hears_the_line_that_is_typed_alone(
    home: Home, fake: FakeOpenAI, terminal: OpenTerminal
) -> None:
    del home.env["PROMPT_TOOLKIT_NO_CPR"]  # else there would be no toolbar anyway
    tty = terminal("-t", "work", env={"ACCESSIBLE": "1"})
    tty.answer_positions()
    tty.wait_for_prompt()
    tty.send("/c")
    tty.wait_for_prompt("/c")
    tty.send_key("tab")
    tty.wait_for("/clear")
    assert "/config" in tty.text()
    assert "Show the settings" not in tty.text()  # no menu
    tty.wait_for_prompt("/c")
    tty.send_key("ctrl-u")
    tty.send_line("why is the sky blue?")
    tty.wait_for("You said: why is the sky blue?")
    tty.send("why")
    tty.wait_for_prompt("why")
    time.sleep(0.5)
    assert tty.screen().rstrip().endswith("> why")
    assert "work ·" not in tty.screen()


def test_a_long_paste_is_folded_and_sent_whole(fake: FakeOpenAI, terminal: OpenTerminal) -> None:
    fake.default = Answer("Read.")
    tty = terminal()
    tty.wait_for_prompt()
    lines = [f"line {number}" for number in range(300)]
    tty.paste("\n".join(lines))
    tty.wait_for_prompt("[pasted 300 lines]")
    tty.send_line("")
    tty.wait_for("Read.")
    assert fake.requests[-1].last == "\n".join(lines)


def test_five_thousand_lines_are_in_the_scrollback_once(fake: FakeOpenAI, terminal: OpenTerminal) -> None:
    lines = [f"line {number}" for number in range(5000)]
    fake.script(Answer("```\n" + "\n".join(lines) + "\n```\n", chunks=400))
    tty = terminal(size=(80, 24))
    tty.wait_for_prompt()
    tty.send_line("go")
    tty.wait_for("line 4999")
    tty.wait_for_prompt()
    assert [line for line in tty.lines() if line.startswith("line ")] == lines


@pytest.mark.parametrize("size", [(40, 12), (120, 40), (30, 6)])
def test_a_resize_in_mid_answer(fake: FakeOpenAI, terminal: OpenTerminal, size: tuple[int, int]) -> None:
    gate = Event()
    fake.script(Gated("# Title\n\nThe open paragraph with some words that", gate, " go on.\n\nEnd."))
    tty = terminal(size=(60, 20))
    tty.wait_for_prompt()
    tty.send_line("go")
    tty.wait_for("words that")
    tty.send("typed")
    tty.wait_for_prompt("typed")
    assert b"\x1b[>q" in tty.raw  # whether old lines are wrapped again depends on the terminal
    tty.resize(*size)
    time.sleep(0.2)
    gate.set()
    tty.wait_for("End.")
    tty.wait_for_prompt("typed")
    text = " ".join(tty.text().split())
    assert "The open paragraph with some words that go on. End." in text


@pytest.mark.executable
def test_ctrl_c_at_any_moment(chat: Chat, fake: FakeOpenAI, terminal: OpenTerminal) -> None:
    moments = random.Random(4)
    tty = terminal("-t", "work")
    tty.wait_for_prompt()
    for turn in range(6):
        fake.script(Answer(f"Begin {turn}.\n\n{PARAGRAPHS}", chunks=len(PARAGRAPHS), delay=0.02))
        tty.send_line(f"question {turn}")
        fake.wait_for_requests(turn + 1)
        time.sleep(moments.uniform(0, 1))
        tty.send_key("ctrl-c")
        fake.wait_for_disconnects(turn + 1)  # before the end of the answer, which takes half a minute
        tty.wait_for_prompt()
    tty.send_line("and now?")
    tty.wait_for("You said: ")
    tty.wait_for_prompt()
    tty.send_key("ctrl-d")
    assert tty.exit_code() == 0
    assert tty.settings() == tty.settings_before
    questions = [message["content"] for message in chat.messages("work") if message["role"] == "user"]
    assert questions == [*(f"question {turn}" for turn in range(6)), "and now?"]


@pytest.fixture
def shell(home: Home) -> Terminal:
    """Give a terminal with a shell that knows jobs."""
    home.env["PS1"] = "shell$ "
    return Terminal(["bash", "--norc", "--noprofile", "-i"], env=home.env, cwd=home.work)


def test_ctrl_z_in_mid_answer_and_fg(fake: FakeOpenAI, shell: Terminal) -> None:
    gate = Event()
    fake.script(Gated("The first half", gate, " and the second."))
    shell.send_line(f"{EXECUTABLE} -t work")
    shell.wait_for_prompt()
    before = shell.settings()
    shell.send_line("one")
    shell.wait_for("The first half")
    shell.send("typed")
    shell.wait_for_prompt("typed")
    shell.send_key("ctrl-z")
    shell.wait_for(lambda text: text.endswith("shell$"))
    assert shell.settings() != before
    assert reports(shell) == ["h", "l"]
    shell.send_line("echo $((40 + 2))")
    shell.wait_for("42")
    shell.send_line("fg")
    shell.wait_for_prompt("typed")
    assert reports(shell) == ["h", "l", "h"]
    gate.set()
    shell.wait_for("The first half and the second.")
    shell.wait_for_prompt("typed")
    shell.send_line("")
    shell.wait_for("You said: typed")
    shell.send_key("ctrl-d")
    shell.wait_for("Resume this conversation")
    shell.close()


def test_ctrl_z_at_the_prompt_and_fg(fake: FakeOpenAI, shell: Terminal) -> None:
    shell.send_line(f"{EXECUTABLE}")
    shell.wait_for_prompt()
    shell.send("draft")
    shell.wait_for_prompt("draft")
    shell.send_key("ctrl-z")
    shell.wait_for(lambda text: text.endswith("shell$"))
    assert reports(shell) == ["h", "l"]
    shell.send_line("fg")
    shell.wait_for_prompt("draft")
    shell.send_line("")
    shell.wait_for("You said: draft")
    assert reports(shell) == ["h", "l", "h"]
    shell.close()


def test_a_stop_from_elsewhere_and_fg(fake: FakeOpenAI, shell: Terminal) -> None:
    shell.send_line(f"sh -c 'echo process $$; exec {EXECUTABLE}'")
    shell.wait_for_prompt()
    (child,) = re.findall(r"^process (\d+)$", shell.text(), re.MULTILINE)
    os.kill(int(child), signal.SIGSTOP)
    shell.wait_for(lambda text: text.endswith("shell$"))
    shell.send_line("fg")
    shell.wait_for_prompt()
    shell.send_line("back?")
    shell.wait_for("You said: back?")
    shell.close()


@pytest.mark.executable
def test_a_crash_leaves_the_terminal_as_it_was(fake: FakeOpenAI, terminal: OpenTerminal, home: Home) -> None:
    (home.root / "sitecustomize.py").write_text(
        "import chatcli.rendering.terminal.answer as terminal\n"
        "def crash(*_): raise MemoryError\n"
        "terminal.MarkdownAnswer.feed = crash\n"
    )
    tty = terminal(env={"PYTHONPATH": str(home.root)})
    tty.wait_for_prompt()
    tty.send_line("one")
    assert tty.exit_code() == 1
    assert "there is not enough memory" in tty.text()
    assert tty.settings() == tty.settings_before
    assert tty.raw.rindex(b"\x1b[?2004l") > tty.raw.rindex(b"\x1b[?2004h")
    assert reports(tty) == ["h", "l"]


@pytest.mark.executable
def test_a_hang_up_signal_leaves_a_living_terminal_as_it_was(fake: FakeOpenAI, terminal: OpenTerminal) -> None:
    fake.script(Stall("Half an ans"))
    tty = terminal()
    tty.wait_for_prompt()
    tty.send_line("one")
    tty.wait_for("Half an ans")
    tty.signal(signal.SIGHUP)
    assert tty.exit_code() == 130
    assert tty.settings() == tty.settings_before
    assert tty.raw.rindex(b"\x1b[?2004l") > tty.raw.rindex(b"\x1b[?2004h")


def test_a_shell_command_shows_its_output_and_offers_it(fake: FakeOpenAI, terminal: OpenTerminal) -> None:
    tty = terminal()
    tty.wait_for_prompt()
    tty.send_line("!printf 'a\\033[2Jb\\n'; exit 3")
    tty.wait_for("ab\n[exit code 3]")
    tty.wait_for_prompt()
    tty.send_line("plain question")
    tty.wait_for("You said: plain question")
    assert fake.requests[-1].last == "plain question"
    tty.wait_for_prompt()
    tty.send("explain ")
    tty.send_key("ctrl-x")
    tty.send_key("ctrl-o")
    tty.wait_for("explain [output of printf")
    tty.send_key("enter")
    fake.wait_for_requests(2)
    assert "$ printf" in fake.requests[-1].last
    assert "\nab" in fake.requests[-1].last.replace("\x1b[2J", "")


def test_ctrl_c_stops_a_shell_command(fake: FakeOpenAI, terminal: OpenTerminal) -> None:
    tty = terminal()
    tty.wait_for_prompt()
    tty.send_line("!echo begun; sleep 60")
    tty.wait_for("\nbegun")
    tty.send_key("ctrl-c")
    tty.wait_for("[exit code 130]")
    tty.wait_for_prompt()


def test_copy_goes_to_the_terminal_over_ssh(fake: FakeOpenAI, terminal: OpenTerminal) -> None:
    fake.script(Answer("Text\n\n```\nx = 1\ny = 2\n```\n"))
    tty = terminal(env={"SSH_CONNECTION": "there"})
    tty.wait_for_prompt()
    tty.send_line("one")
    tty.wait_for("y = 2")
    tty.wait_for_prompt()
    tty.send_line("/copy code")
    tty.wait_for("copied")
    assert b"\x1b]52;c;eCA9IDEKeSA9IDI=\x07" in tty.raw


def test_editor_sends_what_was_written(fake: FakeOpenAI, terminal: OpenTerminal, home: Home) -> None:
    editor = home.root / "editor"
    editor.write_text('#!/bin/sh\necho "written here" > "$1"\n')
    editor.chmod(0o755)
    tty = terminal(env={"VISUAL": str(editor)})
    tty.wait_for_prompt()
    tty.send_line("/editor")
    tty.wait_for("You said: written here")
    tty.wait_for_prompt()
    tty.send_key("ctrl-x")
    tty.send_key("ctrl-e")
    tty.wait_for(lambda text: text.count("You said: written here") == 2)


def test_plain_theme_and_config(fake: FakeOpenAI, terminal: OpenTerminal) -> None:
    fake.default = Answer("**bold**")
    tty = terminal("--base-url", f"{fake.base_url}".replace("//", "//user:hunter2@"))
    tty.wait_for_prompt()
    tty.send_line("/plain")
    tty.wait_for("Markdown is shown as it is written")
    tty.wait_for_prompt()
    tty.send_line("/theme light")
    tty.wait_for("theme light")
    tty.wait_for_prompt()
    tty.send_line("/theme pink")
    tty.wait_for("unknown theme 'pink'")
    tty.wait_for_prompt()
    tty.send_line("/config")
    text = tty.wait_for("/config all")
    tty.wait_for_prompt()
    assert "notify_after" not in text
    assert re.search(r"theme +light +this conversation", text)
    assert "other settings have their defaults; `/config all` shows them, too" in text
    tty.send_line("/config all")
    text = tty.wait_for("notify_after")
    tty.wait_for_prompt()
    assert "sk-test" not in text
    assert "hunter2" not in text


def test_the_toolbar_shows_the_thread_and_goes_on_narrow_screens(
    home: Home, fake: FakeOpenAI, terminal: OpenTerminal
) -> None:
    del home.env["PROMPT_TOOLKIT_NO_CPR"]  # a toolbar needs to know where the cursor is
    tty = terminal("-t", "work", "-m", "openai:gpt-fake", "--context-tokens", "9000")
    tty.answer_positions()
    tty.wait_for("work · openai:gpt-fake")
    tty.send_line("the question")
    tty.wait_for("the question · openai:gpt-fake · context 7/9.0k · 18 tokens so far")
    tty.resize(50, 30)
    tty.wait_for(lambda _: "tokens so far" not in tty.screen())


def test_the_toolbar_shows_the_title_of_a_resumed_thread(
    home: Home, chat: Chat, fake: FakeOpenAI, terminal: OpenTerminal
) -> None:
    chat("-t", "work", "the question")
    del home.env["PROMPT_TOOLKIT_NO_CPR"]  # a toolbar needs to know where the cursor is
    tty = terminal("-t", "work")
    tty.answer_positions()
    tty.wait_for("\n the question · openai:gpt-fake · 18 tokens so far")


def test_the_mode_of_vi_is_shown(home: Home, fake: FakeOpenAI, terminal: OpenTerminal) -> None:
    del home.env["PROMPT_TOOLKIT_NO_CPR"]  # a toolbar needs to know where the cursor is
    tty = terminal("-t", "work", env={"CHATCLI_EDITING_MODE": "vi"}, size=(80, 24))
    tty.answer_positions()
    tty.wait_for(" vi: insert · work · openai")
    tty.send("ward")
    tty.wait_for_prompt("ward")
    tty.send_key("escape")
    tty.wait_for(" vi: commands · work · openai")
    tty.send("0ito")
    tty.wait_for_prompt("toward")
    tty.wait_for(lambda _: " vi: insert ·" in tty.screen())
    tty.resize(50, 24)
    tty.wait_for(lambda _: tty.screen().endswith(" vi: insert"))
    tty.send_key("ctrl-c")
    tty.wait_for_prompt()
    tty.send_key("ctrl-c")
    tty.wait_for(lambda _: tty.screen().endswith("\npress Ctrl-C again to leave"))


def test_the_terminal_is_asked_for_its_background(fake: FakeOpenAI, terminal: OpenTerminal) -> None:
    fake.default = Answer("some `code`")
    tty = terminal()
    tty.wait_for_prompt()
    assert b"\x1b]11;?\x07" in tty.raw
    tty.send("be")
    tty.send("\x1b]11;rgb:ffff/ffff/ffff\x07")
    tty.send_line("fore")
    tty.wait_for("some code")
    assert [request.last for request in fake.requests] == ["before"]
    assert b"\x1b[38;5;24mcode" in tty.raw


@pytest.mark.executable
def test_a_question_that_is_entered_at_once_shows_that_the_program_starts(
    fake: FakeOpenAI, terminal: OpenTerminal
) -> None:
    fake.script(Answer("Here."))
    tty = terminal()
    tty.send_line("one")  # before the prompt
    tty.wait_for("Here.")
    assert "starting 0 s (Ctrl-C stops)" in tty.raw.decode()
    assert "starting" not in tty.text()


def test_questions_and_answers_look_as_they_are_shown_again(fake: FakeOpenAI, terminal: OpenTerminal) -> None:
    fake.script(Answer("Because of *Rayleigh*."), Answer("Yes."))
    tty = terminal("-t", "work", "--theme", "dark", size=(80, 24))
    tty.wait_for_prompt()
    tty.send_line("Why is\x1b\rthe sky blue?")
    tty.wait_for("tokens in")
    tty.wait_for_prompt()
    tty.send_line("Sure?")
    tty.wait_for("Yes.")
    tty.wait_for_prompt()
    usage = r"\n\d+ tokens in.*"
    greeting, _, shown = re.sub(usage, "", tty.text()).partition("Ctrl-D leaves")
    assert " · thread work\n" in greeting
    assert shown == "\n> Why is\n  the sky blue?\n\nBecause of Rayleigh.\n\n> Sure?\n\nYes.\n\n>"
    question = tty.cells()[2:4]
    tty.send_line("/exit")
    assert tty.exit_code() == 0
    again = terminal("-t", "work", "--theme", "dark", size=(80, 24))
    again.wait_for_prompt()
    greeting, _, resumed = again.text().partition("Ctrl-D leaves")
    assert " · thread Why is the sky blue?\n" in greeting
    assert resumed == shown.removesuffix(">") + "thread work\n>"
    assert again.cells()[2:4] == question
