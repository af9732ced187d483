"""The node that runs a call of a tool, one task a call, so that calls of one answer run side by side."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any, NotRequired, TypedDict

from langchain_core.messages import ToolCall, ToolMessage
from langchain_core.tools import ToolException
from langgraph.graph import END
from langgraph.runtime import Runtime
from langgraph.types import Send

from chatcli.graphs.chat.approval_node import APPROVE_NODE
from chatcli.graphs.chat.ask_node import MODEL_NODE
from chatcli.graphs.chat.document_tools import DOCUMENT_TOOLS, is_document_tool
from chatcli.graphs.chat.offer import turn_tools
from chatcli.graphs.chat.passages import numbers_of
from chatcli.graphs.chat.state import ChatState, TurnContext
from chatcli.models.model import Model
from chatcli.sessions.found import found_in_turn
from chatcli.sessions.message_calls import open_calls, result_of
from chatcli.text_lines import one_line
from chatcli.tools.changes import CHANGES, plan
from chatcli.tools.tool import Tool
from chatcli.tools.toolbox import Toolbox
from chatcli.tools.workspace import CALL_ID

TOOLS_NODE = "tools"
MAX_RESULT = 40_000
"""The longest result that the model gets, in characters; with a small window, about a quarter of that window."""
GRACE = 1.0
"""Seconds beyond the limit, for tools that apply it themselves and report more about it."""


class RunCall(TypedDict):
    """The input of one task."""

    call: ToolCall
    marker: NotRequired[str]
    """What fences passages of documents in the result; without documents there is none."""
    numbers: NotRequired[dict[str, int]]
    """The numbers of the passages that the turn has found, by their places."""


def next_node(state: ChatState) -> str | Sequence[Send]:
    """Return the next step after an answer or a decision: ask the user, run calls, or send the results to the model."""
    calls = open_calls(state.get("messages", []))
    if any(call["id"] in state.get("asked", ()) for call in calls):
        return APPROVE_NODE
    if calls:
        return [Send(TOOLS_NODE, _task(call, state)) for call in calls]
    newest = state["messages"][-1:] if state.get("messages") else []
    return MODEL_NODE if newest and isinstance(newest[0], ToolMessage) else END


def _task(call: ToolCall, state: ChatState) -> RunCall:
    retrieval = state.get("found")
    if retrieval is None or call["name"] not in DOCUMENT_TOOLS:
        return RunCall(call=call)
    numbers = numbers_of(found_in_turn(state) or ())
    return RunCall(call=call, marker=retrieval["marker"], numbers=numbers)


async def run_call(state: RunCall, runtime: Runtime[TurnContext]) -> ChatState:
    """Run one call and return its result; a failure is a result too, which the model can react to."""
    call, toolbox = state["call"], runtime.context.toolbox
    runtime.context.numbers.update(state.get("numbers", {}))
    tool = (await turn_tools(runtime, state.get("marker", ""))).get(call["name"])
    if tool is None:
        return ChatState(messages=[result_of(call, f"There is no tool {call['name']} now.")])
    if not toolbox.may_run(tool, call, runtime.context.grants.rules):
        return ChatState(messages=[result_of(call, "The call needs the user's approval, which it did not get here.")])
    CALL_ID.set(str(call["id"]))
    if tool.changes:
        return ChatState(messages=[await asyncio.to_thread(_change, tool, call, toolbox)])
    try:
        async with asyncio.timeout(toolbox.seconds + GRACE):
            result = await _invoke(tool, call, _room(runtime.context.model))
    except TimeoutError:
        result = result_of(call, f"The call took longer than {toolbox.seconds:g} seconds and was stopped.")
    except Exception as error:  # noqa: BLE001 - the model gets any failure of a tool, and the thread goes on
        # The error of a lost connection has no text.
        reason = one_line(str(error)) or (f"{tool.server} has ended" if tool.server else type(error).__name__)
        result = result_of(call, f"The call failed: {reason}")
    return ChatState(messages=[result])


def _change(tool: Tool, call: ToolCall, toolbox: Toolbox) -> ToolMessage:
    """Change a file as `call` says, if it is the file that the user saw a change of."""
    try:
        change = plan(tool, call["args"])
        if toolbox.approved_file(call) not in (None, change.digest):
            raise change.outdated()
        change.write()
    except ToolException as error:
        return result_of(call, str(error))
    text = f"{'Wrote' if change.before is None else 'Changed'} {change.path}."
    return result_of(call, text, status="success", artifact={CHANGES: [change.record()]})


def _room(model: Model) -> int:
    """Return how many characters of a result are sent: several must fit the window, at about 3 a token."""
    return MAX_RESULT if model.limits.request is None else min(MAX_RESULT, model.limits.request * 3 // 4)


async def _invoke(tool: Tool, call: ToolCall, room: int) -> ToolMessage:
    result = await tool.runnable.ainvoke(call)
    assert isinstance(result, ToolMessage)
    text = _text(result)
    if len(text) > room:
        text = f"{text[:room]}\n[cut: it has {len(text)} characters]"
    # Of other tools, what they add for programs is not kept: it would pass for passages of documents.
    artifact = result.artifact if is_document_tool(tool) else None
    return result_of(call, text, status=result.status, artifact=artifact)


def _text(result: ToolMessage) -> str:
    """Return a result as text, which every provider takes."""
    content = result.content if isinstance(result.content, list) else [result.content]
    texts = [part if isinstance(part, str) else _block_text(part) for part in content]
    if not any(texts) and isinstance(result.artifact, dict):
        return json.dumps(result.artifact.get("structured_content"), ensure_ascii=False)
    return "\n".join(texts)


def _block_text(block: dict[str, Any]) -> str:
    if block.get("type") == "text":
        return str(block.get("text", ""))
    kind = " ".join(str(block[key]) for key in ("type", "mime_type", "url") if block.get(key))
    return f"[{kind}: can't be shown to the model]"
