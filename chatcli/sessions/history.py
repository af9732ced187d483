"""The messages of a thread, as they are shown."""

from collections.abc import Sequence
from typing import TypeGuard

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage

from chatcli.events import INTERRUPTED
from chatcli.message import MessageShown, human_role
from chatcli.tool_text import call_text, result_text


def as_shown(messages: Sequence[BaseMessage]) -> list[MessageShown]:
    """Return the questions and answers among `messages` as they are shown, and of tool calls what came of each."""
    shown = []
    calls: dict[str | None, str] = {}
    for message in messages:
        if isinstance(message, HumanMessage):
            shown.append(MessageShown(human_role(message.additional_kwargs), message.text))
        elif isinstance(message, AIMessage):
            interrupted = message.response_metadata.get("finish_reason") == INTERRUPTED
            if message.text or interrupted or not message.tool_calls:
                shown.append(MessageShown("assistant", message.text, interrupted))
            calls |= {call["id"]: call_text(call["name"], call["args"]) for call in message.tool_calls}
        elif isinstance(message, ToolMessage):
            call = calls.get(message.tool_call_id) or message.name or "tool"
            result = result_text(message.text, failed=message.status == "error")
            shown.append(MessageShown("tool", f"{call} {result}"))
    return shown


def is_question(message: BaseMessage) -> TypeGuard[HumanMessage]:
    """Return whether the user asked `message`; a summary of older turns is a human message too."""
    return isinstance(message, HumanMessage) and human_role(message.additional_kwargs) == "user"


def newest_turn(messages: Sequence[BaseMessage]) -> int:
    """Return where the newest turn begins: at the last question."""
    for index in range(len(messages) - 1, -1, -1):
        if is_question(messages[index]):
            return index
    return 0


def heard_before(messages: Sequence[BaseMessage], maker: str) -> bool:
    """Return whether the newest whole answer among `messages` is one of `maker`'s; also where there is none at all.

    A partial answer does not name its model, so an older answer does.
    """
    answers = (message.response_metadata for message in reversed(messages) if isinstance(message, AIMessage))
    newest = next((answer for answer in answers if answer.get("finish_reason") != INTERRUPTED), None)
    return newest is None or newest.get("model_provider") == maker
