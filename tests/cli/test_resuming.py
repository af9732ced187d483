"""The command that goes on with a thread: it repeats what this command line says, and shows no password or key."""

import shlex
from pathlib import Path
from typing import Any

import pytest

from chatcli.cli.run.resuming import resume_command
from chatcli.config.settings import Settings
from chatcli.conversation.backend import choose_backend

KEY = "sk-test-5fe2c0b49d7a41e8"


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch, own_folders: Path) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


def resumed(given: dict[str, Any], answer: str = "") -> tuple[list[str], str]:
    """Return the words of the command after `chat`, and the remark."""
    settings = Settings.load(given)
    shown, parenthesis, remark = resume_command(settings, choose_backend(settings), "it's", answer=answer).partition(
        "  ("
    )
    chat, *words = shlex.split(shown)
    assert chat == "chat"
    return words, parenthesis + remark


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, []),
        ({"store": "sqlite:///a b.db"}, ["--store", "sqlite:///a b.db"]),
        ({"store": "postgresql://me@db/chat"}, ["--store", "postgresql://me@db/chat"]),
        ({"base_url": "http://localhost:1/v1"}, ["--base-url", "http://localhost:1/v1"]),
        ({"url": "http://localhost:1"}, ["--url", "http://localhost:1"]),
        ({"graph": "an agent.py:agent"}, ["--graph", "an agent.py:agent"]),
        ({"tools": True, "mcp_file": Path("m.json")}, []),  # which a new question does without
    ],
)
def test_the_command_line_is_repeated(given: dict[str, Any], words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHATCLI_STORE", "sqlite:///of-the-environment.db")
    assert resumed(given) == ([*words, "--thread", "it's"], "")


@pytest.mark.parametrize(
    ("option", "url"),
    [
        ("url", "http://me:hunter2@localhost"),
        ("store", "postgresql://me:hunter2@db/chat"),
        ("base_url", "http://hunter2@localhost/v1"),
        ("base_url", "http://localhost/v1?api_key=hunter2"),
        ("base_url", f"http://localhost/{KEY}"),
    ],
)
def test_a_url_that_holds_a_secret_is_not_shown(option: str, url: str) -> None:
    words, remark = resumed({option: url})
    assert words == [f"--{option.replace('_', '-')}", "URL", "--thread", "it's"]
    assert "it holds a password or a key" in remark


def test_an_answer_needs_the_tools_again() -> None:
    words, _ = resumed({"tools": True, "mcp_file": Path("m.json")}, answer="JSON")
    assert words == ["--tools", "--mcp", "m.json", "--thread", "it's", "--resume-with", "JSON"]
    assert resumed({"tools": False}, answer="null")[0] == ["--thread", "it's", "--resume-with", "null"]
