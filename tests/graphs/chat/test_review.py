"""Which calls of an answer run, are refused, or wait for the user; and what an approval lets be written."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolCall, ToolMessage
from langchain_core.tools import StructuredTool
from langgraph.graph import END
from langgraph.types import Send

from chatcli import paths
from chatcli.graphs.chat.approval_node import APPROVE_NODE, _action, _read_decisions, review_calls
from chatcli.graphs.chat.ask_node import MODEL_NODE
from chatcli.graphs.chat.state import ChatState, TurnContext
from chatcli.graphs.chat.tools_node import MAX_RESULT, _change, _room, next_node
from chatcli.models.model import Limits, Model
from chatcli.models.names import ModelName
from chatcli.sessions.message_calls import CUT
from chatcli.tools.changes import change_tools, plan
from chatcli.tools.tool import Rules, Tool
from chatcli.tools.toolbox import Toolbox
from tests.graphs.chat.test_context import CLIENT, turn


def weigh(what: str) -> str:
    """Weigh it."""
    return what


WEIGH = Tool(StructuredTool.from_function(weigh))
TOOLS = {"weigh": WEIGH}


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "config_dir", lambda: tmp_path / "config")


def call(number: int, name: str = "weigh", **args: Any) -> ToolCall:
    return ToolCall(name=name, args=args or {"what": "a cat"}, id=str(number), type="tool_call")


def context(**options: Any) -> TurnContext:
    made: TurnContext = turn(toolbox=Toolbox(**{"can_ask": True, **options}))
    return made


def review(
    *calls: ToolCall, steps: int = 0, tools: dict[str, Tool] | None = None, cut: bool = False, **options: Any
) -> tuple[list[str], list[str], list[str]]:
    """Return what becomes of `calls`: the results of those that do not run, the IDs of those asked about, notices."""
    before = [
        each
        for n in range(steps)
        for each in (AIMessage("", tool_calls=[call(-n)]), ToolMessage("x", tool_call_id=str(-n)))
    ]
    answer = AIMessage(
        "", tool_calls=list(calls), response_metadata={CUT: [each["id"] for each in calls]} if cut else {}
    )
    notices: list[str] = []
    state = ChatState(messages=[HumanMessage("q"), *before])
    update = review_calls(answer, state, context(**options), TOOLS if tools is None else tools, notices.append)
    results = [
        f"{message.tool_call_id}: {message.text}" for message in update["messages"] if isinstance(message, ToolMessage)
    ]
    return results, update.get("asked", []), notices


def test_a_call_that_no_rule_allows_is_asked_about() -> None:
    assert review(call(1), call(2, "weigh", what="a dog")) == ([], ["1", "2"], [])
    assert review(call(1), rules=Rules(["weigh"])) == ([], [], [])
    assert review(call(1), rules=Rules(mode="yes")) == ([], [], [])
    harmless = {"weigh": Tool(WEIGH.runnable, asks=lambda arguments: False)}
    assert review(call(1), tools=harmless) == ([], [], [])
    assert review() == ([], [], [])
    [result], asked, _ = review(call(1), rules=Rules(["weigh"], mode="plan"))
    assert (result, asked) == ("1: Not run: only tools that read may run now. Say what you would do.", [])


def test_a_call_is_refused_where_nobody_can_be_asked() -> None:
    [result], asked, [notice] = review(call(1), can_ask=False)
    assert "nobody can be asked now" in result
    assert asked == []
    assert notice == "the call of weigh was refused, as nobody can be asked: --allow weigh or --yes allows it"
    fact = {"weigh": Tool(WEIGH.runnable, always_asks=True)}
    assert review(call(1), can_ask=False, tools=fact)[2] == ["the call of weigh was refused, as nobody can be asked"]
    change = {"weigh": Tool(WEIGH.runnable, changes=False, always_asks=False, server="s")}
    assert "--allow s/weigh" in review(call(1), can_ask=False, tools=change)[2][0]


@pytest.mark.parametrize(
    ("made", "options", "reason"),
    [
        (call(1, "look"), {}, "There is no tool look."),
        (call(1, what=5), {}, "the arguments don't fit: what: "),
        (call(1, that="x"), {}, "the arguments don't fit: what: "),
        (call(1), {"cut": True}, "the arguments are not a JSON object"),
        (call(1), {"steps": 2, "max_steps": 2}, "the limit of 2 steps is reached"),
    ],
)
def test_a_call_that_can_not_run_has_a_result_that_says_why(made: ToolCall, options: Any, reason: str) -> None:
    [result], asked, _ = review(made, **{"rules": Rules(mode="yes"), **options})
    assert reason in result
    assert asked == []


def test_the_model_is_told_once_that_it_has_called_enough() -> None:
    assert review(call(1), steps=1, max_steps=2)[1:] == (["1"], [])
    notice = "the model called tools 2 times and is now asked to answer; --max-steps allows more"
    assert review(call(1), steps=2, max_steps=2)[2] == [notice]
    state = ChatState(messages=[HumanMessage("q"), *[AIMessage("", tool_calls=[call(n)]) for n in range(3)]])
    update = review_calls(
        AIMessage("no", id="a", tool_calls=[call(1)]), state, context(max_steps=2), TOOLS, lambda _: None
    )
    [answer] = update["messages"]
    assert isinstance(answer, AIMessage)
    assert (answer.text, answer.id, answer.tool_calls) == ("no", "a", [])


def test_a_file_is_changed_once_by_an_answer(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x\n")
    tools = {tool.name: tool for tool in change_tools(tmp_path)}
    made = [call(n, "write_file", path=path, content="y\n") for n, path in enumerate(("a", "./a", "b", ".env"))]
    results, asked, _ = review(*made, tools=tools, rules=Rules(["*"]))
    assert asked == ["0", "2"]
    assert [result[:3] for result in results] == ["1: ", "3: "]
    assert review(made[0], tools=tools, rules=Rules(mode="yes")) == ([], [], [])


@pytest.mark.parametrize(
    ("approved", "now", "written"),
    [
        ("old\n", "old\n", True),
        ("old\n", "other\n", False),
        (None, "other\n", True),
        ("", None, True),
        ("", "x", False),
    ],
)
def test_only_the_file_that_the_user_saw_a_change_of_is_written(
    tmp_path: Path, approved: str | None, now: str | None, *, written: bool
) -> None:
    path, made = tmp_path / "a", call(1, "write_file", path="a", content="new\n")
    tool = next(tool for tool in change_tools(tmp_path) if tool.name == "write_file")
    toolbox = Toolbox()
    if approved is not None:  # without, --yes runs it
        if approved:
            path.write_text(approved)
        toolbox.approve(made, plan(tool, made["args"]).digest)
    if now is not None:
        path.write_text(now)
    result = _change(tool, made, toolbox)
    assert (result.status == "success") is written
    assert (path.read_text() == "new\n") is written
    assert ("has changed since this was shown" in result.text) is not written
    assert (result.artifact is not None) is written


EDIT = {"type": "edit", "edited_action": {"name": "weigh", "args": {"what": "a dog"}}}


@pytest.mark.parametrize(
    "reply",
    [
        *("perhaps", "", {}, None, 5, [], ["approve"] * 2, [None], {"decisions": ["approve", "reject"]}),
        *(
            {"type": "x"},
            {"type": "approve", "scope": "ever"},
            {"type": "edit"},
            EDIT | {"edited_action": {"args": {}}},
        ),
        EDIT | {"edited_action": {"name": "look", "args": {}}},
        EDIT | {"edited_action": {"name": "weigh", "args": {"what": "\ud800"}}},
    ],
)
def test_what_is_no_decision_decides_nothing(reply: Any) -> None:
    with pytest.raises(ValueError, match=r"."):
        _read_decisions(reply, [call(1)], TOOLS)


@pytest.mark.parametrize(
    ("reply", "decision"),
    [
        (" Approve", {"type": "approve", "scope": "once"}),
        ({"decisions": [{"type": "reject"}]}, {"type": "reject", "scope": "once"}),
        ([{"type": "approve", "scope": "always"}], {"type": "approve", "scope": "always"}),
        (EDIT, {**EDIT, "scope": "once"}),
    ],
)
def test_a_decision_is_of_each_call_or_of_all(reply: Any, decision: dict[str, Any]) -> None:
    assert _read_decisions(reply, [call(1)], TOOLS) == [decision]
    if not isinstance(reply, list) and "decisions" not in reply:
        assert _read_decisions(reply, [call(1), call(2)], TOOLS) == [decision] * 2


def test_a_change_that_could_not_be_shown_is_not_made_when_it_becomes_possible(tmp_path: Path) -> None:
    made = call(1, "edit_file", path="a", old_text="one", new_text="1")
    tool = next(tool for tool in change_tools(tmp_path) if tool.name == "edit_file")
    toolbox = Toolbox()
    action = _action(made, tool, toolbox)
    assert "It can't be done now: There is no file a." in action["description"]
    toolbox.approve(made, action.get("file_sha256"))
    (tmp_path / "a").write_text("one\n")
    assert "has changed since this was shown" in _change(tool, made, toolbox).text
    assert (tmp_path / "a").read_text() == "one\n"


def test_a_call_of_a_server_s_tool_says_whose_it_is() -> None:
    action = _action(call(1), replace(WEIGH, server="notes"), Toolbox())
    assert (action["description"], action["rule"]) == ("A tool of the MCP server notes.", "notes/weigh")


def test_the_next_step_is_the_user_the_tools_the_model_or_the_end() -> None:
    asked = AIMessage("", tool_calls=[call(1), call(2)])
    done = [ToolMessage("x", tool_call_id=number) for number in "12"]
    assert next_node(ChatState(messages=[asked], asked=["2"])) == APPROVE_NODE
    assert next_node(ChatState(messages=[asked, done[1]], asked=["2"])) != APPROVE_NODE
    sends = next_node(ChatState(messages=[asked, done[0]], asked=[]))
    assert [each.arg["call"]["id"] for each in sends if isinstance(each, Send)] == ["2"]
    assert next_node(ChatState(messages=[asked, *done])) == MODEL_NODE
    assert next_node(ChatState(messages=[AIMessage("x")])) == next_node(ChatState()) == END


def test_a_result_leaves_room_in_a_small_window() -> None:
    def room(window: int | None) -> int:
        return _room(Model(ModelName("openai", "x"), CLIENT, Limits(window=window)))

    assert (room(None), room(1000), room(10**6)) == (MAX_RESULT, 750, MAX_RESULT)
