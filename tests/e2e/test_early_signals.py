"""A signal before a turn ends the run at once, reported in the chosen format; an ignored one does nothing."""

import os
import signal
import sys
from threading import Event

import pytest

from tests.e2e.checks import valid, valid_events
from tests.e2e.program import Chat, Result
from tests.fakes.openai_server import FakeOpenAI
from tests.fakes.steps import Gated

pytestmark = pytest.mark.executable

AMID_THE_LOOP = """
import os, signal, socket, sys
make = socket.socketpair
def interrupted(*args):  # what an event loop makes in the middle of its own making
    os.kill(os.getpid(), signal.SIGINT)
    return make(*args)
socket.socketpair = interrupted
sys.argv[1:] = ["--json", "hello"]
from chatcli.__main__ import main
main()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("output", ["json", "jsonl", "text"])
def test_a_signal_while_the_command_line_is_read_is_reported_in_the_format(
    chat: Chat, number: signal.Signals, output: str
) -> None:
    fifo = chat.home.work / "questions"
    os.mkfifo(fifo)
    running = chat.start("--format", output, "--script", str(fifo))
    with fifo.open("wb"):  # opened once it is being read
        running.signal(number)
        result = running.finish()
    assert result.returncode == 130, result
    if output == "json":
        valid("failure", result.json())
        assert result.json()["error"]["code"] == "interrupted"
    elif output == "jsonl":
        valid_events(result.events())
        assert result.events()[-1]["type"] == "turn_interrupted"
    else:
        assert result.stdout == ""
    assert result.stderr == ("error: interrupted\n" if output == "json" else "")


def test_an_interrupt_while_the_event_loop_is_made_is_reported(chat: Chat, fake: FakeOpenAI) -> None:
    result = chat.shell(f"{sys.executable} -c '{AMID_THE_LOOP}'")
    assert (result.returncode, result.stderr) == (130, "error: interrupted\n")
    valid("failure", result.json())
    assert fake.requests == []


def test_a_hang_up_does_nothing_under_nohup(chat: Chat, fake: FakeOpenAI) -> None:
    gate = Event()
    fake.script(Gated("the beginning", gate, " and the end"))
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # which `chat` inherits
    running = chat.start("hello")
    signal.signal(signal.SIGHUP, before)
    running.wait_for_output("the beginning")
    running.signal(signal.SIGHUP)
    gate.set()
    assert running.finish() == Result(0, "the beginning and the end\n", "")
