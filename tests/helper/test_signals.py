"""Signals, kills and the terminal's own keys reach a run in the helper's child as they reach one of its own."""

import os
import signal
from threading import Event

import pytest

from tests.e2e.program import EXECUTABLE
from tests.e2e.terminal import Terminal
from tests.e2e.test_sigkill import wait_for_journal
from tests.fakes.openai_server import FakeOpenAI
from tests.fakes.steps import Answer, Gated, Stall
from tests.helper.conftest import Helped, is_gone, state
from tests.waiting import wait_until


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_the_answer_and_what_arrived_is_kept(
    helped: Helped, server: FakeOpenAI, number: signal.Signals
) -> None:
    server.script(Stall("the beginning of an answer"))
    running = helped.start("-t", number.name, "why?")
    running.wait_for_output("the beginning")
    [child] = helped.children()
    running.signal(number)
    assert running.finish().returncode == 130
    assert is_gone(child)
    server.wait_for_disconnects(1)
    [_, answer] = helped.messages(number.name)
    assert (answer["content"], answer["interrupted"]) == ("the beginning of an answer", True)


def test_a_kill_takes_the_child_along_and_loses_nothing(helped: Helped, server: FakeOpenAI) -> None:
    server.script(Stall("the beginning of an answer"))
    running = helped.start("-t", "killed", "why?")
    running.wait_for_output("the beginning")
    [child] = helped.children()
    wait_for_journal(helped)
    running.process.kill()
    running.finish()
    wait_until(lambda: is_gone(child))
    [_, answer] = helped.messages("killed")
    assert (answer["content"], answer["interrupted"]) == ("the beginning of an answer", True)


def test_the_helper_may_be_killed_in_mid_answer(helped: Helped, server: FakeOpenAI) -> None:
    gate = Event()
    server.script(Gated("the beginning", gate, " and the end"))
    running = helped.start("hello")
    running.wait_for_output("the beginning")
    os.kill(helped.pid(), signal.SIGKILL)
    gate.set()
    result = running.finish()
    assert (result.returncode, result.stdout) == (0, "the beginning and the end\n")


def test_a_child_that_is_killed_is_reported_in_one_line(helped: Helped, server: FakeOpenAI) -> None:
    server.script(Stall("the beginning"))
    running = helped.start("-t", "abc", "hello")
    running.wait_for_output("the beginning")
    os.kill(helped.children()[0], signal.SIGKILL)
    result = running.finish()
    assert result.returncode == 1
    assert result.stderr.startswith("error: the process that answered was killed\n")
    assert helped.messages("abc")[0]["content"] == "hello"


def test_a_stopped_process_stops_its_child(helped: Helped, server: FakeOpenAI) -> None:
    gate = Event()
    server.script(Gated("the beginning", gate, " and the end"))
    running = helped.start("hello")
    running.wait_for_output("the beginning")
    [child] = helped.children()
    running.signal(signal.SIGSTOP)
    wait_until(lambda: state(child) == "T")
    gate.set()
    running.signal(signal.SIGCONT)
    assert running.finish().stdout == "the beginning and the end\n"


def test_the_shells_job_control_works_on_it(helped: Helped, server: FakeOpenAI) -> None:
    gate = Event()
    server.script(Gated("the beginning", gate, " and the end"))
    env = {**helped.home.env, "PS1": "$ "}
    terminal = Terminal(["bash", "--norc", "-i"], env=env, cwd=helped.home.work)
    try:
        terminal.send_line(f"{EXECUTABLE} -t jobs hello; echo code=$?")
        terminal.wait_for("the beginning")
        [child] = helped.children()
        terminal.send_key("ctrl-z")
        terminal.wait_for("Stopped")
        wait_until(lambda: state(child) == "T")
        terminal.send_line("jobs")
        gate.set()
        terminal.send_line("fg")
        terminal.wait_for("and the end")
        server.script(Stall("another beginning"))
        terminal.send_line(f"{EXECUTABLE} hello; echo code=$?")
        terminal.wait_for("another beginning")
        assert helped.children()
        terminal.send_key("ctrl-c")
        terminal.wait_for("code=130")
        terminal.send_line("exit")
        terminal.exit_code()
    finally:
        terminal.close()


def test_a_terminal_shows_the_same(helped: Helped, server: FakeOpenAI) -> None:
    markdown = (
        "# A title\n\nSome *text* with `code`.\n\n```python\nprint('hello')\n```\n\n| a | b |\n|---|---|\n| 1 | 2 |\n"
    )
    shown = []
    for env in ({"CHATCLI_HELPER": "0"}, {}):
        server.script(Answer(markdown, chunks=40, delay=0.005))
        terminal = Terminal(
            [str(EXECUTABLE), "-q", "hello"], env={**helped.home.env, **env}, cwd=helped.home.work, size=(80, 24)
        )
        try:
            assert terminal.exit_code() == 0
            shown.append([[(cell.data, cell.fg, cell.bold) for cell in row] for row in terminal.cells()])
            assert terminal.settings() == terminal.settings_before
        finally:
            terminal.close()
    assert shown[0] == shown[1]
