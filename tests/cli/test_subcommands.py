"""Sub-commands: what they write, what they refuse, and which secrets they don't print."""

import asyncio
import os
import signal
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from chatcli.cli.main import run
from chatcli.cli.run.dispatch import fits_helper
from chatcli.cli.subcommands.mcp import TOKEN, _token
from chatcli.config.settings import Settings
from chatcli.conversation.backend import choose_backend
from chatcli.errors import UsageError
from chatcli.runtime.signals import STOPPING
from tests.conversing import ask, conversing
from tests.e2e.program import Result
from tests.fakes.openai_server import FakeOpenAI
from tests.sample_graphs import small

KEY = "sk-test-5fe2c0b49d7a41e8"
Run = Callable[..., Result]


@pytest.fixture
def chat(own_folders: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """Give what runs `chat` in this process, off a terminal."""
    handlers = {number: signal.getsignal(number) for number in STOPPING}

    def run_here(*args: str) -> Result:
        with Path(os.devnull).open() as nothing:
            monkeypatch.setattr(sys, "stdin", nothing)
            return Result(run(list(args)), *capsys.readouterr())

    yield run_here
    for number, handler in handlers.items():
        signal.signal(number, handler)


def config() -> dict[str, Any]:
    return tomllib.loads(Path(os.environ["XDG_CONFIG_HOME"], "chatcli", "config.toml").read_text())


def test_a_key_is_no_argument(chat: Run, own_folders: Path) -> None:
    done = chat("keys", "set", "openai", KEY)
    assert done.returncode == 2
    assert "a key is no argument" in done.stderr
    assert KEY not in done.stdout + done.stderr
    assert not [path for path in own_folders.rglob("*") if path.is_file()]


def test_mcp_servers_are_added_listed_and_removed(chat: Run) -> None:
    header = {"Authorization": "Bearer ${WEB_TOKEN}"}
    chat("mcp", "add", "web", "https://a.org/mcp", "--header", "Authorization=Bearer ${WEB_TOKEN}")
    chat("mcp", "add", "files", "--env", "API_KEY=hunter2=x", "--", "serve", "--root", "/")
    web = {"url": "https://a.org/mcp", "headers": header}
    files = {"command": "serve", "args": ["--root", "/"], "env": {"API_KEY": "hunter2=x"}}
    assert config() == {"mcp": {"web": web, "files": files}}
    for words in (
        ("add", "web", "https://b.org"),
        ("add", "a b", "serve"),
        ("add", "x" * 65, "serve"),
        ("add", "new", "https://b.org", "--env", "A=b"),
        ("add", "new", "--header", "A=b", "--", "serve"),
        ("add", "new", "--env", "A", "--", "serve"),
        ("add", "new", "--env", "=b", "--", "serve"),
        ("remove", "nobody"),
        ("login", "nobody"),
    ):
        assert chat("mcp", *words).returncode == 2, words
    assert config() == {"mcp": {"web": web, "files": files}}
    chat("config", "set", "mcp.web.disabled", "true")
    listed = chat("mcp", "list", "--json")
    assert "hunter2" not in listed.stdout
    states = {each["name"]: (each["source"], each["state"]) for each in listed.json()}
    assert states == {"web": ("config.toml", "disabled"), "files": ("config.toml", "used")}
    assert chat("mcp", "remove", "web").returncode == 0
    assert config() == {"mcp": {"files": files}}


@pytest.mark.parametrize("given", ["x" * 15, "caf\u00e9" * 5, "two words of a token", "tab\tof a token...."])
def test_a_token_that_is_none_is_refused(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOKEN, given)
    with pytest.raises(UsageError):
        _token()


def test_no_child_inherits_the_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOKEN, f" {'x' * 16}\n")
    assert _token() == "x" * 16
    assert TOKEN not in os.environ
    assert _token() == ""


def test_an_alias_may_be_the_default(chat: Run) -> None:
    assert chat("models", "alias", "fast", "openai:gpt-fast").returncode == 0
    assert chat("models", "default", "fast").stdout == "the default model is openai:gpt-fast\n"
    assert config() == {"model": "fast", "aliases": {"fast": "openai:gpt-fast"}}
    assert chat("models", "alias", "local", "openai:gpt-fast").returncode == 2
    assert chat("models", "default", "opneai:gpt-fast").returncode == 2
    assert config() == {"model": "fast", "aliases": {"fast": "openai:gpt-fast"}}


def test_no_value_of_a_table_is_printed(chat: Run) -> None:
    chat("mcp", "add", "web", "https://a.org/mcp")
    done = chat("config", "set", "mcp.web.headers", '{"X": "hunter2"}')
    assert done.stdout.startswith("mcp.web.headers is set in ")
    assert "hunter2" not in done.stdout + done.stderr
    assert config()["mcp"]["web"]["headers"] == {"X": "hunter2"}


def test_only_some_of_many_skipped_files_are_named(chat: Run, own_folders: Path) -> None:
    folder = own_folders / "docs"
    folder.mkdir()
    for number in range(12):
        (folder / f"{number}.bin").write_bytes(b"\0\1\2")
    few, every = chat("docs", "index", "docs"), chat("--debug", "docs", "index", "docs")
    named = [sum(".bin: " in line for line in done.stderr.splitlines()) for done in (few, every)]
    assert named == [10, 12]
    assert few.stderr.endswith("skipped: 2 more; `chat --debug docs index` names all\n")
    assert "12 since" in few.stdout


def test_doctor_shows_no_password_and_fails(chat: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    done = chat("--base-url", f"http://me:hunter2@127.0.0.1:9/{KEY}", "doctor", "--json")
    assert done.returncode == 1
    assert "hunter2" not in done.stdout + done.stderr
    assert KEY not in done.stdout + done.stderr
    [endpoint] = [each for each in done.json() if each["subject"] == "endpoint"]
    assert endpoint["state"] == "problem"
    assert "that the server runs" in endpoint["remedy"]


@pytest.fixture
def thread(model: FakeOpenAI) -> str:
    """Store a thread with an answer, and a grant of its user."""

    async def talk() -> None:
        async with conversing(model, "talk") as conversation:
            await ask(conversation, "hello")
            conversation.backend.grants("talk").allow("fetch_url:example.org")

    asyncio.run(talk())
    return "talk"


def test_a_fork_has_the_grants_of_its_thread(chat: Run, thread: str) -> None:
    assert chat("threads", "fork", thread, "copy").stdout == "copy\n"
    assert choose_backend(Settings.load()).grants("copy").rules == ["fetch_url:example.org"]


def test_the_helper_runs_no_thread_of_a_graph(chat: Run, thread: str) -> None:
    assert fits_helper(Settings.load({"thread": thread}))
    assert fits_helper(Settings.load({}), continue_=True)
    assert chat("--graph", f"{small.__file__}:graph", "-t", "graph", "hello").returncode == 0
    assert not fits_helper(Settings.load({"thread": "graph"}))
    assert fits_helper(Settings.load({}))
    assert not fits_helper(Settings.load({}), continue_=True)  # the thread that was used last


def test_usage_is_that_of_the_time(chat: Run, thread: str) -> None:
    turns = [
        chat("usage", *since, "--json").json()["total"]["turns"] for since in ((), ("--since", "1h"), ("--since", "0h"))
    ]
    assert turns == [1, 1, 0]
