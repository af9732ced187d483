"""Finds the messages in LangGraph's writes, for the index of messages."""

from collections.abc import Iterator, Sequence
from typing import Any

from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.runnables import RunnableConfig

from chatcli.events import INTERRUPTED
from chatcli.message import human_role


def message_rows(
    config: RunnableConfig, writes: Sequence[tuple[str, Any]]
) -> Iterator[tuple[str, str, str, str, str, bool]]:
    """Yield the row of each question and answer in `writes`: thread, message, checkpoint, role, text, interrupted.

    A subgraph's messages are left out: they reach the thread through its parent.
    """
    where = config["configurable"]
    if where.get("checkpoint_ns"):
        return
    for channel, value in writes:
        if channel != "messages":
            continue
        for message in value if isinstance(value, list) else [value]:
            if isinstance(message, HumanMessage | AIMessage) and message.id and message.text:
                yield (
                    str(where["thread_id"]),
                    message.id,
                    str(where["checkpoint_id"]),
                    human_role(message.additional_kwargs) if isinstance(message, HumanMessage) else "assistant",
                    message.text,
                    message.response_metadata.get("finish_reason") == INTERRUPTED,
                )
