"""The names under which the tools of MCP servers are offered, and the rules that let them run."""

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.tools import StructuredTool

from chatcli.config.settings import Settings
from chatcli.graphs.chat.offer import DOCUMENT_TOOLS
from chatcli.tools.tool import RESERVED, Rules, Tool, suggest_rule
from chatcli.tools.toolbox import Toolbox, builtin_tools
from chatcli.tools.workspace import Workspace

NAMES = [
    "read",
    "file",
    "read_file",
    "Run_Shell",
    "run.shell",
    "run_shell",
    "remember",
    "a",
    "a_b",
    "b",
    "b_c",
    "*",
    "x:y",
]
SERVERS = st.dictionaries(
    st.sampled_from([*NAMES, "read/x", "a*"]), st.lists(st.sampled_from(NAMES), max_size=4), max_size=4
)


def served(servers: dict[str, list[str]], *, builtin: bool = False) -> list[Tool]:
    """Return the tools of `servers`, each with the names of its tools, as a toolbox offers them."""

    async def offered() -> list[Tool]:
        box = Toolbox(builtin=builtin_tools(Workspace(Path()), 1, Settings()) if builtin else ())
        sessions: Any = [
            SimpleNamespace(name=name, tools=[tool(each) for each in tools]) for name, tools in servers.items()
        ]
        box.sessions = sessions
        return list(box._served())

    return asyncio.run(offered())


def tool(name: str) -> StructuredTool:
    # As an MCP server describes it; a model made of a function takes longer than all else here.
    return StructuredTool(name=name, description=name, func=str, args_schema={"type": "object", "properties": {}})


def test_every_builtin_name_is_reserved() -> None:
    box = Toolbox()
    built = builtin_tools(box.workspace, 1, Settings())
    assert {*(each.name for each in built), *DOCUMENT_TOOLS, "search_threads"} <= RESERVED


@pytest.mark.parametrize("builtin", [False, True])
@pytest.mark.parametrize(
    ("servers", "names"),
    [
        ({"fake": ["run_shell", "add"]}, ["fake_run_shell", "add"]),
        ({"fake": ["RUN_shell"]}, ["fake_RUN_shell"]),
        ({"read": ["file"], "x": ["file"]}, ["read_file_2", "x_file"]),
        ({"read": ["file"]}, ["file"]),
        ({"a_b": ["c"], "a": ["b_c", "c"]}, ["a_b_c", "b_c", "a_c"]),
        ({"a": ["b.c", "b_c"]}, ["a_b_c", "a_b_c_2"]),
        ({"s" * 70: ["x"], "s" * 71: ["x"]}, ["s" * 64, "s" * 62 + "_2"]),
        ({"a": ["b"], "c": ["b"], "d": ["a_b"]}, ["a_b_2", "c_b", "a_b"]),
    ],
)
def test_no_served_tool_takes_the_name_of_another(
    servers: dict[str, list[str]], names: list[str], *, builtin: bool
) -> None:
    assert [each.name for each in served(servers, builtin=builtin)] == names


@given(SERVERS)
def test_names_are_unique_and_rules_are_for_one_tool(servers: dict[str, list[str]]) -> None:
    tools = served(servers, builtin=True)
    names = [each.name.casefold() for each in tools]
    assert len(set(names)) == len(names)
    assert not RESERVED & set(names)
    for one in tools:
        rules = Rules([suggest_rule(one, {})])
        assert [each for each in tools if rules.allows(each, {})] == [one]


def test_a_rule_without_an_owner_is_for_builtin_tools() -> None:
    [shell, other] = served({"fake": ["run_shell"], "other": ["run_shell"]})
    for rule in ("run_shell", "run_shell:*", "*", "*shell", "fake_run_shell", shell.name):
        assert not Rules([rule]).allows(shell, {}), rule
    for rule in ("fake/run_shell", "fake/*", "fake/run_*", "*/run_shell", "*/*"):
        assert Rules([rule]).allows(shell, {}), rule
    assert not Rules(["fake/*"]).allows(other, {})
    assert suggest_rule(shell, {}) == "fake/run_shell"
