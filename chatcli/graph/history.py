"""What a thread has said so far."""

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage

from chatcli.events import INTERRUPTED, MessageShown
from chatcli.graph.build import ChatGraph


async def read_messages(graph: ChatGraph, thread_id: str) -> list[BaseMessage]:
    """Return the messages of the thread `thread_id`, oldest first; none when it does not exist."""
    state = await graph.aget_state({"configurable": {"thread_id": thread_id}})
    return list(state.values.get("messages", []))


def as_shown(messages: list[BaseMessage]) -> list[MessageShown]:
    """Return the questions and answers among `messages` as they are shown."""
    shown = []
    for message in messages:
        if isinstance(message, HumanMessage):
            shown.append(MessageShown("user", message.text))
        elif isinstance(message, AIMessage):
            interrupted = message.response_metadata.get("finish_reason") == INTERRUPTED
            shown.append(MessageShown("assistant", message.text, interrupted))
    return shown
