"""What the JSON of a LangGraph server says of its threads and their states, in our words."""

from collections.abc import Mapping
from typing import Any

from chatcli.events import INTERRUPTED
from chatcli.message import MessageShown, human_role
from chatcli.store.threads import ThreadSummary
from chatcli.text_lines import one_line

NAME, TITLE = "chatcli_thread", "chatcli_title"
"""Keys of a thread's metadata; a checkpoint's has the title of its turn by the second."""
SERVER = "langgraph"
"""What stands in the place of a provider in the name of a server's assistant."""
TITLE_LENGTH = 60
"""Characters of the first question that title a thread."""

_SPEAKERS = {"human": "user", "ai": "assistant", "AIMessageChunk": "assistant"}

Row = Mapping[str, Any]
"""A thread, a state or a message."""


def as_row(value: Any) -> Row:
    """Return what LangGraph's client gives, which it types in many ways, as the JSON object that it is."""
    assert isinstance(value, Mapping)
    return value


def summary_of(row: Row) -> ThreadSummary:
    """Return what a list shows of the thread `row`, which has its state in `values`."""
    metadata = metadata_of(row)
    questions = [message.text for message in shown_in(values_of(row)) if message.role == "user"]
    return ThreadSummary(
        thread_id=metadata.get(NAME) or row["thread_id"],
        title=metadata.get(TITLE) or as_title(questions[0] if questions else ""),
        model=f"{SERVER}:{metadata['graph_id']}" if "graph_id" in metadata else "",
        turns=len(questions),
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )


def as_title(text: str) -> str:
    """Return the beginning of `text` in one line."""
    return one_line(text)[:TITLE_LENGTH]


def metadata_of(row: Row) -> Row:
    """Return the metadata of a thread or a state."""
    return row.get("metadata") or {}


def values_of(row: Row) -> Row:
    """Return the state that `row` holds; empty for a graph whose state is no mapping."""
    values = row.get("values")
    return values if isinstance(values, Mapping) else {}


def messages_in(values: Row) -> list[Row]:
    """Return the messages of a state."""
    messages = values.get("messages")
    return [message for message in messages if isinstance(message, Mapping)] if isinstance(messages, list) else []


def shown_in(values: Row) -> list[MessageShown]:
    """Return the questions and answers of a state as they are shown."""
    return [
        MessageShown(_role(message), text, _finish_reason(message) == INTERRUPTED)
        for message in messages_in(values)
        if message.get("type") in _SPEAKERS and (text := _text(message.get("content")))
    ]


def _role(message: Row) -> str:
    role = _SPEAKERS[message["type"]]
    return human_role(message.get("additional_kwargs") or {}) if role == "user" else role


def checkpoint_id(state: Row) -> str:
    """Return the ID of the checkpoint that `state` is of."""
    return str(as_row(state["checkpoint"])["checkpoint_id"])


def parent_id(state: Row) -> str | None:
    """Return the ID of the checkpoint before, None for a thread's first."""
    parent = state.get("parent_checkpoint")
    return str(parent["checkpoint_id"]) if parent else None


def _finish_reason(message: Row) -> object:
    return (message.get("response_metadata") or {}).get("finish_reason")


def _text(content: object) -> str:
    if isinstance(content, str):
        return content
    blocks = content if isinstance(content, list) else []
    return "".join(
        block if isinstance(block, str) else block.get("text", "")
        for block in blocks
        if isinstance(block, str) or block.get("type") == "text"
    )
