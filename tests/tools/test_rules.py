from pathlib import Path
from typing import Any

import pytest

from chatcli import paths
from chatcli.tools.builtin import builtin_tools
from chatcli.tools.rules import Rules, keep_rule, kept_rules, suggest_rule

TOOLS = {tool.name: tool for tool in builtin_tools(Path(), 1, allow_private=False)}


def allows(rule: str, tool: str, **arguments: Any) -> bool:
    return Rules([rule]).allows(TOOLS[tool], arguments)


@pytest.mark.parametrize(
    ("rule", "command", "allowed"),
    [
        ("run_shell:git *", "git log -3", True),
        ("run_shell:git *", "git", True),
        ("run_shell:git *", "gitk", False),
        ("run_shell:git *", "git log; rm -rf ~", False),
        ("run_shell:git *", "git log && rm x", False),
        ("run_shell:git *", "git log $(rm x)", False),
        ("run_shell:git *", "git log `rm x`", False),
        ("run_shell:git *", "git log\nrm x", False),
        ("run_shell:git *", "git log > /etc/passwd", False),
        ("run_shell:make && make test", "make && make test", True),
        ("run_shell", "anything | goes", True),
        ("run_shell:*", "anything | goes", True),
        ("run_*:ls *", "ls -l", True),
        ("*", "ls", True),
        ("fetch_url", "ls", False),
    ],
)
def test_a_pattern_with_a_wildcard_is_for_single_commands(rule: str, command: str, allowed: bool) -> None:
    assert allows(rule, "run_shell", command=command) is allowed


@pytest.mark.parametrize(
    ("command", "rule"),
    [
        ("git status -s", "run_shell:git status *"),
        ("ls -l", "run_shell:ls *"),
        ("make && make test", "run_shell:make && make test"),
    ],
)
def test_the_rule_that_is_offered_allows_the_call(command: str, rule: str) -> None:
    assert suggest_rule(TOOLS["run_shell"], {"command": command}) == rule
    assert allows(rule, "run_shell", command=command)


def test_addresses_are_allowed_by_server() -> None:
    rule = suggest_rule(TOOLS["fetch_url"], {"url": "https://docs.python.org/3/"})
    assert rule == "fetch_url:https://docs.python.org/*"
    assert allows(rule, "fetch_url", url="https://docs.python.org/3/library/")
    assert not allows(rule, "fetch_url", url="https://docs.python.org.evil.example/3/")
    assert not allows(rule, "fetch_url", url="https://docs.python.org@evil.example/3/")


@pytest.mark.parametrize(
    ("path", "asks"),
    [
        *(("notes.txt", False), (".gitignore", False), ("src/main.py", False), (".", False)),
        *((".env", True), (".env.local", True), ("keys/id_rsa", True), (".git/config", True), ("src/../.git/x", True)),
    ],
)
def test_files_that_may_hold_keys_are_asked_about(path: str, asks: bool) -> None:
    assert TOOLS["read_file"].asks({"path": path}) is asks
    assert TOOLS["search_files"].asks({"path": path}) is asks


def test_a_rule_of_several_lines_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "config_dir", lambda: tmp_path)
    command = "cat <<END\n# no comment\nEND"
    keep_rule(suggest_rule(TOOLS["run_shell"], {"command": command}))
    keep_rule("fetch_url")
    assert kept_rules() == [f"run_shell:{command}", "fetch_url"]
    assert Rules().allows(TOOLS["run_shell"], {"command": command})
