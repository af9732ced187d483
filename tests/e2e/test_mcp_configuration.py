"""The MCP servers of config.toml, which `chat mcp` adds, lists and removes, and those of a project's `.mcp.json`."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.checks import assert_reported
from tests.e2e.conftest import OpenTerminal
from tests.e2e.program import Chat, Home
from tests.fakes.openai_server import FakeOpenAI
from tests.fakes.steps import Answer, call

SERVER = str(Path(__file__).parents[1] / "fakes" / "small_mcp_server.py")


def write_project(home: Home, name: str = "project") -> Path:
    """Write a `.mcp.json` whose server notes what happens to it in the folder that is returned."""
    notes = home.work / "notes"
    notes.mkdir()
    server = {"command": sys.executable, "args": ["-IS", SERVER], "env": {"MCP_NOTES": str(notes)}}
    (home.work / ".mcp.json").write_text(json.dumps({"mcpServers": {name: server}}))
    return notes


def test_a_server_is_added_used_listed_and_removed(chat: Chat, fake: FakeOpenAI, mcp_server: dict[str, Any]) -> None:
    command = [mcp_server["command"], *mcp_server["args"]]
    added = chat("mcp", "add", "sums", "--env", "X=${HOME}", "--", *command)
    assert added.returncode == 0, added
    fake.script(call("add", a=20, b=22), Answer("42"))
    assert chat("how much is 20 + 22?").stdout == "42\n"
    assert fake.requests[1].results == ["42"]
    assert chat("mcp", "add", "docs", "https://example.com/mcp", "--header", "Api-Key=abcdefgh").returncode == 0
    sums, docs = chat("mcp", "list", "--json").json()
    assert sums == {
        "name": "sums",
        "server": f"X=${{HOME}} {' '.join(command)}",
        "source": "config.toml",
        "state": "used",
    }
    assert docs["server"] == "https://example.com/mcp Api-Key=***"
    assert chat("mcp", "remove", "sums").returncode == 0
    assert [one["name"] for one in chat("mcp", "list", "--json").json()] == ["docs"]


@pytest.mark.parametrize(
    "words",
    [
        ["add", "a.b", "https://example.com"],
        ["add", "a", "https://example.com", "--env", "A=b"],
        ["add", "a", "--header", "A=b", "--", "cat"],
        ["add", "a", "--env", "nothing", "--", "cat"],
        ["add", "a"],
        ["remove", "a"],
        ["no-such-command"],
    ],
)
def test_what_names_no_server_is_refused_and_changes_nothing(chat: Chat, words: list[str]) -> None:
    assert_reported(chat("mcp", *words), 2)
    assert chat("mcp", "list", "--json").json() == []


def test_a_server_is_not_added_twice(chat: Chat) -> None:
    assert chat("mcp", "add", "a", "--", "cat").returncode == 0
    refused = chat("mcp", "add", "a", "--", "ls")
    assert_reported(refused, 2)
    assert "chat mcp remove a" in refused.stderr
    assert chat("mcp", "list", "--json").json()[0]["server"] == "cat"


def test_a_projects_servers_are_used_only_after_trust_which_shows_their_commands(
    chat: Chat, home: Home, fake: FakeOpenAI
) -> None:
    notes = write_project(home)
    done = chat("hello")
    assert "the .mcp.json of this folder is not trusted, and its servers are left out: project." in done.stderr
    assert "add" not in fake.requests[0].tools
    assert chat("mcp", "list", "--json").json()[0]["state"] == "not trusted"
    assert not list(notes.iterdir())
    trusted = chat("trust", "--yes")
    assert f"project: MCP_NOTES={notes} {sys.executable} -IS {SERVER} (confined)" in trusted.stdout
    assert not list(notes.iterdir())
    fake.script(call("add", a=1, b=2), Answer("3"))
    done = chat("how much is 1 + 2?")
    assert (done.stdout, done.stderr.count("not trusted")) == ("3\n", 0)
    assert fake.requests[2].results == ["3"]
    changed = (home.work / ".mcp.json").read_text().replace("project", "other")
    (home.work / ".mcp.json").write_text(changed)
    assert "left out: other" in chat("hello").stderr


@pytest.mark.linux
def test_a_projects_server_is_confined_unless_the_user_lifts_it(chat: Chat, home: Home, fake: FakeOpenAI) -> None:
    outside, inside = home.root / "outside", home.work / "inside"
    line = f"echo x >{outside}; echo x >{inside}; exec {sys.executable} -IS {SERVER}"
    (home.work / ".mcp.json").write_text(json.dumps({"mcpServers": {"it": {"command": "sh", "args": ["-c", line]}}}))
    chat("trust", "--yes")
    fake.script(call("add", a=1, b=2), Answer("3"))
    assert chat("how much is 1 + 2?").stdout == "3\n"
    assert (inside.exists(), outside.exists()) == (True, False)
    chat("--no-sandbox", "hello")
    assert outside.exists()
    outside.unlink()
    chat("mcp", "add", "it", "--", "sh", "-c", line)
    chat("hello")
    assert outside.exists()


@pytest.mark.linux
def test_a_projects_server_that_fails_says_that_it_is_confined(chat: Chat, home: Home, fake: FakeOpenAI) -> None:
    (home.work / ".mcp.json").write_text('{"mcpServers": {"it": {"command": "false"}}}')
    chat("trust", "--yes")
    done = chat("hello")
    assert "it is confined, without the network; to lift that: chat mcp add it ..." in done.stderr


def test_a_projects_server_replaces_none_of_the_users(chat: Chat, home: Home) -> None:
    write_project(home, "mine")
    chat("mcp", "add", "mine", "--", "cat")
    chat("trust", "--yes")
    assert [one["server"] for one in chat("mcp", "list", "--json").json()] == ["cat"]


@pytest.mark.parametrize("text", ["{", "[]", '{"mcpServers": {"x": {}}}', "\x00"])
def test_a_damaged_file_of_a_project_is_left_out_and_not_trusted(
    chat: Chat, home: Home, fake: FakeOpenAI, text: str
) -> None:
    (home.work / ".mcp.json").write_text(text)
    done = chat("hello")
    assert done.returncode == 0, done
    assert "the .mcp.json of this folder is left out: " in done.stderr
    assert_reported(chat("trust", "--yes"), 2)


def test_a_conversation_asks_once_about_a_projects_servers(
    home: Home, terminal: OpenTerminal, fake: FakeOpenAI
) -> None:
    notes = write_project(home)
    opened = terminal(size=(500, 30))  # no path is long enough to break a line
    opened.wait_for("Its MCP servers would be started")
    opened.wait_for("Trust it until it changes?")
    assert SERVER in opened.text()
    opened.send_line("n")
    opened.wait_for_prompt()
    again = terminal()
    again.wait_for_prompt()
    assert "Trust it" not in again.text()
    assert not list(notes.iterdir())
