"""The node that runs a call of a tool, one task a call, so that calls of one answer run side by side."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any, TypedDict

from langchain_core.messages import ToolCall, ToolMessage
from langgraph.graph import END
from langgraph.runtime import Runtime
from langgraph.types import Send

from chatcli.graphs.chat.adapt import notify
from chatcli.graphs.chat.approval_node import APPROVE_NODE
from chatcli.graphs.chat.ask_node import MODEL_NODE
from chatcli.graphs.chat.state import ChatState, TurnContext
from chatcli.models.model import Model
from chatcli.sessions.message_calls import open_calls, result_of
from chatcli.text_lines import one_line
from chatcli.tools.tool import Tool

TOOLS_NODE = "tools"
MAX_RESULT = 40_000
"""The longest result that the model gets, in characters; with a small window, about a quarter of that window."""
GRACE = 1.0
"""Seconds beyond the limit, for tools that apply it themselves and report more about it."""


class RunCall(TypedDict):
    """The input of one task."""

    call: ToolCall


def next_node(state: ChatState) -> str | Sequence[Send]:
    """Return the next step after an answer or a decision: ask the user, run calls, or send the results to the model."""
    calls = open_calls(state.get("messages", []))
    if any(call["id"] in state.get("asked", ()) for call in calls):
        return APPROVE_NODE
    if calls:
        return [Send(TOOLS_NODE, RunCall(call=call)) for call in calls]
    newest = state["messages"][-1:] if state.get("messages") else []
    return MODEL_NODE if newest and isinstance(newest[0], ToolMessage) else END


async def run_call(state: RunCall, runtime: Runtime[TurnContext]) -> ChatState:
    """Run one call and return its result; a failure is a result too, which the model can react to."""
    call, toolbox = state["call"], runtime.context.toolbox
    tool = (await toolbox.open(notify(runtime))).get(call["name"])
    if tool is None:
        return ChatState(messages=[result_of(call, f"There is no tool {call['name']} now.")])
    if not toolbox.may_run(call, runtime.context.grants.rules):
        return ChatState(messages=[result_of(call, "The call needs the user's approval, which it did not get here.")])
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


def _room(model: Model) -> int:
    """Return how many characters of a result are sent: several must fit the window, at about 3 a token."""
    return MAX_RESULT if model.limits.request is None else min(MAX_RESULT, model.limits.request * 3 // 4)


async def _invoke(tool: Tool, call: ToolCall, room: int) -> ToolMessage:
    result = await tool.runnable.ainvoke(call)
    assert isinstance(result, ToolMessage)
    text = _text(result)
    if len(text) > room:
        text = f"{text[:room]}\n[cut: it has {len(text)} characters]"
    return result_of(call, text, status=result.status)


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
