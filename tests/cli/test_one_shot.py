"""The keyboard of a one-shot at a terminal: which keys answer a question, and what becomes of the others."""

import asyncio
import io
import os
import pty
import select
import signal
import sys
import termios
from collections.abc import Iterator
from typing import Any

import pytest

from chatcli.attachments.attachment import Attachment
from chatcli.cli.run.one_shot import _Keyboard, has_user, play
from chatcli.config.settings import Settings
from chatcli.events import TurnFailed, TurnInterrupted, TurnStarted
from chatcli.rendering.plain import ScriptRenderer
from chatcli.runtime.signals import STOPPING
from chatcli.sessions.requests import Ask
from tests.conversing import conversing
from tests.fakes.openai_server import FakeOpenAI
from tests.fakes.steps import Answer, Hang, content_filtered
from tests.waiting import WAIT_SECONDS


class Typist:
    """Types at the terminal that is standard input."""

    def __init__(self, leader: int, follower: int) -> None:
        self._leader, self._follower = leader, follower

    def type(self, text: str) -> None:
        """Type `text`; return once the terminal has it."""
        os.write(self._leader, text.encode())
        assert self.has_typed(WAIT_SECONDS)

    def has_typed(self, seconds: float = 0) -> bool:
        return bool(select.select([self._follower], [], [], seconds)[0])


@pytest.fixture
def typist(monkeypatch: pytest.MonkeyPatch) -> Iterator[Typist]:
    leader, follower = pty.openpty()
    with os.fdopen(follower) as terminal:
        monkeypatch.setattr(sys, "stdin", terminal)
        yield Typist(leader, follower)
    os.close(leader)


@pytest.mark.parametrize(
    ("given", "errors_go_to_it", "may"),
    [
        ({}, True, True),
        ({"format": "markdown"}, True, True),
        ({"format": "json"}, True, False),
        ({"format": "jsonl"}, True, False),
        ({"script": "-"}, True, False),
        ({}, False, False),
    ],
)
def test_a_user_at_a_terminal_may_be_asked(
    typist: Typist, given: dict[str, Any], *, errors_go_to_it: bool, may: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stderr", sys.stdin if errors_go_to_it else io.StringIO())
    assert has_user(Settings(**given)) is may


async def test_only_a_key_that_is_typed_while_it_is_asked_for_counts(model: FakeOpenAI, typist: Typist) -> None:
    before = termios.tcgetattr(sys.stdin)
    async with conversing(model) as conversation:
        keyboard = _Keyboard(conversation)
        typist.type("y\n")
        with keyboard.single_keys():
            assert not termios.tcgetattr(sys.stdin)[3] & (termios.ICANON | termios.ECHO)
            assert not typist.has_typed()
            typist.type("n")
            assert await keyboard.keys() == "n"
            typist.type("y\n")
        assert not typist.has_typed()
    assert termios.tcgetattr(sys.stdin) == before


async def test_what_is_no_key_begins_the_line(
    model: FakeOpenAI, typist: Typist, capsys: pytest.CaptureFixture[str]
) -> None:
    async with conversing(model) as conversation:
        keyboard = _Keyboard(conversation)
        for keys, line in (("no", "t that\n"), ("not that\r", "")):
            with keyboard.single_keys():
                typist.type(keys)
                assert await keyboard.keys() == keys.replace("\r", "\n")
                keyboard.unread()
            if line:
                typist.type(line)
            assert await keyboard.line("> ") == "not that"
        typist.type("other\n")
        assert await keyboard.line("new: ", default="a\x1b[8mb") == "other"
    assert capsys.readouterr().err == "> no> not that\na<U+001B>[8mb\nnew: "


async def test_ctrl_c_leaves_a_question_and_then_stops_the_turn(model: FakeOpenAI, typist: Typist) -> None:
    model.script(Hang())
    async with conversing(model) as conversation:
        keyboard, loop = _Keyboard(conversation), asyncio.get_running_loop()
        loop.call_soon(os.kill, os.getpid(), signal.SIGINT)
        assert await keyboard.line("> ") is None
        async with asyncio.timeout(WAIT_SECONDS):
            async for event in conversation.run(Ask("hello")):
                if isinstance(event, TurnStarted):
                    os.kill(os.getpid(), signal.SIGINT)
        assert isinstance(event, TurnInterrupted)
        for number in STOPPING:
            loop.remove_signal_handler(number)


async def test_a_script_sends_its_files_once_and_stops_where_a_turn_fails(
    model: FakeOpenAI, capsys: pytest.CaptureFixture[str]
) -> None:
    model.script(Answer("One."), content_filtered())
    file = Attachment("a.txt", "text", "text/plain", text="of the file", size=11)
    out = io.StringIO()
    async with conversing(model, "work") as conversation:
        questions = ((2, "first"), (4, "second"), (5, "third"))
        last = await play(conversation, ScriptRenderer(out, sys.stderr), questions, [file])
        for number in STOPPING:
            asyncio.get_running_loop().remove_signal_handler(number)
    assert isinstance(last, TurnFailed)
    assert out.getvalue() == "User: first\nAI: One.\nUser: second\n"
    assert ["of the file" in request.last for request in model.requests] == [True, False]
    assert capsys.readouterr().err.endswith("the script stopped at line 4; its thread is work\n")
