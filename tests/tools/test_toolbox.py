"""Which calls run without a question, and what an approval is of; no server is started."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import ToolCall
from langchain_core.tools import StructuredTool

from chatcli import paths
from chatcli.config.mcp_servers import McpServer
from chatcli.config.settings import Settings
from chatcli.errors import UsageError
from chatcli.tools.tool import Rules, Tool, keep_rule, kept_rules
from chatcli.tools.toolbox import Toolbox, build_toolbox, builtin_tools
from chatcli.tools.workspace import Workspace


@dataclass
class Served:
    """What a session with a server has after it was opened."""

    name: str
    tools: list[StructuredTool] = field(default_factory=list)
    problem: str = ""


def runnable(name: str, hints: Mapping[str, Any] | None = None) -> StructuredTool:
    return StructuredTool.from_function(lambda: "", name=name, description="x", metadata=hints and dict(hints))


def served(*sessions: Served, builtin: Sequence[Tool] = ()) -> dict[str, Tool]:
    toolbox = Toolbox(builtin=builtin)
    toolbox.sessions = list(sessions)  # type: ignore[arg-type]
    return {tool.full_name: tool for tool in toolbox._served()}


def call(name: str = "weigh", **more: Any) -> ToolCall:
    return ToolCall(name=name, args={"what": "a cat"}, id="1", type="tool_call") | more  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("hints", "asks"),
    [
        (None, True),
        ({}, True),
        ({"readOnlyHint": True, "openWorldHint": False}, False),
        ({"readOnlyHint": True}, True),  # it may send what it is given to anybody
        ({"readOnlyHint": True, "openWorldHint": True}, True),
        ({"readOnlyHint": True, "openWorldHint": None}, True),
        ({"readOnlyHint": True, "openWorldHint": 0}, True),
        ({"readOnlyHint": False, "openWorldHint": False}, True),
        ({"openWorldHint": False}, True),
        ({"readOnlyHint": "true", "openWorldHint": False}, True),
        ({"readOnlyHint": 1, "openWorldHint": False}, True),
    ],
)
def test_only_a_tool_that_reads_its_servers_own_data_runs_unasked(hints: Any, *, asks: bool) -> None:
    [tool] = served(Served("s", [runnable("look", hints)])).values()
    assert tool.asks({}) is asks
    assert (Toolbox().access(tool, call("look"), []) is None) is asks
    assert Rules().allows(tool, {}) is not asks


def test_a_servers_tool_has_a_name_that_providers_take_and_no_other_has() -> None:
    one = Served("one", [runnable("look"), runnable("a b/c"), runnable("x" * 80)])
    two = Served("two", [runnable("look"), runnable("weigh")])
    tools = served(one, two, builtin=[Tool(runnable("weigh"))])
    assert [tool.name for tool in tools.values()] == ["one_look", "a_b_c", "x" * 64, "two_look", "two_weigh"]
    assert list(tools) == [*("one/look", "one/a_b_c", f"one/{'x' * 64}", "two/look", "two/weigh")]


def test_an_approval_is_of_one_call() -> None:
    toolbox, tool = Toolbox(), Tool(runnable("weigh"))
    toolbox.approve(call(), "digest")
    assert toolbox.access(tool, call(), []) is not None
    assert toolbox.access(tool, call(id="2"), []) is not None
    assert toolbox.approved_file(call()) == "digest"
    for other in (call("look"), call(args={"what": "a dog"}), call(args={})):
        assert toolbox.access(tool, other, []) is None
        assert toolbox.approved_file(other) is None
    assert Toolbox().access(tool, call(), []) is None  # nor does it hold in another process
    assert toolbox.access(tool, call("other"), ["weigh"]) is not None  # by a rule of the thread
    assert Toolbox(rules=Rules(["weigh"])).access(tool, call(), []) is not None


REQUEST = {"action_requests": [{"name": "weigh", "args": {"what": "a cat"}, "diff": "d", "file_sha256": "f"}]}


@pytest.mark.parametrize(
    "other",
    [
        {"action_requests": []},
        {"action_requests": [{**REQUEST["action_requests"][0], "args": {"what": "a dog"}}]},
        {"action_requests": [{**REQUEST["action_requests"][0], "name": "look"}]},
        {"action_requests": [{**REQUEST["action_requests"][0], "diff": "e"}]},
        {"action_requests": [{**REQUEST["action_requests"][0], "file_sha256": "g"}]},
        {"action_requests": REQUEST["action_requests"] * 2},
        {"type": "mcp_form"},
    ],
)
def test_a_reply_counts_for_what_was_shown_alone(other: dict[str, Any]) -> None:
    toolbox = Toolbox()
    signed = toolbox.register_reply("approve", REQUEST)
    assert toolbox.read(signed, {**REQUEST, "problem": "again"}) == "approve"
    for wrong, request in [
        *((signed, other), (toolbox.register_reply("approve", other), REQUEST), (signed | {"token": "x"}, REQUEST)),
        *(("approve", REQUEST), ({"reply": "approve"}, REQUEST), ({"reply": "approve", "token": None}, REQUEST)),
    ]:
        with pytest.raises(ValueError, match="what was shown is not"):
            toolbox.read(wrong, request)
    with pytest.raises(ValueError, match="what was shown is not"):
        Toolbox().read(signed, REQUEST)  # in another process


def test_a_form_is_answered_as_it_was_shown() -> None:
    toolbox, form = Toolbox(), {"type": "mcp_form", "message": "Name?"}
    signed = toolbox.register_reply({"name": "x"}, form)
    assert toolbox.read(signed, {**form, "problem": "again"}) == {"name": "x"}
    with pytest.raises(ValueError, match="what was shown is not"):
        toolbox.read(signed, {**form, "message": "Password?"})


def test_a_server_that_can_not_be_used_is_told_and_a_disabled_one_is_none() -> None:
    toolbox = Toolbox({"off": McpServer(command="x", disabled=True), "on": McpServer(command="x")})
    assert (toolbox.starting, toolbox.empty) == (["on"], False)
    assert Toolbox({"off": McpServer(command="x", disabled=True)}).empty
    assert not Toolbox(builtin=builtin_tools(Workspace(Path()), 1, Settings())).empty
    toolbox.sessions = [Served("on", problem="it ended"), Served("well")]  # type: ignore[list-item]
    assert [line for line in toolbox.problems() if "left out" in line] == ["the MCP server on is left out: it ended"]


@pytest.mark.parametrize(
    ("options", "tools", "servers", "everything"),
    [
        ({}, False, True, False),
        ({"tools": True}, True, True, False),
        ({"tools": False, "recall": True, "yes": True}, False, False, True),
        ({"yes": True}, False, True, True),
    ],
)
def test_the_settings_switch_tools_on(
    options: dict[str, Any], monkeypatch: pytest.MonkeyPatch, *, tools: bool, servers: bool, everything: bool
) -> None:
    monkeypatch.setattr(Settings, "servers", lambda self: {"s": McpServer(command="x")})
    threads: Any = None
    toolbox = build_toolbox(Settings(**options), threads, lambda event: None, can_ask=True)
    assert bool(toolbox.builtin) is tools
    assert toolbox.starting == (["s"] if servers else [])
    assert (toolbox.rules.mode == "yes") is everything


def _write(path: str) -> str:
    """Write."""
    return path


WRITES = Tool(StructuredTool.from_function(_write, name="write"), changes=True)
FACT = Tool(runnable("remember"), always_asks=True)
HARMLESS = Tool(runnable("list"), asks=lambda arguments: False)
OURS = Tool(runnable("weigh"), subject=lambda arguments: str(arguments.get("what")))
THEIRS = Tool(runnable("weigh"), server="s")


@pytest.mark.parametrize(
    ("tool", "rules", "everything", "allowed"),
    [
        (HARMLESS, [], False, True),
        (OURS, [], False, False),
        (OURS, [], True, True),
        (OURS, ["weigh"], False, True),
        (OURS, ["look"], False, False),
        (OURS, ["weigh:a c*"], False, True),
        (OURS, ["weigh:a d*"], False, False),
        (OURS, ["look:*"], False, False),
        (THEIRS, ["s/weigh"], False, True),
        (THEIRS, ["t/weigh"], False, False),
        (WRITES, ["*", "write", "write:*"], False, False),
        (WRITES, [], True, True),
        (FACT, ["*", "remember"], False, False),
        (FACT, [], True, False),
    ],
)
def test_a_call_is_allowed_by_a_rule_by_yes_or_since_it_is_harmless(
    tool: Tool, rules: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Any, *, everything: bool, allowed: bool
) -> None:
    monkeypatch.setattr(paths, "config_dir", lambda: tmp_path)
    arguments = {"what": "a cat"}
    assert Rules(rules, mode="yes" if everything else "ask").allows(tool, arguments) is allowed
    assert Rules(mode="yes" if everything else "ask").allows(tool, arguments, rules) is allowed
    for rule in rules:
        keep_rule(rule)
        keep_rule(rule)
    assert kept_rules() == rules
    assert Rules(mode="yes" if everything else "ask").allows(tool, arguments) is allowed


def test_a_change_is_planned_once_until_the_user_replies(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_text("old")
    toolbox, built = Toolbox(), builtin_tools(Workspace(tmp_path), 1, Settings())
    write = next(tool for tool in built if tool.name == "write_file")
    arguments = {"path": "a", "content": "new"}
    first = toolbox.plan(write, arguments)
    file.write_text("other")
    assert toolbox.plan(write, arguments) is first
    assert toolbox.plan(write, {**arguments, "content": "newer"}).before == "other"
    toolbox.register_reply("approve", {})
    assert toolbox.plan(write, arguments).before == "other"
    file.write_text("third")
    toolbox.begin_answer()
    assert toolbox.plan(write, arguments).before == "third"


def test_comments_and_blank_lines_are_no_rules(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setattr(paths, "config_dir", lambda: tmp_path)
    paths.rules_file().write_text("# weigh\n\n  look  \n")
    assert kept_rules() == ["look"]


async def test_a_server_that_is_not_there_is_an_error_with_its_reason() -> None:
    toolbox = Toolbox()
    await toolbox._opened()
    toolbox.sessions = [Served("s", problem="it ended")]  # type: ignore[list-item]
    with pytest.raises(UsageError, match="the MCP server s can't be used: it ended"):
        await toolbox.session("s")
    toolbox.sessions = [Served("s")]  # type: ignore[list-item]
    assert await toolbox.session("s") == toolbox.sessions[0]
