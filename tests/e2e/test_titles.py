"""Titles at the prompt: written while the user reads; a one-shot never asks for one."""

from tests.e2e.conftest import OpenTerminal
from tests.e2e.program import Chat
from tests.fakes.openai_server import FakeOpenAI
from tests.fakes.steps import Answer, Hang

BY_MODEL = {"CHATCLI_TITLES": "model"}


def test_a_title_is_written_at_the_prompt_alone(terminal: OpenTerminal, chat: Chat, fake: FakeOpenAI) -> None:
    assert chat("-t", "once", "hello", env=BY_MODEL).returncode == 0
    assert len(fake.requests) == 1
    fake.script(Answer("Rayleigh."), Answer("\x1b[31m'Blue skies'\nmore"))
    del chat.home.env["PROMPT_TOOLKIT_NO_CPR"]  # else there would be no toolbar
    tty = terminal("-t", "sky", env=BY_MODEL)
    tty.answer_positions()
    tty.wait_for_prompt()
    tty.send_line("why is it blue?")
    tty.wait_for("Blue skies · ")  # in the toolbar
    fake.script(Answer("Fine."), Hang())
    tty.send_line("/new")
    tty.wait_for_prompt()
    tty.send_line("how are you?")
    fake.wait_for_requests(5)
    tty.send("/")
    fake.wait_for_disconnects(1)
    tty.send_line("exit")
    assert tty.exit_code() == 0
    listed = {thread["thread_id"]: thread["title"] for thread in chat("threads", "list", "--json").json()}
    assert (listed.pop("once"), listed.pop("sky"), *listed.values()) == ("hello", "Blue skies", "how are you?")
