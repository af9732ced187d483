"""The decision which calls run, which are refused, and which the user must approve."""

# The request for approval is an interrupt, which outlives the process.
#
# The request and its answer have the shape of langchain's HumanInTheLoopMiddleware, with additions: each action's `id`,
# that of the call, its `rule`, which matches similar calls, the `scope` of an approval, which says how long that rule
# holds, and the `diff` of a call that changes a file, with the digest of that file (`file_sha256`).

import asyncio
import shlex
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Literal, TypedDict, TypeVar, cast

from langchain_core.messages import AIMessage, BaseMessage, ToolCall
from langchain_core.tools import ToolException
from langgraph.runtime import Runtime
from langgraph.types import interrupt
from pydantic import BaseModel, ValidationError

from chatcli.errors import StoreError
from chatcli.graphs.chat.offer import turn_tools
from chatcli.graphs.chat.state import ChatState, TurnContext
from chatcli.message import DECISIONS
from chatcli.sessions.history import newest_turn
from chatcli.sessions.message_calls import REFUSED, calls_of, is_cut, is_plain, open_calls, result_of
from chatcli.tools.tool import Tool, asked_access, keep_rule, suggest_rule
from chatcli.tools.toolbox import Toolbox

APPROVE_NODE = "approve"
_SCOPES = ("thread", "always")
"""The scopes of an approval other than `once`."""
_OUTSIDE = "outside"
"""The scope of an approval for once, and outside of the sandbox."""

T = TypeVar("T")


class Decision(TypedDict, total=False):
    """The user's decision about a call."""

    type: Literal["approve", "edit", "reject"]
    scope: Literal["once", "thread", "always", "outside"]
    edited_action: dict[str, Any]
    message: str


def review_calls(
    answer: AIMessage, state: ChatState, turn: TurnContext, tools: Mapping[str, Tool], notice: Callable[[str], None]
) -> ChatState:
    """Return the update that stores `answer`, the refusals of calls that can't run, and the calls to ask about."""
    calls, toolbox = calls_of(answer), turn.toolbox
    if not calls:
        return ChatState(messages=[answer])
    messages: list[BaseMessage] = [answer]
    asked: list[str] = []
    changed: set[str] = set()
    toolbox.begin_answer()
    steps = sum(bool(calls_of(each)) for each in state["messages"][newest_turn(state["messages"]) :]) + 1
    if steps == toolbox.max_steps + 1:
        notice(f"the model called tools {toolbox.max_steps} times and is now asked to answer; --max-steps allows more")
    elif steps > toolbox.max_steps + 1:
        metadata, usage = answer.response_metadata, answer.usage_metadata
        without_calls = AIMessage(str(answer.text), id=answer.id, response_metadata=metadata, usage_metadata=usage)
        return ChatState(messages=[without_calls])
    for call in calls:
        tool = tools.get(call["name"])
        reason = _impossible(call, answer, tool, steps, toolbox.max_steps)
        if not reason and tool is not None and toolbox.rules.refuses(tool):
            reason = "Not run: only tools that read may run now. Say what you would do."
        if not reason and tool is not None and tool.changes:
            reason = _unfit_change(tool, call["args"], changed, toolbox)
        if reason:
            messages.append(result_of(call, reason))
        elif tool is None or toolbox.rules.allows(tool, call["args"], turn.grants.rules):
            continue
        elif toolbox.can_ask:
            asked.append(str(call["id"]))
        else:
            how = f"--allow {shlex.quote(suggest_rule(tool, call['args']))} or --yes" if tool.takes_rules else "--yes"
            remedy = "" if tool.always_asks else f": {how} allows it"
            notice(f"the call of {tool.name} was refused, as nobody can be asked{remedy}")
            messages.append(result_of(call, "The call needs the user's approval, and nobody can be asked now."))
    return ChatState(messages=messages, asked=asked)


async def approve_calls(state: ChatState, runtime: Runtime[TurnContext]) -> ChatState:
    """Ask the user about the calls that need approval, and return the update with the decisions."""
    # LangGraph runs an interrupted node again from its beginning, so nothing happens before the answer is there.
    turn = runtime.context
    tools = await turn_tools(runtime)
    calls = [call for call in open_calls(state["messages"]) if call["id"] in state.get("asked", ())]
    edited: dict[str, ToolCall] = {}
    while True:
        request = await asyncio.to_thread(_request, calls, tools, turn.toolbox)
        decisions = ask_user(request, partial(_read_decisions, calls=calls, tools=tools), turn.toolbox)
        changes = _edited_changes(calls, decisions, tools)
        if not changes:
            return _apply(state, calls, decisions, request, edited, turn)
        # What the user wrote is shown as a diff, too, before it is done.
        edited |= changes
        calls = [edited.get(str(call["id"]), call) for call in calls]


def ask_user(
    request: Mapping[str, Any], read: Callable[[Any], T], toolbox: Toolbox, schema: dict[str, Any] | None = None
) -> T:
    """Return what `read` makes of the user's reply to `request`; if it raises ValueError, ask again and say why."""
    problem = ""
    while True:
        signed = interrupt({**request, "problem": problem} if problem else request, response_schema=schema)
        try:
            return read(toolbox.read(signed, request))
        except ValueError as error:
            problem = str(error)


def _impossible(call: ToolCall, answer: AIMessage, tool: Tool | None, steps: int, limit: int) -> str:
    """Return why `call` can't run, empty when it can."""
    if steps > limit:
        return f"Not run: the limit of {limit} steps is reached. Answer now with what you have."
    if is_cut(call, answer):
        return (
            "Not run: the arguments are not a JSON object, or hold invalid text, invalid numbers or too deep nesting."
        )
    return f"There is no tool {call['name']}." if tool is None else _unfit_arguments(tool, call["args"])


def _unfit_arguments(tool: Tool, arguments: Mapping[str, Any]) -> str:
    """Return why a built-in tool does not take `arguments`, empty when it does; an MCP server checks its own."""
    schema = tool.runnable.args_schema
    if not (isinstance(schema, type) and issubclass(schema, BaseModel)):
        return ""
    try:
        schema.model_validate(arguments)
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
        return f"Not run: the arguments don't fit: {wrong}"
    return ""


def _unfit_change(tool: Tool, arguments: Mapping[str, Any], changed: set[str], toolbox: Toolbox) -> str:
    """Return why the change of a file can't be made, empty if it can; `changed` gets the file."""
    try:
        path = str(toolbox.plan(tool, arguments).file)
    except ToolException as error:
        return str(error)
    if path in changed:  # it would be shown as a change of a file that is another by then
        return "Not run: another call of this answer changes the same file. Call again."
    changed.add(path)
    return ""


def _request(calls: Sequence[ToolCall], tools: Mapping[str, Tool], toolbox: Toolbox) -> dict[str, Any]:
    actions = [_action(call, tools.get(call["name"]), toolbox) for call in calls]
    names = dict.fromkeys(call["name"] for call in calls)
    scopes = {name: _scopes(tools.get(name)) for name in names}
    reviews = [{"action_name": name, "allowed_decisions": list(DECISIONS), "scopes": scopes[name]} for name in names]
    return {"action_requests": actions, "review_configs": reviews}


def _scopes(tool: Tool | None) -> list[str]:
    if tool is None:
        return list(_SCOPES)
    confined = tool.sandbox is not None and tool.sandbox.confines
    return [*(_SCOPES if tool.takes_rules else ()), *([_OUTSIDE] if confined else ())]


def _action(call: ToolCall, tool: Tool | None, toolbox: Toolbox) -> dict[str, Any]:
    action: dict[str, Any] = {"name": call["name"], "args": call["args"], "id": call["id"]}
    if tool is None:  # it was switched on in the run that asked first
        return {**action, "description": "No such tool is switched on now."}
    if tool.changes:
        try:
            change = toolbox.plan(tool, call["args"])
        except ToolException as error:
            # No file has this digest: what was not shown is not written, even if it can be done a moment later.
            return {**action, "description": f"It can't be done now: {error}", "file_sha256": "none"}
        return {**action, "diff": change.diff(), "file_sha256": change.digest}
    if tool.always_asks:
        return {**action, "description": tool.runnable.description.partition("\n")[0]}
    if tool.server:
        action["description"] = f"A tool of the MCP server {tool.server}."
    if tool.sandbox is not None and tool.sandbox.is_on:
        action["description"] = tool.sandbox.describe(asked_access(tool, call["args"]))
    return {**action, "rule": suggest_rule(tool, call["args"])}


def _read_decisions(reply: Any, calls: Sequence[ToolCall], tools: Mapping[str, Tool]) -> list[Decision]:
    """Read `{"decisions": [...]}` in the order of the calls, or one decision for all; else raise ValueError."""
    decisions = reply.get("decisions", reply) if isinstance(reply, Mapping) else reply
    if isinstance(decisions, str | Mapping):
        decisions = [decisions] * len(calls)
    if not isinstance(decisions, list) or len(decisions) != len(calls):
        raise ValueError(f"the answer should hold a decision for each of the {len(calls)} calls")
    return [_read_decision(decision, tools) for decision in decisions]


def _read_decision(decision: Any, tools: Mapping[str, Tool]) -> Decision:
    read: dict[str, Any] = {"type": decision.strip().lower()} if isinstance(decision, str) else dict(decision or {})
    if read.get("type") not in DECISIONS:
        raise ValueError(f"a decision is one of {', '.join(DECISIONS)}")
    if read.setdefault("scope", "once") not in ("once", *_SCOPES, _OUTSIDE):
        raise ValueError(f"the scope of an approval is once, {', '.join(_SCOPES)} or {_OUTSIDE}")
    if read["type"] == "edit":
        edited = read.get("edited_action")
        if not isinstance(edited, Mapping) or not isinstance(edited.get("args"), Mapping):
            raise ValueError('an edit holds {"edited_action": {"name": ..., "args": {...}}}')
        if not is_plain(edited["args"]):
            raise ValueError("the arguments contain invalid text or an invalid number")
        if edited.get("name") not in tools:
            raise ValueError(f"there is no tool {edited.get('name')}")
    return cast("Decision", read)


def _apply(
    state: ChatState,
    calls: Sequence[ToolCall],
    decisions: Sequence[Decision],
    request: Mapping[str, Any],
    edited: dict[str, ToolCall],
    turn: TurnContext,
) -> ChatState:
    """Return the update with the decisions on `calls`; `edited` has those that the user has edited before."""
    refusals: list[BaseMessage] = []
    for call, decision, action in zip(calls, decisions, request["action_requests"], strict=True):
        if decision["type"] == "reject":
            words = decision.get("message", "")
            refusals.append(result_of(call, f"{REFUSED.removesuffix('.')}: {words}" if words else REFUSED))
        elif decision["type"] == "edit":
            edited[str(call["id"])] = mine = _edited(call, decision)
            turn.toolbox.approve(mine)
        else:
            turn.toolbox.approve(call, action.get("file_sha256"), outside=decision["scope"] == _OUTSIDE)
            if "rule" in action:
                _keep(action["rule"], decision["scope"], turn)
    changed: list[BaseMessage] = []
    if edited:  # the newest answer, with the user's calls in place of the model's, replaces the old one in the thread
        answer = next(message for message in reversed(state["messages"]) if isinstance(message, AIMessage))
        whole = [edited.get(str(call["id"]), call) for call in answer.tool_calls]
        changed.append(answer.model_copy(update={"tool_calls": whole}))
    return ChatState(messages=[*changed, *refusals], asked=[])


def _edited_changes(
    calls: Sequence[ToolCall], decisions: Sequence[Decision], tools: Mapping[str, Tool]
) -> dict[str, ToolCall]:
    """Return the calls that the user edited and that change a file, by their IDs."""
    return {
        str(call["id"]): _edited(call, decision)
        for call, decision in zip(calls, decisions, strict=True)
        if decision["type"] == "edit" and tools[decision["edited_action"]["name"]].changes
    }


def _edited(call: ToolCall, decision: Decision) -> ToolCall:
    new = decision["edited_action"]
    return ToolCall(name=new["name"], args=dict(new["args"]), id=call["id"], type="tool_call")


def _keep(rule: str, scope: str, turn: TurnContext) -> None:
    """Let calls that match `rule` run without approval for the given `scope`."""
    if scope == "always":
        keep_rule(rule)
    elif scope == "thread":
        try:
            turn.grants.allow(rule)
        except OSError as error:
            raise StoreError(f"the rule {rule} can't be kept: {error}") from None
