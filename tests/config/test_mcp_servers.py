"""The MCP servers that a file names: what each is, what is shown of it, and what its variables become."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from chatcli.config.mcp_servers import McpServer, parse_servers, read_servers, read_tables
from chatcli.errors import UsageError

SECRET = "sk-secret-123456"


def test_no_key_of_a_server_is_shown() -> None:
    command = McpServer(command="serve", args=("--key", SECRET), env={"API_KEY": SECRET, "LEVEL": "2"})
    headers = {"Authorization": f"Bearer {SECRET}", "Cookie": f"id={SECRET}", "X-Version": "2"}
    http = McpServer(url=f"https://example.org/mcp?api_key={SECRET}", headers=headers, client_secret=SECRET)
    assert SECRET not in repr(command)
    assert SECRET not in repr(replace(http, url="https://example.org"))
    assert http.describe() == "https://example.org/mcp?api_key=*** Authorization=*** Cookie=*** X-Version=2"
    assert command.describe() == f"API_KEY=*** LEVEL=2 serve --key {SECRET}", "a user trusts a whole command"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("${NAME}", "${NAME}"),
        ("Bearer ${env:NAME}", "Bearer ${env:NAME}"),
        (f"${{NAME:-{SECRET}}}", "***"),
        (f"${{NAME}}{SECRET}", "***"),
        (f"{SECRET.replace('-', '')} ${{NAME}}", "***"),
        ("pa$$word", "***"),
    ],
)
def test_the_name_of_a_variable_is_shown_in_place_of_a_key(value: str, shown: str) -> None:
    assert McpServer(url="https://a", headers={"Authorization": value}).describe() == f"https://a Authorization={shown}"


def test_where_a_command_runs_and_whether_it_is_confined_is_shown() -> None:
    server = McpServer(command="a b", args=("c d",), cwd="/there", confined_in="/here")
    assert server.describe() == "'a b' 'c d' (in /there) (confined)"
    assert McpServer(command="a").describe() == "a"


def test_variables_are_filled_everywhere_but_in_literal_values(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHO", "ada")
    monkeypatch.delenv("NOBODY", raising=False)
    given: dict[str, Any] = {
        "args": ("${WHO}", "${NOBODY:-x}"),
        "env": {"A": "${env:WHO}"},
        "headers": {"B": "<${WHO}>"},
    }
    server = McpServer(command="run-${WHO}", cwd="/home/${WHO}", **given)
    filled = server.filled()
    assert (filled.command, filled.args, filled.cwd) == ("run-ada", ("ada", "x"), "/home/ada")
    assert (filled.env, filled.headers) == ({"A": "ada"}, {"B": "<ada>"})
    literal = McpServer(command="run-${WHO}", literal=True)
    assert literal.filled() == literal
    with pytest.raises(UsageError, match="needs the environment variable NOBODY"):
        McpServer(url="https://${NOBODY}").filled()


def test_a_command_is_looked_for_on_the_path_of_its_own(tmp_path: Path) -> None:
    program = tmp_path / "own-server"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    assert McpServer(command="own-server", env={"PATH": str(tmp_path)}).command_path() == str(program)
    assert McpServer(command="own-server").command_path() is None


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        ("text", "a table, not 'text'"),
        ({}, "either a command or a url"),
        ({"command": "a", "url": "https://b"}, "either a command or a url"),
        ({"command": "a", "literal": True}, "literal is not a key"),
        ({"command": "a", "confined_in": "/"}, "confined_in is not a key"),
        ({"command": "a", "arg": []}, "arg is not a key"),
        ({"command": 5}, "command: "),
        ({"url": "https://b", "type": "pigeon"}, "type: stdio or http"),
    ],
)
def test_what_describes_no_server_is_refused(table: object, problem: str) -> None:
    with pytest.raises(ValueError, match=f"^one: .*{problem}"):
        read_tables({"one": table})


def test_the_files_of_other_clients_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    entries = {
        "files": {
            "command": "npx",
            "args": ["-y", "files"],
            "env": {"PORT": 8080},
            "autoApprove": ["*"],
            "literal": True,
        },
        "web": {"url": "https://example.org", "type": "streamable-http", "disabled": True},
    }
    expected = {
        "files": McpServer(command="npx", args=("-y", "files"), env={"PORT": "8080"}),
        "web": McpServer(url="https://example.org", type="http", disabled=True),
    }
    for key in ("mcpServers", "servers"):
        (tmp_path / "servers.json").write_text(json.dumps({key: entries}))
        assert read_servers(Path("~/servers.json")) == expected


def test_servers_of_a_project_are_confined(tmp_path: Path) -> None:
    content = json.dumps({"mcpServers": {"a": {"command": "a", "confined_in": ""}}}).encode()
    assert parse_servers(content, tmp_path, confined_in="/project")["a"].confined_in == "/project"
    assert parse_servers(content, tmp_path)["a"].confined_in == ""


@pytest.mark.parametrize("content", [b"no JSON", b"[]", b"{}", b'{"mcpServers": []}', b'{"mcpServers": {"a": {}}}'])
def test_a_file_that_names_no_servers_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(UsageError):
        read_servers(tmp_path / "a.json")
    with pytest.raises(UsageError, match="no such file"):
        read_servers(tmp_path / "none.json")
