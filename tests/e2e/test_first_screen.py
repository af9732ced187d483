"""The first screen: who answers, where, on which thread; and the words that newcomers type."""

import pytest

from chatcli import __version__
from tests.e2e.conftest import OpenTerminal
from tests.e2e.program import Chat, Home
from tests.fakes.openai_server import FakeOpenAI

HELP = "/help shows the commands · Ctrl-D leaves"


def host(fake: FakeOpenAI) -> str:
    return fake.base_url.removeprefix("http://").removesuffix("/v1")


def test_two_dim_lines_say_who_answers_where_and_on_which_thread(fake: FakeOpenAI, terminal: OpenTerminal) -> None:
    tty = terminal("-t", "work", "-m", "openai:gpt-fake", size=(80, 24))
    tty.wait_for_prompt()
    assert tty.lines()[:2] == [f"chat {__version__} · openai:gpt-fake at {host(fake)} · thread work", HELP]
    assert b"\x1b[2mchat " in tty.raw


def test_the_local_model_is_on_this_machine(home: Home, terminal: OpenTerminal) -> None:
    tty = terminal("-m", "local:smollm2-135m", size=(120, 24))
    tty.wait_for_prompt()
    assert tty.lines()[0].startswith(f"chat {__version__} · local:smollm2-135m on this machine · thread ")


def test_a_provider_is_named_by_its_host(home: Home, terminal: OpenTerminal) -> None:
    tty = terminal("-m", "mistralai:small", env={"MISTRAL_API_KEY": "key-3f0a9c51e7"}, size=(120, 24))
    tty.wait_for_prompt()
    assert " · mistralai:small at api.mistral.ai · " in tty.lines()[0]


def test_a_resumed_thread_has_its_title_and_what_answered_it(
    chat: Chat, fake: FakeOpenAI, terminal: OpenTerminal
) -> None:
    chat("-t", "work", "-m", "openai:other", "hello")
    chat("threads", "rename", "work", "🍔 日本語のとても長い題名です、まだまだ続きます")
    tty = terminal("-t", "work", size=(60, 24))
    tty.wait_for_prompt()
    line = tty.lines()[0].replace(" ", "")
    assert line.startswith(f"chat{__version__}·openai:other·thread🍔日本語の")
    assert line.endswith("...")
    assert tty.lines()[1] == HELP


@pytest.mark.parametrize(
    ("args", "env"), [(["-q"], {}), ([], {"CHATCLI_GREETING": "off"}), (["--format", "jsonl"], {})]
)
def test_it_can_be_left_out(fake: FakeOpenAI, terminal: OpenTerminal, args: list[str], env: dict[str, str]) -> None:
    tty = terminal(*args, env=env)
    tty.wait_for_prompt()
    assert tty.lines() == [">"]


@pytest.mark.parametrize("word", ["exit", "quit", " Exit "])
def test_a_word_leaves(fake: FakeOpenAI, terminal: OpenTerminal, word: str) -> None:
    tty = terminal()
    tty.wait_for_prompt()
    tty.send_line(word)
    assert tty.exit_code() == 0
    assert not fake.requests


@pytest.mark.parametrize("word", ["help", "?"])
def test_a_word_shows_the_commands(fake: FakeOpenAI, terminal: OpenTerminal, word: str) -> None:
    tty = terminal(size=(80, 24))
    tty.wait_for_prompt()
    tty.send_line(word)
    tty.wait_for("/help all")
    assert len(tty.lines()) < 24
    tty.wait_for_prompt()
    tty.send_line("//exit")
    tty.wait_for("You said: /exit")
    tty.send_line("exit now")
    tty.wait_for("You said: exit now")
    assert len(fake.requests) == 2


def test_the_menu_of_commands_opens_by_itself(fake: FakeOpenAI, terminal: OpenTerminal) -> None:
    tty = terminal("-t", "abcdef", size=(80, 24))
    tty.wait_for_prompt()
    tty.send("/")
    tty.wait_for("/new ")
    offered = [line.split()[0] for line in tty.lines() if line.startswith("    /")]
    assert offered[:3] == ["/help", "/new", "/model"]
    assert "Begin a new thread" in tty.text()
    tty.send("und")
    tty.wait_for(lambda text: "/new" not in text and "Go back one turn" in text)
    tty.send_key("ctrl-c")
    tty.wait_for_prompt()


@pytest.mark.parametrize(
    ("typed", "completed"),
    [("/und\t", "/undo"), ("/mo\x7f\x7fth\t\t", "/thread"), ("/thread abc\t", "/thread abcdef")],
    ids=["a name", "a name after others", "an argument"],
)
def test_tab_completes_what_is_typed_in_one_go(
    fake: FakeOpenAI, terminal: OpenTerminal, typed: str, completed: str
) -> None:
    tty = terminal("-t", "abcdef")
    tty.wait_for_prompt()
    tty.send_line("one")
    tty.wait_for("You said: one")
    tty.wait_for_prompt()
    tty.send("/")
    tty.wait_for("/new ")  # from now on the menu opens
    tty.clear_prompt("/")
    tty.send(typed)
    tty.wait_for_prompt(completed)


def test_a_line_of_the_history_opens_no_menu(fake: FakeOpenAI, terminal: OpenTerminal) -> None:
    tty = terminal()
    tty.wait_for_prompt()
    tty.send_line("/thread")
    tty.wait_for("thread ")
    tty.wait_for_prompt()
    tty.send_line("/undo")
    tty.wait_for("no turn to undo")
    tty.wait_for_prompt()
    tty.send_key("up")
    tty.wait_for_prompt("/undo")
    tty.send_key("up")
    tty.wait_for_prompt("/thread")
