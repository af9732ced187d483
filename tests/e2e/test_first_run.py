"""The first run at a terminal: the user chooses what answers, once, and leaving changes nothing."""

import os
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from chatcli.models.local.weights import QWEN
from tests.e2e.conftest import OpenTerminal
from tests.e2e.program import Chat, Home
from tests.e2e.terminal import Terminal
from tests.fakes.openai_server import FakeOpenAI
from tests.models.local.hub import Hub

SECRET = "sk-first-0f3a9c51e7"
QUESTION = "(Esc leaves):"
CLOSED = "http://127.0.0.1:9"
WEIGHTS = f"/{QWEN.hub_repository}/resolve/{QWEN.hub_revision}/{QWEN.file_name}"


@pytest.fixture
def server() -> Iterator[FakeOpenAI]:
    """Run a model server that no setting names."""
    with FakeOpenAI() as running:
        running.key = None
        yield running


@pytest.fixture(autouse=True)
def _no_source(home: Home) -> None:
    """Let the weights come from nowhere, unless a test has a hub."""
    home.use_keyring("keyring.backends.null.Keyring")
    home.env.update(HF_ENDPOINT=CLOSED, PIP_NO_INDEX="1", PIP_CONFIG_FILE=os.devnull)


@pytest.fixture(autouse=True)
def _small_machine(home: Home) -> None:
    """Let the record say that this machine has room for the smaller model."""
    record = Path(home.env["XDG_STATE_HOME"]) / "chatcli" / "local" / "model"
    record.parent.mkdir(parents=True)
    record.write_text(QWEN.name)


def own_files(home: Home) -> list[str]:
    """Return the names of the files that chatcli has made."""
    return [path.name for path in home.files() if "chatcli" in path.parts and path.parts[-2:] != ("local", "model")]


def assert_asks_no_more(terminal: OpenTerminal) -> None:
    """Check that the next run begins with the prompt."""
    again = terminal()
    again.wait_for_prompt()
    assert QUESTION not in again.text()


@pytest.mark.parametrize(
    ("typed", "step", "key", "code"),
    [
        ("", QUESTION, "escape", 0),
        ("", QUESTION, "ctrl-c", 130),
        ("k", "Provider (", "ctrl-d", 0),
        ("k\r", "Key for OpenAI", "ctrl-c", 130),
        ("b", "Base URL (", "ctrl-d", 0),
    ],
)
def test_one_screen_asks_what_should_answer_and_leaving_changes_nothing(
    terminal: OpenTerminal, home: Home, typed: str, step: str, key: str, code: int
) -> None:
    tty = terminal(size=(80, 24), typed="k\n")  # before the question: no answer to it
    shown = tty.wait_for(QUESTION)
    assert len(shown.splitlines()) < 24
    assert all(word in shown for word in (QWEN.title, "491 MB", "about 1 min", "OpenAI or Anthropic", "base URL"))
    tty.paste("lkb")  # a paste chooses nothing
    tty.send(f"x{typed}")
    tty.wait_for(step)
    tty.send_key(key)
    assert tty.exit_code() == code
    assert ("Provider (" in tty.text()) == typed.startswith("k")
    assert tty.settings() == tty.settings_before
    assert own_files(home) == []


def _has(words: str, count: int, text: str) -> bool:
    return text.count(words) == count


def test_escape_goes_back_to_the_choice(terminal: OpenTerminal, home: Home) -> None:
    tty = terminal(size=(80, 24))
    for number, (typed, step) in enumerate((("k", "Provider ("), ("k\r", "Key for OpenAI"), ("b", "Base URL (")), 1):
        tty.wait_for(partial(_has, QUESTION, number))
        before = tty.text().count(step)
        tty.send(typed)
        tty.wait_for(partial(_has, step, before + 1))
        tty.send_key("escape")
    tty.wait_for(lambda text: text.count(QUESTION) == 4)
    tty.send_key("escape")
    assert tty.exit_code() == 0
    assert own_files(home) == []


def test_a_key_is_typed_hidden_and_kept_and_its_provider_answers(
    chat: Chat, terminal: OpenTerminal, home: Home
) -> None:
    tty = terminal(size=(80, 24))
    tty.wait_for(QUESTION)
    tty.send("K")
    tty.wait_for("Provider (")
    tty.send_line("nobody")
    tty.wait_for("nobody is none of them")
    tty.send_line("azure")
    tty.wait_for("Azure OpenAI needs more")
    tty.send_line("anth")  # the beginning of one name
    tty.wait_for(lambda _: tty.cursor_line().startswith("Key for Anthropic"))
    tty.send_line("no key\N{SNOWMAN}")
    tty.wait_for("characters that no key has")
    tty.wait_for(lambda _: tty.cursor_line().startswith("Key for Anthropic"))
    tty.send_line(SECRET)
    tty.wait_for_prompt()
    assert SECRET not in tty.text()
    tty.send_line("/exit")
    assert tty.exit_code() == 0
    kept = Path(home.env["XDG_CONFIG_HOME"], "chatcli", "keys.json")
    assert SECRET in kept.read_text()
    assert not [path for path in home.files() if path != kept and SECRET.encode() in path.read_bytes()]
    assert chat("config", "--json").json()["model"]["value"].startswith("anthropic:")
    assert_asks_no_more(terminal)


def test_a_key_is_not_shown_on_a_dumb_terminal_either(terminal: OpenTerminal) -> None:
    tty = terminal(env={"TERM": "dumb"})
    tty.wait_for(QUESTION)
    tty.send(f"k\r{SECRET}\r")  # typed ahead
    tty.wait_for("the key of OpenAI is kept")
    assert SECRET not in tty.text()


def test_a_server_is_tried_before_its_url_is_kept(terminal: OpenTerminal, home: Home, server: FakeOpenAI) -> None:
    tty = terminal(size=(80, 24))
    tty.wait_for(QUESTION)
    tty.send("b")
    for url, message in (
        ("localhost:8000", "a URL starts with http:// or https://"),
        (f"{CLOSED}/v1", "can't be reached"),
        (server.base_url.removesuffix("/v1"), f"/v1: {server.base_url}"),
    ):
        tty.wait_for("Base URL (")
        tty.send_line(url)
        tty.wait_for(message)
        assert own_files(home) == []
    tty.send_line("")  # back to the choice
    tty.wait_for(lambda text: text.count(QUESTION) == 2)
    tty.send("b")
    tty.send_line(f"{server.base_url}/")
    tty.wait_for("Using gpt-fake, the first of 2 models there")
    tty.wait_for_prompt()
    tty.send_line("hello")
    tty.wait_for("You said: hello")
    config = Path(home.env["XDG_CONFIG_HOME"], "chatcli", "config.toml")
    assert config.read_text() == f'base_url = "{server.base_url}"\n'
    assert_asks_no_more(terminal)


def test_a_server_that_wants_a_key_is_given_one(terminal: OpenTerminal, home: Home, server: FakeOpenAI) -> None:
    server.key = SECRET
    tty = terminal(size=(80, 24))
    tty.wait_for(QUESTION)
    tty.send("b")
    for key, message in (("sk-wrong", "refused the key"), (SECRET, "Using gpt-fake, the first of 2 models there")):
        tty.wait_for("Base URL (")
        tty.send_line(server.base_url)
        # What is typed before this question is shown would be echoed.
        tty.wait_for(lambda _: tty.cursor_line().startswith("Key for this server"))
        tty.send_line(key)
        tty.wait_for(message)
    tty.wait_for_prompt()
    assert SECRET not in tty.text()
    assert {"config.toml", "keys.json"} <= set(own_files(home))


def test_what_cannot_be_kept_is_used_for_one_conversation(terminal: OpenTerminal, server: FakeOpenAI) -> None:
    server.key = SECRET
    tty = terminal(env=dict.fromkeys(("XDG_CONFIG_HOME", "XDG_STATE_HOME"), os.devnull))
    tty.wait_for(QUESTION)
    tty.send("b")
    tty.send_line(server.base_url)
    tty.wait_for(lambda _: tty.cursor_line().startswith("Key for this server"))
    tty.send_line(SECRET)
    tty.wait_for("The server is used for this conversation only.")
    tty.wait_for("The key is used for this conversation only.")
    tty.wait_for_prompt()
    tty.send_line("hello")
    tty.wait_for("You said: hello")


def test_the_local_model_is_fetched_and_a_stopped_download_is_not_asked_about(
    terminal: OpenTerminal, home: Home
) -> None:
    with Hub() as hub:
        hub.files[WEIGHTS] = bytes(QWEN.size)
        hub.stall_after, hub.chunk_pause = 10_000_000, 0.005  # longer than the time between two reports
        home.env["HF_ENDPOINT"] = hub.url
        tty = terminal()
        tty.wait_for(QUESTION)
        tty.send_key("enter")
        tty.wait_for(lambda text: re.search(r"[1-9]\S* \w?B of 491.4 MB", text) is not None)
        tty.send_key("ctrl-c")
        assert tty.exit_code() == 130
        assert tty.settings() == tty.settings_before
        assert "What has arrived is kept" in tty.text()
        assert f"{QWEN.file_name}.part" in own_files(home)
        assert_asks_no_more(terminal)


def test_a_download_that_fails_leaves_the_choice(terminal: OpenTerminal, home: Home) -> None:
    tty = terminal()
    tty.wait_for(QUESTION)
    tty.send("l")
    tty.wait_for(lambda text: "can't be downloaded" in text and text.count(QUESTION) == 2)
    tty.send_key("escape")
    assert tty.exit_code() == 0
    terminal().wait_for(QUESTION)  # the user has no model yet


def test_nothing_is_asked_where_a_model_or_a_question_is_there(terminal: OpenTerminal, home: Home) -> None:
    def assert_no_question(tty: Terminal) -> None:
        tty.wait_for_prompt()
        assert QUESTION not in tty.text()

    assert_no_question(terminal("-m", "local"))
    assert_no_question(terminal(env={"GROQ_API_KEY": SECRET}))
    assert_no_question(terminal(env={"CHATCLI_LOCAL_MODEL": "nowhere.gguf"}))
    assert QUESTION not in terminal("why?").wait_for(f"downloading {QWEN.title}")


def test_a_local_model_that_was_never_chosen_is_a_choice(terminal: OpenTerminal, home: Home) -> None:
    cache = Path(home.env["XDG_CACHE_HOME"], "chatcli", "models")
    cache.mkdir(parents=True)
    with (cache / QWEN.file_name).open("wb") as weights:
        weights.truncate(QWEN.size)
    tty = terminal()
    assert "it is on this machine already" in tty.wait_for(QUESTION)
    tty.send_key("escape")
    assert tty.exit_code() == 0
