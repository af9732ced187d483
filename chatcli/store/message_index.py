"""Finds the messages in LangGraph's writes, for the index of messages."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from langchain_core.messages import AIMessage, HumanMessage, convert_to_messages

from chatcli.events import INTERRUPTED
from chatcli.message import human_role
from chatcli.store.errors import DamagedError, damaged_thread
from chatcli.store.recall import without_recalled
from chatcli.store.serde import CompressedSerializer
from chatcli.store.usage import REQUEST, UsageRow, answer_entry

_SERDE = CompressedSerializer()


def message_rows(
    where: Mapping[str, Any], writes: Sequence[tuple[str, Any]]
) -> Iterator[tuple[str, str, str, str, str, bool]]:
    """Yield the row of each question and answer in `writes`: thread, message, checkpoint, role, text, interrupted."""
    # `where` is what is configurable. A subgraph's messages are left out: they reach the thread through its parent.
    if where.get("checkpoint_ns"):
        return
    for channel, value in writes:
        if channel != "messages":
            continue
        for index, written in enumerate(value if isinstance(value, list) else [value]):
            message = as_message(written)
            if isinstance(message, HumanMessage | AIMessage) and message.text:
                yield (
                    str(where["thread_id"]),
                    # What a node writes as plain data gets its ID later.
                    message.id or f"{where['checkpoint_id']}-{index}",
                    str(where["checkpoint_id"]),
                    role_of(message),
                    # What was recalled is found in its own thread.
                    without_recalled(message.text),
                    message.response_metadata.get("finish_reason") == INTERRUPTED,
                )


def role_of(message: HumanMessage | AIMessage) -> str:
    """Return the role of a question or an answer in the index."""
    return human_role(message.additional_kwargs) if isinstance(message, HumanMessage) else "assistant"


def usage_row(write: Sequence[Any], value: Any, metadata: Mapping[str, Any], *, own_server: bool) -> UsageRow:
    """Return the row that is kept of `write`, whose value is a message or several."""
    # `metadata` is the checkpoint's; with `own_server`, the thread had a server then that the user had named.
    thread_id, checkpoint_id, task_id, index = write
    found: list[list[Any]] = []
    model = metadata.get("chatcli_model")
    for message in map(as_message, value if isinstance(value, list) else [value]):
        if isinstance(message, HumanMessage) and role_of(message) == "user":
            found.append([])
        elif isinstance(message, AIMessage):
            noted = message.response_metadata.get(REQUEST)
            usage = message.usage_metadata
            found.append(answer_entry(message.id or "", usage, noted, checkpoint_id, model, own_server=own_server))
    return str(thread_id), str(checkpoint_id), str(task_id), int(index), json.dumps(found)


def read_usage(
    write: Sequence[Any], stored: tuple[str, bytes], metadata: Mapping[str, Any], *, own_server: bool
) -> UsageRow:
    """Return the row that is kept of `write`, whose value is `stored`; raise DamagedError if it can't be read."""
    try:
        said = _SERDE.loads_typed(stored)
    except DamagedError as error:
        raise damaged_thread(str(write[0]), error) from error
    return usage_row(write, said, metadata, own_server=own_server)


def has_server(checkpoint: tuple[str, bytes] | None) -> bool:
    """Return whether the state in a stored `checkpoint` has a server that the user had named."""
    try:
        return checkpoint is not None and bool(_SERDE.loads_typed(checkpoint)["channel_values"].get("base_url"))
    except (DamagedError, LookupError, TypeError, AttributeError):  # reading the thread reports it
        return False


def as_message(written: Any) -> Any:
    """Return the message that a node wrote, perhaps as plain data; None for what is none."""
    if not isinstance(written, dict | tuple):
        return written
    try:
        return convert_to_messages([written])[0]
    except (ValueError, LookupError, TypeError, NotImplementedError):  # the state's own affair
        return None
