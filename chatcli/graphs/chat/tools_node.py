"""The node that runs a call of a tool, one task a call, so that calls of one answer run side by side."""

import asyncio
import base64
import binascii
import json
from collections.abc import Sequence
from itertools import count
from typing import Any, NotRequired, TypedDict

from langchain_core.messages import BaseMessage, ToolCall, ToolMessage
from langchain_core.tools import ToolException
from langgraph.config import get_config
from langgraph.errors import GraphBubbleUp
from langgraph.graph import END
from langgraph.runtime import Runtime
from langgraph.types import Send

from chatcli.attachments.attachment import image_type
from chatcli.attachments.content import fit_image, image_block, pixels
from chatcli.errors import UsageError
from chatcli.graphs.chat.adapt import adapt_messages
from chatcli.graphs.chat.approval_node import APPROVE_NODE, ask_user
from chatcli.graphs.chat.ask_node import MODEL_NODE
from chatcli.graphs.chat.offer import DOCUMENT_TOOLS, turn_tools
from chatcli.graphs.chat.passages import numbers_of
from chatcli.graphs.chat.receive import receive_aside
from chatcli.graphs.chat.state import ChatState, TurnContext
from chatcli.models.errors import translate
from chatcli.models.model import Model
from chatcli.sessions.found import found_in_turn
from chatcli.sessions.message_calls import open_calls, result_of
from chatcli.text import format_size, one_line
from chatcli.tools.questions import Question, Sampled
from chatcli.tools.tool import CHANGES, Tool
from chatcli.tools.toolbox import Toolbox
from chatcli.tools.workspace import ACCESS, CALL_ID

TOOLS_NODE = "tools"
MAX_RESULT = 40_000
"""The longest result that the model gets, in characters; with a small window, about a quarter of that window."""
MAX_IMAGES = 8
"""The most images of a result that are kept."""
MAX_NAME = 100
"""The most characters of a type or an address that names what a result holds."""
MAX_REASON = 2000
"""The most characters of the reason why a call failed."""
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
    access = toolbox.access(tool, call, runtime.context.grants.rules)
    if access is None:
        return ChatState(messages=[result_of(call, "The call needs the user's approval, which it did not get here.")])
    CALL_ID.set(str(call["id"]))
    ACCESS.set(access)
    if tool.changes:
        return ChatState(messages=[await asyncio.to_thread(_change, tool, call, toolbox)])
    try:
        if tool.server:
            result = await _call_served(tool, call, runtime)
        else:
            async with asyncio.timeout(toolbox.seconds + GRACE):
                result = await _invoke(tool, call, _room(runtime.context.model))
    except GraphBubbleUp:
        raise  # the user is asked
    except TimeoutError:
        result = result_of(call, f"The call took longer than {toolbox.seconds:g} seconds and was stopped.")
    except Exception as error:  # noqa: BLE001 - the model gets any failure of a tool, and the thread goes on
        # The error of a lost connection has no text.
        otherwise = f"{tool.server} has ended" if tool.server else type(error).__name__
        reason = one_line(str(error), MAX_REASON) or otherwise
        result = result_of(call, f"The call failed: {reason}")
    return ChatState(messages=[result])


async def _call_served(tool: Tool, call: ToolCall, runtime: Runtime[TurnContext]) -> ToolMessage:
    """Run one call of an MCP server's tool; what the server asks meanwhile, the user is asked by interrupts."""
    # LangGraph runs the node again with the user's reply. The call goes on all the while, and its time does not count
    # while the user thinks.
    turn = runtime.context
    toolbox, task = turn.toolbox, str(get_config()["configurable"]["checkpoint_ns"])
    running = toolbox.begin_served(task, tool.server, lambda: _invoke(tool, call, _room(turn.model)))
    try:
        for number in count():
            async with asyncio.timeout(toolbox.seconds + GRACE):
                question = await running.question(number)
            if question is None:
                break
            await _put_question(question, turn)
        result: ToolMessage = await running.task
    except GraphBubbleUp:
        raise
    except BaseException:
        await running.stop()
        toolbox.end_served(task)
        raise
    toolbox.end_served(task)
    return result


async def _put_question(question: Question, turn: TurnContext) -> None:
    reply = ask_user(question.request, question.read, turn.toolbox, question.schema)
    if question.prompt is None:
        question.answer(reply)
    elif not question.reply.done():
        question.answer(await _sample(question.prompt, turn) if reply else None)


async def _sample(prompt: Sequence[BaseMessage], turn: TurnContext) -> Sampled | str:
    """Return the model's answer to a server's `prompt`, or why there is none."""
    try:
        answer = await receive_aside(adapt_messages(prompt, turn.model), turn, seconds=turn.timeout)
    except Exception as error:  # noqa: BLE001 - the server gets any failure, and the call goes on
        return translate(error, turn.model).message
    return Sampled(str(answer.text), str(turn.model.name))


def _change(tool: Tool, call: ToolCall, toolbox: Toolbox) -> ToolMessage:
    """Change a file as `call` says, if it is the file that the user saw a change of."""
    try:
        change = toolbox.plan(tool, call["args"])
        if toolbox.approved_file(call) not in (None, change.digest):
            raise change.outdated()
        change.write()
    except ToolException as error:
        return result_of(call, str(error))
    text = f"{'Wrote' if change.before is None else 'Changed'} {change.shown}."
    return result_of(call, text, status="success", artifact={CHANGES: [change.record()]})


def _room(model: Model) -> int:
    """Return how many characters of a result are sent: several must fit the window, at about 3 a token."""
    return MAX_RESULT if model.limits.request is None else min(MAX_RESULT, model.limits.request * 3 // 4)


async def _invoke(tool: Tool, call: ToolCall, room: int) -> ToolMessage:
    result = await tool.runnable.ainvoke(call)
    assert isinstance(result, ToolMessage)
    text, images = await asyncio.to_thread(_read_result, result)
    if len(text) > room:
        text = f"{text[:room]}\n[cut: it has {len(text)} characters]"
    # What other tools add for programs, a server's of the same name among them, would pass for passages of documents.
    artifact = result.artifact if tool.name in DOCUMENT_TOOLS and not tool.server else None
    return result_of(call, text, status=result.status, artifact=artifact, images=images)


def _read_result(message: ToolMessage) -> tuple[str, list[dict[str, Any]]]:
    """Return the text of a tool's result, in which its images are named, and these; what can't be sent is named."""
    images: list[dict[str, Any]] = []
    content = message.content if isinstance(message.content, list) else [message.content]
    texts = [part if isinstance(part, str) else _read_block(part, images) for part in content]
    if not any(texts) and isinstance(message.artifact, dict):
        texts = [json.dumps(message.artifact.get("structured_content"), ensure_ascii=False)]
    return "\n".join(texts), images


def _read_block(block: dict[str, Any], images: list[dict[str, Any]]) -> str:
    """Return the text that stands for `block`; an image is added to `images`."""
    if block.get("type") == "text":
        return str(block.get("text", ""))
    reason = "can't be shown to the model"
    if block.get("type") == "image" and block.get("base64"):
        if len(images) == MAX_IMAGES:
            reason = f"left out: a call may return {MAX_IMAGES} images"
        else:
            try:
                data = base64.b64decode(str(block["base64"]), validate=True)
                if (media_type := image_type(data)) is None:
                    raise UsageError("it is no image that models take")
                name = f"image {len(images) + 1}"
                width, height = pixels(name, data)
                images.append(image_block(*fit_image(name, data, media_type)))
            except (binascii.Error, UsageError) as error:
                reason = one_line(str(error), MAX_NAME)
            else:
                return f"[{name}: {media_type}, {width} x {height} pixels, {format_size(len(data))}]"
    kind = " ".join(one_line(str(block[key]), MAX_NAME) for key in ("type", "mime_type", "url") if block.get(key))
    return f"[{kind}: {reason}]"
