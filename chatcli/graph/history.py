"""What a thread has said so far."""

from collections.abc import Sequence

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage

from chatcli.events import INTERRUPTED, MessageShown


def as_shown(messages: Sequence[BaseMessage]) -> list[MessageShown]:
    """Return the questions and answers among `messages` as they are shown."""
    shown = []
    for message in messages:
        if isinstance(message, HumanMessage):
            shown.append(MessageShown("user", message.text))
        elif isinstance(message, AIMessage):
            interrupted = message.response_metadata.get("finish_reason") == INTERRUPTED
            shown.append(MessageShown("assistant", message.text, interrupted))
    return shown
