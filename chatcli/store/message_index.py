"""Finds the messages in LangGraph's writes, for the index of messages."""

from collections.abc import Iterator, Sequence
from typing import Any

from langchain_core.messages import AIMessage, HumanMessage, convert_to_messages
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
        for place, written in enumerate(value if isinstance(value, list) else [value]):
            message = _as_message(written)
            if isinstance(message, HumanMessage | AIMessage) and message.text:
                yield (
                    str(where["thread_id"]),
                    # What a node writes as plain data gets its ID later.
                    message.id or f"{where['checkpoint_id']}-{place}",
                    str(where["checkpoint_id"]),
                    human_role(message.additional_kwargs) if isinstance(message, HumanMessage) else "assistant",
                    message.text,
                    message.response_metadata.get("finish_reason") == INTERRUPTED,
                )


def _as_message(written: Any) -> Any:
    """Return what a node wrote as a message, also where it wrote plain data."""
    if not isinstance(written, dict | tuple):
        return written
    try:
        return convert_to_messages([written])[0]
    except (ValueError, NotImplementedError):  # the state's own affair
        return None
