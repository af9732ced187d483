"""What `chat doctor` says of an installation, and what it mends."""

import sqlite3
import sys
from pathlib import Path

import pytest

from chatcli.config.installation import install_command
from tests.conftest import KEY
from tests.e2e.program import Chat
from tests.fakes.openai_server import FakeOpenAI


def database(chat: Chat) -> Path:
    return Path(chat.home.env["XDG_DATA_HOME"]) / "chatcli" / "threads.db"


def execute(path: Path, script: str) -> None:
    connection = sqlite3.connect(path)
    connection.executescript(script)
    connection.close()


def test_it_finds_everything_in_order_and_shows_no_key(chat: Chat, fake: FakeOpenAI) -> None:
    chat("-t", "abc", "hello")
    result = chat("doctor")
    assert result.returncode == 0, result
    assert "1 threads" in result.stdout
    assert f"{fake.base_url} answers" in result.stdout
    assert KEY not in result.stdout + result.stderr


def _hiding(chat: Chat, *modules: str) -> dict[str, str]:
    """Return the variables under which Python takes `modules` for not installed."""
    hidden = chat.home.root / "hidden"
    hidden.mkdir()
    (hidden / "sitecustomize.py").write_text(
        "import importlib.util as util\nfind = util.find_spec\n"
        f"util.find_spec = lambda name, *more: None if name in {modules!r} else find(name, *more)\n"
    )
    return {"PYTHONPATH": str(hidden)}


@pytest.mark.executable
def test_each_problem_has_a_remedy(chat: Chat, fake: FakeOpenAI) -> None:
    database(chat).parent.mkdir(parents=True)
    database(chat).write_bytes(b"this is no database at all, but long enough to be taken for one" * 100)
    missing = {"OPENAI_BASE_URL": "http://127.0.0.1:9/v1", "CHATCLI_MODEL": "cohere:fake"}
    result = chat("doctor", "--json", env={**missing, **_hiding(chat, "langchain_cohere")})
    assert result.returncode == 1
    problems = {finding["subject"]: finding for finding in result.json() if finding["state"] == "problem"}
    assert {"store", "model", "endpoint"} <= set(problems)
    assert install_command("cohere").removeprefix(f"{sys.executable} -m ") in problems["model"]["remedy"]
    assert all(problem["remedy"] for problem in problems.values())


@pytest.mark.executable
def test_what_is_optional_and_missing_is_no_failure(chat: Chat, fake: FakeOpenAI) -> None:
    hidden = _hiding(chat, "xllamacpp", "onnxruntime", "PIL", "keyring")
    result = chat("doctor", "--json", env=hidden)
    assert result.returncode == 0, result
    optional = {finding["subject"]: finding["detail"] for finding in result.json()}
    assert optional["local model"].startswith("not installed, optional; to add it: ")
    assert optional["search by meaning"].startswith("not installed, optional; to add it: ")
    assert optional["keyring"].startswith("not installed, optional; to add it: ")
    assert optional["images"].startswith("Pillow is not installed, optional; to add it: ")
    answering = chat("doctor", "--json", env={**hidden, "CHATCLI_MODEL": "local"})
    [model] = [finding for finding in answering.json() if finding["subject"] == "model"]
    assert (answering.returncode, model["state"], "[local]" in model["remedy"]) == (1, "problem", True), answering


def test_a_config_file_that_cannot_be_read_is_a_finding(chat: Chat, fake: FakeOpenAI) -> None:
    config = Path(chat.home.env["XDG_CONFIG_HOME"]) / "chatcli" / "config.toml"
    config.parent.mkdir(parents=True)
    config.write_text("temperatur = 1\n")
    result = chat("doctor")
    assert result.returncode == 1
    assert "temperatur" in result.stdout


def test_a_lost_index_is_rebuilt_automatically(chat: Chat, fake: FakeOpenAI) -> None:
    chat("-t", "abc", "hello world")
    execute(database(chat), "DROP TABLE threads; DROP TABLE messages;")
    assert [thread["thread_id"] for thread in chat("threads", "list", "--json").json()] == ["abc"]
    assert chat("-t", "abc", "more").returncode == 0
    assert chat("threads", "search", "world", "--json").json()


def test_an_index_that_is_wrong_is_repaired(chat: Chat, fake: FakeOpenAI) -> None:
    chat("-t", "abc", "hello world")
    chat("threads", "rename", "abc", "A title of mine")
    execute(database(chat), "DELETE FROM messages; INSERT INTO threads VALUES ('ghost', '', '', 9, '', '');")
    assert chat("threads", "search", "world", "--json").json() == []
    assert chat("doctor", "--repair").returncode == 0
    assert chat("threads", "search", "world", "--json").json()
    listed = chat("threads", "list", "--json").json()
    assert [(thread["thread_id"], thread["title"]) for thread in listed] == [("abc", "A title of mine")]


def test_a_server_that_is_not_reached_is_named_with_what_sets_it(chat: Chat) -> None:
    url = "http://127.0.0.1:9/v1"
    assert chat("config", "set", "base_url", url).returncode == 0
    found = {one["subject"]: one for one in chat("doctor", "--json").json()}
    assert "`chat config set base_url URL`" in found["endpoint"]["remedy"]
    found = {one["subject"]: one for one in chat("doctor", "--json", env={"CHATCLI_BASE_URL": url}).json()}
    assert "environment CHATCLI_BASE_URL" in found["endpoint"]["remedy"]
