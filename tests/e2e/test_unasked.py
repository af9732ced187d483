"""A question whose run is stopped, or fails, before its turn has begun is in the thread."""

import os
import signal
import socket
from pathlib import Path

import pytest

from tests.e2e.conftest import OpenTerminal
from tests.e2e.program import Chat, Home
from tests.e2e.terminal import Terminal
from tests.fakes.openai_server import FakeOpenAI
from tests.fakes.steps import Hang, echo
from tests.fakes.web import FakeWeb
from tests.waiting import WAIT_SECONDS

HELD = """
import sys
class Held:  # the import of LangGraph waits for the FIFO's writer
    def find_spec(self, name, path=None, target=None):
        if name == "langgraph.graph":
            sys.meta_path.remove(self)
            open({fifo!r}).read()
sys.meta_path.insert(0, Held())
"""


class Gate:
    """Holds the imports of a run: `env` makes it wait for them, `reached` returns when it does."""

    def __init__(self, home: Home) -> None:
        self._fifo = home.root / "gate"
        os.mkfifo(self._fifo)
        folder = home.root / "held"
        folder.mkdir()
        (folder / "sitecustomize.py").write_text(HELD.format(fifo=str(self._fifo)))
        self.env = {"PYTHONPATH": str(folder)}
        self._file: int | None = None

    def reached(self) -> None:
        self._file = os.open(self._fifo, os.O_WRONLY)  # waits for the reader

    def open(self) -> None:
        assert self._file is not None
        os.close(self._file)


@pytest.fixture
def gate(home: Home) -> Gate:
    return Gate(home)


def enter(tty: Terminal, line: str) -> None:
    """Enter `line`, and wait until it has been taken."""
    tty.send(line)
    tty.wait_for_prompt(line)
    tty.send_key("enter")
    tty.wait_for(lambda _: line not in tty.cursor_line())


def said(chat: Chat, thread: str) -> list[tuple[str, str]]:
    return [(message["role"], message["content"]) for message in chat.messages(thread)]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_one_shot_that_is_stopped_during_the_imports_keeps_its_question(
    chat: Chat, fake: FakeOpenAI, gate: Gate, number: signal.Signals
) -> None:
    fake.default = Hang()
    running = chat.start("-t", "work", "--system", "Be brief.", "hello", env=gate.env)
    gate.reached()
    running.signal(number)
    gate.open()
    assert running.finish().returncode == 130
    assert said(chat, "work") == [("user", "hello")]
    listed = chat("threads", "list", "--json").json()
    assert [(thread["title"], thread["turns"]) for thread in listed] == [("hello", 1)]
    fake.default = echo
    assert chat("-t", "work", "and now?").returncode == 0
    assert fake.requests[-1].messages == [("system", "Be brief."), ("user", "hello\nand now?")]


def test_ctrl_c_during_the_imports_takes_the_question_back_and_keeps_its_branch(
    chat: Chat, fake: FakeOpenAI, terminal: OpenTerminal, gate: Gate
) -> None:
    fake.default = Hang()
    tty = terminal("-t", "work", env=gate.env)
    tty.wait_for_prompt()
    gate.reached()
    enter(tty, "hello")
    tty.send_key("ctrl-c")
    gate.open()
    tty.wait_for("interrupted")
    tty.clear_prompt("hello")
    tty.send_key("ctrl-d")
    assert tty.exit_code() == 0
    assert "chat --thread work" in tty.lines()[-1]
    assert "hello" in chat("threads", "show", "work", "--tree").stdout
    fake.default = echo
    assert chat("-t", "work", "and now?").returncode == 0
    assert fake.requests[-1].messages == [("user", "and now?")]


def test_a_termination_during_the_imports_keeps_the_question(
    chat: Chat, fake: FakeOpenAI, terminal: OpenTerminal, gate: Gate
) -> None:
    fake.default = Hang()
    tty = terminal("-t", "work", env=gate.env)
    tty.wait_for_prompt()
    gate.reached()
    enter(tty, "hello")
    tty.signal(signal.SIGTERM)
    gate.open()
    assert tty.exit_code() == 130
    assert said(chat, "work") == [("user", "hello")]


def test_a_termination_while_a_page_is_fetched_keeps_the_question(
    chat: Chat, fake: FakeOpenAI, terminal: OpenTerminal
) -> None:
    with FakeWeb() as web:
        tty = terminal("-t", "work")
        tty.wait_for_prompt()
        tty.send_line(f"what does @{web.url}/slow say?")
        assert web.dripping.wait(WAIT_SECONDS)
        tty.signal(signal.SIGTERM)
        assert tty.exit_code() == 130
        assert said(chat, "work") == [("user", f"what does @{web.url}/slow say?")]
        assert web.dripped == []
    assert fake.requests == []


def test_ctrl_c_while_a_page_is_fetched_gives_the_question_back(fake: FakeOpenAI, terminal: OpenTerminal) -> None:
    with FakeWeb() as web:
        tty = terminal()
        tty.wait_for_prompt()
        for line, left in ((f"/file {web.url}/slow", ""), (f"look at @{web.url}/slow", f"look at @{web.url}/slow")):
            web.dripping.clear()
            tty.send_line(line)
            assert web.dripping.wait(WAIT_SECONDS)
            tty.send_key("ctrl-c")
            tty.clear_prompt(left)
            assert "stopped before everything was read" in tty.lines()[-2]
        assert web.dripped == []
    assert fake.requests == []


def test_a_termination_ends_a_question_of_a_command(terminal: OpenTerminal) -> None:
    tty = terminal("-m", "local")
    tty.wait_for_prompt()
    tty.send_line("/model deepseek:fake")
    tty.wait_for("Key for DeepSeek:")
    tty.signal(signal.SIGTERM)
    assert tty.exit_code() == 130
    assert tty.settings() == tty.settings_before


def test_a_missing_key_keeps_the_question(chat: Chat) -> None:
    assert chat("-m", "openai:gpt-fake", "-t", "work", "hello").returncode == 3
    assert said(chat, "work") == [("user", "hello")]


def test_a_server_that_can_not_be_asked_for_its_models_keeps_the_question(chat: Chat, tmp_path: Path) -> None:
    with socket.socket() as bound:  # bound and not listening: nobody else can take the port
        bound.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{bound.getsockname()[1]}"
        failed = chat("--base-url", f"http://{address}/v1", "-t", "work", "hello")
    assert failed.returncode == 75
    assert address in failed.stderr
    assert said(chat, "work") == [("user", "hello")]


def test_a_usage_error_stores_nothing(chat: Chat, fake: FakeOpenAI) -> None:
    assert chat("--role", "nobody", "-t", "work", "hello").returncode == 2
    assert chat("threads", "list", "--json").json() == []
