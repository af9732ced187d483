"""The server that a thread remembers: it goes on there, and gets nothing that the user did not give it."""

import json
import shlex
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor

import pytest

from chatcli.config.grants import check_named, note_endpoint, was_sent
from chatcli.config.secrets import Secret
from tests.e2e.conftest import OpenTerminal
from tests.e2e.program import Chat, Home
from tests.fakes.openai_server import FakeOpenAI
from tests.sample_graphs import small

GIVEN, OTHER = "sk-given-3b1d5f70a2", "sk-other-9c4e8a61d7"


@pytest.fixture
def server() -> Iterator[FakeOpenAI]:
    """Run a model server that nothing in the environment names."""
    with FakeOpenAI() as running:
        yield running


def keys(server: FakeOpenAI) -> list[str | None]:
    return [request.headers.get("authorization") for request in server.requests]


def test_a_thread_goes_on_at_its_server_with_the_key_that_was_given_for_it(chat: Chat, server: FakeOpenAI) -> None:
    server.models = ["first", "second"]
    env = {"OPENAI_API_KEY": GIVEN}
    assert chat("--base-url", server.base_url, "-m", "second", "-t", "bu", "one", env=env).returncode == 0
    resumed = chat("-t", "bu", "two", env=env)
    assert resumed.returncode == 0, resumed
    assert keys(server) == [f"Bearer {GIVEN}"] * 2
    assert [request.body["model"] for request in server.requests] == ["second", "second"]
    noted = chat.home.root / ".local/state/chatcli/endpoints.json"
    assert noted.stat().st_mode & 0o777 == 0o600
    assert GIVEN not in noted.read_text()


def test_another_key_is_not_sent_to_a_server_that_only_the_thread_names(chat: Chat, server: FakeOpenAI) -> None:
    chat("--base-url", server.base_url, "-t", "bu", "one", env={"OPENAI_API_KEY": GIVEN})
    assert chat("-t", "bu", "two", env={"OPENAI_API_KEY": OTHER}).returncode == 0
    assert keys(server) == [f"Bearer {GIVEN}", "Bearer none"]
    server.key = GIVEN
    refused = chat("-t", "bu", "three", env={"OPENAI_API_KEY": OTHER})
    assert refused.returncode == 3
    assert "--base-url" in refused.stderr
    assert OTHER not in str(keys(server))


def test_a_token_of_lm_studio_is_not_sent_to_a_server_that_only_the_thread_names(
    chat: Chat, server: FakeOpenAI
) -> None:
    chat("-m", "lmstudio:gpt-fake", "--base-url", server.base_url, "-t", "bu", "one")
    resumed = chat("-t", "bu", "two", env={"LM_API_TOKEN": OTHER})
    assert resumed.returncode == 0, resumed
    assert keys(server) == ["Bearer none"] * 2


def test_nothing_is_sent_to_a_server_that_the_user_has_never_named(chat: Chat, server: FakeOpenAI) -> None:
    chat("--base-url", server.base_url, "-t", "bu", "one", "--store", "sqlite:///shared.db")
    asked = len(server.requests)
    stranger = {"XDG_STATE_HOME": str(chat.home.root / "other-state"), "OPENAI_API_KEY": OTHER}
    refused = chat("--store", "sqlite:///shared.db", "-t", "bu", "two", env=stranger)
    assert refused.returncode == 2, refused
    assert "--base-url URL" in refused.stderr
    assert server.base_url in refused.stderr
    assert len(server.requests) == asked
    named = chat("--store", "sqlite:///shared.db", "-t", "bu", "--base-url", server.base_url, "two", env=stranger)
    assert named.returncode == 0, named
    assert chat("--store", "sqlite:///shared.db", "-t", "bu", "three", env=stranger).returncode == 0


def test_a_setting_goes_before_the_server_that_the_thread_remembers(
    chat: Chat, server: FakeOpenAI, fake: FakeOpenAI
) -> None:
    chat("--base-url", server.base_url, "-m", "gpt-fake", "-t", "bu", "one")
    assert chat("-t", "bu", "two").returncode == 0  # the environment names `fake`
    assert (len(server.requests), len(fake.requests)) == (1, 1)


def test_the_server_belongs_to_the_model_that_was_asked_there(chat: Chat, server: FakeOpenAI) -> None:
    chat("--base-url", server.base_url, "-m", "gpt-fake", "-t", "bu", "one")
    assert chat("-t", "bu", "-m", "gpt-fake-mini", "two").returncode == 0  # a name of the server's own
    assert chat("-t", "bu", "-m", "openai:gpt-fake-mini", "three").returncode == 0  # the thread's model by now
    assert [request.body["model"] for request in server.requests] == ["gpt-fake", "gpt-fake-mini", "gpt-fake-mini"]
    elsewhere = chat("-t", "bu", "-m", "openai:gpt-5-mini", "four")  # at OpenAI's own server, which wants a key
    assert elsewhere.returncode == 3
    assert "OPENAI_API_KEY is not set" in elsewhere.stderr
    assert len(server.requests) == 3


def test_a_url_with_a_password_is_neither_stored_nor_shown(chat: Chat, server: FakeOpenAI) -> None:
    url = server.base_url.replace("://", "://me:s3cret-word@")
    chat("--base-url", url, "-t", "bu", "one")
    resumed = chat("-t", "bu", "two")
    assert resumed.returncode == 2
    assert "--base-url URL" in resumed.stderr
    assert "s3cret-word" not in resumed.stderr
    assert not any(b"s3cret-word" in path.read_bytes() for path in chat.home.files())


def test_an_export_brings_no_server_along(chat: Chat, server: FakeOpenAI) -> None:
    chat("--base-url", server.base_url, "-t", "bu", "one")
    exported = chat("threads", "export", "bu", "--format", "json").stdout
    assert server.base_url not in exported
    smuggled = {**json.loads(exported), "thread_id": "taken", "base_url": server.base_url}
    (chat.home.work / "taken.json").write_text(json.dumps(smuggled))
    refused = chat("threads", "import", "taken.json")
    assert refused.returncode == 2
    assert "base_url" in refused.stderr


def leave(terminal: OpenTerminal, *args: str, env: Mapping[str, str] | None = None) -> str:
    """Ask a question in the REPL and leave; return the hint."""
    tty = terminal(*args, size=(300, 30), env=env)
    tty.wait_for_prompt()
    tty.send_line("one")
    tty.wait_for("You said: one")
    tty.wait_for_prompt()
    tty.send_key("ctrl-d")
    assert tty.exit_code() == 0
    return tty.lines()[-1]


def test_the_resume_hint_repeats_what_the_command_line_says(server: FakeOpenAI, terminal: OpenTerminal) -> None:
    options = ["--store", "sqlite:///a file.db", "--base-url", server.base_url]
    hint = leave(terminal, "--thread", "it's", *options)
    assert shlex.split(hint.partition(": ")[2]) == ["chat", *options, "--thread", "it's"]


def test_the_resume_hint_shows_no_password(server: FakeOpenAI, terminal: OpenTerminal) -> None:
    hint = leave(terminal, "-t", "bu", "--base-url", server.base_url.replace("://", "://me:s3cret-word@"))
    assert "chat --base-url URL --thread bu" in hint
    assert "it holds a password" in hint
    assert "s3cret-word" not in hint


def test_the_hint_of_a_thread_that_waits_repeats_what_the_command_line_says(chat: Chat) -> None:
    store = ("--store", "sqlite:///own.db")
    asked = chat(*store, "--graph", f"{small.__file__}:asking", "-t", "t", "go")
    hint = "It waits for an answer: chat --store sqlite:///own.db --thread t --resume-with JSON"
    assert hint in asked.stderr
    again = chat(*store, "-t", "t", "another question")
    assert again.returncode == 2
    assert hint in again.stderr


@pytest.mark.parametrize("given", [True, False], ids=["named", "remembered"])
def test_the_toolbar_shows_the_model_that_the_thread_remembers(
    chat: Chat, server: FakeOpenAI, terminal: OpenTerminal, *, given: bool
) -> None:
    del chat.home.env["PROMPT_TOOLKIT_NO_CPR"]  # else there would be no toolbar
    chat("--base-url", server.base_url, "-m", "gpt-fake-mini", "-t", "bu", "one")
    tty = terminal("-t", "bu", *(["--base-url", server.base_url] if given else []))
    tty.answer_positions()
    tty.wait_for("· openai:gpt-fake-mini")  # as the index has it, at first
    tty.wait_for(lambda _: "one · openai:gpt-fake-mini · 18 tokens so far" in tty.screen())  # once it is open
    tty.send_line("two")
    tty.wait_for("You said: two")
    assert [request.body["model"] for request in server.requests] == ["gpt-fake-mini"] * 2


def test_servers_that_are_named_at_the_same_time_are_all_kept(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in home.env.items():
        monkeypatch.setenv(name, value)
    urls = [f"http://localhost:{port}/v1" for port in range(9000, 9040)]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda url: note_endpoint(url, Secret(GIVEN)), urls))
    for url in urls:
        check_named(url)
        assert was_sent(url, Secret(GIVEN))
