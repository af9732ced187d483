from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatcli import paths
from chatcli.config.settings import Settings
from chatcli.errors import StoreError
from chatcli.tools.sandbox.confinement import Sandbox, Strength
from chatcli.tools.shell import shell_tool
from chatcli.tools.tool import RESERVED, Rules, Tool, keep_rule, kept_rules, suggest_rule
from chatcli.tools.toolbox import Toolbox, builtin_tools
from chatcli.tools.workspace import Access, Workspace

TOOLS = {tool.name: tool for tool in builtin_tools(Workspace(Path()), 1, Settings())}


def allows(rule: str, tool: str, **arguments: Any) -> bool:
    return Rules([rule]).allows(TOOLS[tool], arguments)


@pytest.mark.parametrize(
    ("rule", "command", "allowed"),
    [
        ("a_server/run_shell", "ls", False),
        ("*/*", "ls", False),
        ("run_shell:git *", "git log -3", True),
        ("run_shell:git *", "git", True),
        ("run_shell:git *", "gitk", False),
        ("run_shell:git *", "git log; rm -rf ~", False),
        ("run_shell:git *", "git log && rm x", False),
        ("run_shell:git *", "git log $(rm x)", False),
        ("run_shell:git *", "git log `rm x`", False),
        ("run_shell:git *", "git log\nrm x", False),
        ("run_shell:git *", "git log > /etc/passwd", False),
        ("run_shell:git *", "git log & rm x", False),
        ("run_shell:git *", "git log\r\nrm x", False),
        ("run_shell:git *", "git log <(rm x)", False),
        ("run_shell:git *", "git log \\\nrm x", False),
        ("run_shell:git *", "git log ${x:=y}", False),
        ("run_shell:git *", "git log {--output=x,HEAD}", False),
        ("run_shell:git *", "git log\0rm x", False),
        ("run_shell:git *", "\u00a0git log", False),
        ("run_shell:git *", " git log\n", True),
        ("run_shell:", "ls", False),
        ("run_shell:echo [*]", "echo *", True),
        ("run_shell:echo [*]", "echo x", False),
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
        *((f"git {rest}", f"run_shell:git {rest}") for rest in ("status -s", "rev-parse --help", "ls-files")),
        ("ls -l", "run_shell:ls *"),
        ("make && make test", "run_shell:make && make test"),
        ("git log --oneline -1", "run_shell:git log --oneline -1"),
        ("echo *.py", "run_shell:echo *"),
        ("ls\t-l", "run_shell:ls\t-l"),
        ("rm *", "run_shell:rm [*]"),
        ("", "run_shell:"),
    ],
)
def test_the_rule_that_is_offered_allows_the_call(command: str, rule: str) -> None:
    assert suggest_rule(TOOLS["run_shell"], {"command": command}) == rule
    assert allows(rule, "run_shell", command=command)


ANY_COMMAND = (
    *(
        "bash",
        "sh",
        "/bin/bash",
        "zsh -c",
        "env",
        "timeout",
        "sudo",
        "sudo -n",
        "FOO=1",
        "FOO=1 ls",
        "xargs",
        "xargs -n1",
    ),
    *("python", "python3", "python -c", "perl", "perl -e", "node -e", "awk", "ruby", "nice", "nohup", "watch", "ssh"),
    *(
        "find",
        "find . -exec",
        "npx",
        "uvx",
        "uv run",
        "git -c",
        "git",
        "git -C",
        "arch",
        "make",
        "docker",
        "docker run",
        "time",
    ),
    *("exec", "eval", "command", "builtin", "source", ".", "npm", "npm run", "cargo", "go run", "pip", "tar", "rsync"),
    *(
        "git log",
        "git diff",
        "git grep",
        "git show",
        "git config",
        "sed",
        "vim",
        "less",
        "man",
        "cat",
        "tee",
        "curl",
        "dd",
    ),
    *("ls;", "'ls'", "\\ls", "ls&", "*", "?", "[a-z]s", "~/ls", "./ls", "ls\u00a0"),
)


@pytest.mark.parametrize("program", ANY_COMMAND)
@pytest.mark.parametrize("rest", ["", " *", " x", " -x y"])
def test_no_rule_is_offered_that_runs_any_command(program: str, rest: str) -> None:
    rule = suggest_rule(TOOLS["run_shell"], {"command": f"{program}{rest}"})
    assert allows(rule, "run_shell", command=f"{program}{rest}")
    for other in (
        "rm",
        "bash -c 'rm x'",
        f"{program} rm",
        f"{program} -c rm",
        f"{program}{rest} rm",
        f"{program}{rest}x",
    ):
        assert not allows(rule, "run_shell", command=other), rule


WORDS = (
    "ls",
    "git",
    "status",
    "log",
    "-c",
    "rm",
    "bash",
    "*",
    "?",
    "[a]",
    ";",
    "|",
    "$(x)",
    "{a,b}",
    "'",
    "~",
    "=",
    "",
)


@given(st.lists(st.sampled_from(WORDS) | st.text(max_size=4), max_size=5), st.lists(st.sampled_from(WORDS), max_size=5))
def test_the_offered_rule_is_for_this_command_or_for_a_harmless_one(words: list[str], others: list[str]) -> None:
    command, other = " ".join(words), " ".join(others)
    rule = suggest_rule(TOOLS["run_shell"], {"command": command})
    assert allows(rule, "run_shell", command=command)
    if allows(rule, "run_shell", command=other) and other.strip() != command.strip():
        assert other.strip().split()[:1] == ["ls"]
        assert not set(";|$`&<>{}()\n") & set(other)


@pytest.mark.parametrize("path", [".:/usr/bin", "/usr/bin:", "node_modules/.bin:/usr/bin", "/usr/bin::/bin"])
def test_no_wide_rule_is_offered_where_a_folder_may_bring_the_program(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", path)
    assert suggest_rule(TOOLS["run_shell"], {"command": "ls -l"}) == "run_shell:ls -l"


CONFIGURED = (
    *(
        "git",
        "make",
        "npm",
        "npx",
        "pnpm",
        "yarn",
        "pip",
        "uv",
        "cargo",
        "go",
        "python",
        "node",
        "tox",
        "pytest",
        "just",
    ),
    *(
        "cmake",
        "gradle",
        "mvn",
        "docker",
        "kubectl",
        "terraform",
        "hg",
        "svn",
        "jj",
        "rg",
        "find",
        "sort",
        "grep",
        "cat",
    ),
    *(
        "wc",
        "head",
        "tail",
        "diff",
        "tree",
        "du",
        "date",
        "file",
        "less",
        "man",
        "awk",
        "sed",
        "tar",
        "ssh",
        "gh",
        "bat",
    ),
)


@pytest.mark.parametrize("program", CONFIGURED)
@pytest.mark.parametrize("words", ["", " status", " --help", " -v x", " *"])
def test_a_program_that_may_be_configured_gets_rules_for_its_very_commands(program: str, words: str) -> None:
    rule = suggest_rule(TOOLS["run_shell"], {"command": f"{program}{words}"})
    assert allows(rule, "run_shell", command=f"{program}{words}")
    assert not allows(rule, "run_shell", command=f"{program}{words} x")
    assert "*" not in rule.replace("[*]", "")


def test_a_pattern_of_the_models_own_is_no_pattern_of_the_rule() -> None:
    rule = suggest_rule(TOOLS["read_file"], {"path": ".env*"})
    assert allows(rule, "read_file", path=".env*")
    assert not allows(rule, "read_file", path=".env.local")
    for url in ("https://*/x", "http://[", "", "*", "https:///x", "HTTPS://a.example/"):
        rule = suggest_rule(TOOLS["fetch_url"], {"url": url})
        assert allows(rule, "fetch_url", url=url)
        assert not allows(rule, "fetch_url", url="https://evil.example/x")


def test_a_rule_for_a_folder_is_not_led_out_of_it(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / ".env").write_text("x")
    (tmp_path / "docs" / "link").symlink_to("../.env")
    built = builtin_tools(Workspace(tmp_path), 1, Settings())
    tools = {tool.name: tool for tool in built}
    rules = Rules(["read_file:docs/*"])
    assert rules.allows(tools["read_file"], {"path": "docs/my.key"})
    assert not rules.allows(tools["read_file"], {"path": "docs/../.env"})
    assert not rules.allows(tools["read_file"], {"path": "docs/link"})


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
    assert not Rules().is_wide()
    keep_rule("run_shell:*")
    assert Rules().is_wide()
    assert paths.rules_file().stat().st_mode & 0o777 == 0o600
    paths.rules_file().write_bytes(b"\xff")
    with pytest.raises(StoreError, match="can't be read"):
        Rules().allows(TOOLS["run_shell"], {"command": command})


@pytest.mark.parametrize("server", ["a/b", "a:b", "a%2Fb", "a*", "[a]"])
def test_a_rule_for_a_server_is_for_no_other_whatever_its_name_is(server: str) -> None:
    tool = replace(TOOLS["remember"], server=server, always_asks=False)
    rule = suggest_rule(tool, {})
    assert Rules([rule]).allows(tool, {})
    for other in {"a", "b", "a/b", "a:b", "a%2Fb", "a%3Ab", "ab", "a*", "[a]", ""} - {server}:
        assert not Rules([rule]).allows(replace(tool, server=other), {}), (rule, other)


def test_the_names_of_built_in_tools_and_of_the_plan_are_taken() -> None:
    assert {*TOOLS, "search_threads", "search_documents", "read_document", "write_todos"} <= RESERVED


def test_the_widest_of_several_rules_holds_and_other_tools_have_no_access_to_ask_for() -> None:
    rules = Rules(["run_shell:make outside", "run_shell:make", "run_shell:make network"])
    assert rules.access(run_shell(), {"command": "make"}) == "outside"
    assert not allows("fetch_url:https://a.example/ outside", "fetch_url", url="https://a.example/")


def run_shell(strength: Strength | None = "full", *, is_on: bool = True) -> Tool:
    return shell_tool(Sandbox(Path(), is_on, strength), 1)


@pytest.mark.parametrize(
    ("rule", "command", "asked", "reach"),
    [
        ("run_shell:npm install network", "npm install", "confined", "network"),
        ("run_shell:npm install network", "npm install", "network", "network"),
        ("run_shell:npm install network", "npm install", "outside", None),
        ("run_shell:npm install network", "npm test", "confined", None),
        ("run_shell:npm install outside", "npm install", "network", "outside"),
        ("run_shell:npm install", "npm install", "network", None),
        ("run_shell:npm install", "npm install", "confined", "confined"),
        ("run_shell:ls * outside", "ls -l", "outside", "outside"),
        ("run_shell:ls * outside", "ls; rm x", "outside", None),
        ("run_shell:* network", "a | b", "confined", "network"),
        ("run_shell", "ls", "outside", None),
        ("run_shell:*", "ls", "network", None),
        ("run_shell:docker rm network", "docker rm network", "confined", "confined"),
        ("run_shell:echo outside confined", "echo", "outside", None),
        ("fetch_url:https://a.example/ outside", "ls", "confined", None),
    ],
)
def test_a_rule_may_end_in_how_far_a_command_reaches(rule: str, command: str, asked: str, reach: str | None) -> None:
    assert Rules([rule]).access(run_shell(), {"command": command, "access": asked}) == reach


@pytest.mark.parametrize("asked", ["confined", "network", "outside"])
@pytest.mark.parametrize("command", ["ls", "echo outside", "rm network", "echo confined", "a; b outside", "x *"])
def test_a_rule_that_is_offered_reaches_no_further_than_the_call(command: str, asked: str) -> None:
    tool, call = run_shell(), {"command": command, "access": asked}
    rules = Rules([suggest_rule(tool, call)])
    assert rules.access(tool, call) == asked
    for other in ("ls", "echo", "rm", "a; b", "x"):
        reach = rules.access(tool, {"command": other})
        assert reach in (None, asked) if other == command else reach in (None, "confined", asked)
        assert reach in (None, "confined") or asked != "confined"


def test_auto_runs_confined_commands_and_edits_in_the_folder_and_asks_for_the_rest(tmp_path: Path) -> None:
    rules = Rules(mode="auto")
    assert rules.access(run_shell(), {"command": "rm -r ."}) == "confined"
    assert rules.access(run_shell(), {"command": "ls", "access": "network"}) is None
    assert rules.access(run_shell(), {"command": "ls", "access": "outside"}) is None
    assert rules.access(run_shell("partial"), {"command": "ls"}) is None
    assert rules.access(run_shell("none"), {"command": "ls"}) is None
    assert rules.access(run_shell(is_on=False), {"command": "ls"}) is None
    (tmp_path / ".git").mkdir()
    (tmp_path / "link").symlink_to(".git")
    tools = builtin_tools(Workspace(tmp_path), 1, Settings())
    write = next(tool for tool in tools if tool.name == "write_file")
    assert rules.allows(write, {"path": "src/a.py", "content": "x"})
    for path in (
        ".git/hooks/pre-commit",
        "link/config",
        "AGENTS.md",
        "sub/.mcp.json",
        ".ENV",
        "langgraph.json",
    ):
        assert not rules.allows(write, {"path": path, "content": "x"}), path
    others = [tool for tool in tools if tool.name in ("fetch_url", "remember")]
    assert not any(rules.allows(tool, {"url": "https://a.example/", "fact": "x"}) for tool in others)


def test_edit_lets_edits_run_and_plan_nothing_that_changes(tmp_path: Path) -> None:
    tools = builtin_tools(Workspace(tmp_path), 1, Settings())
    write = next(tool for tool in tools if tool.name == "write_file")
    arguments = {"path": "a", "content": "x"}
    edits, plans = Rules(mode="edit"), Rules(["run_shell"], mode="plan")
    assert edits.allows(write, arguments)
    assert not edits.allows(write, {**arguments, "path": "AGENTS.md"})
    assert not edits.allows(run_shell(), {"command": "ls"})
    assert not plans.allows(run_shell(), {"command": "ls"})
    read = ["read_file", "list_files", "search_files", "fetch_url"]
    assert [tool.name for tool in tools if not plans.refuses(tool)] == read
    assert not any(map(edits.refuses, tools))


@pytest.mark.parametrize(
    ("strength", "rules", "warns"),
    [
        ("none", Rules(mode="yes"), True),
        ("none", Rules(["run_shell:*"]), True),
        ("none", Rules(["run_shell:ls *"]), False),
        ("full", Rules(mode="yes"), False),
    ],
)
def test_wide_rules_warn_where_nothing_confines(strength: Strength, rules: Rules, *, warns: bool) -> None:
    box = Toolbox(rules=rules, builtin=[run_shell(strength)])
    assert any("nothing confines them" in line for line in box.problems()) is warns


@pytest.mark.parametrize(
    ("tool", "access", "shown"),
    [
        (run_shell(), "confined", "confined"),
        (run_shell(), "network", "confined, but asks for the network"),
        (run_shell(), "outside", "asks to run outside of the sandbox"),
        (run_shell("none"), "confined", "not confined: this system can't do that (`chat doctor` says more)"),
    ],
)
def test_the_question_says_how_a_command_is_confined(tool: Tool, access: Access, shown: str) -> None:
    assert tool.sandbox is not None
    assert tool.sandbox.describe(access) == shown
