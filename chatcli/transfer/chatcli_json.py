"""Our own files: one JSON object a thread, or JSON Lines with a line for the thread and one for each message."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from chatcli.transfer.chatcli_schema import FORMAT, message_as_json, read_message, read_thread, thread_as_json
from chatcli.transfer.document import ThreadDocument, refuse
from chatcli.transfer.strict_json import parse_json

if TYPE_CHECKING:
    from langchain_core.messages import BaseMessage


def as_json(document: ThreadDocument) -> Iterator[str]:
    """Yield the lines of `document` as one JSON object."""
    whole = {**thread_as_json(document), "messages": [message_as_json(message) for message in document.messages]}
    # Escaped: what is in a message can't do anything to the terminal that this may be shown on.
    yield json.dumps(whole, indent=2)


def as_jsonl(document: ThreadDocument) -> Iterator[str]:
    """Yield the lines of `document` as JSON Lines."""
    yield json.dumps({"type": "thread", **thread_as_json(document)})
    for message in document.messages:
        yield json.dumps({"type": "message", **message_as_json(message)})


def is_json(data: object) -> bool:
    """Return whether `data` is a thread of our JSON."""
    return isinstance(data, dict) and data.get("format") == FORMAT


def is_jsonl_head(data: object) -> bool:
    """Return whether `data` is the line with which our JSON Lines begin."""
    return is_json(data) and isinstance(data, dict) and data.get("type") == "thread"


def read_json(data: Mapping[str, Any], where: str = "") -> ThreadDocument:
    """Return the thread `data`; raise UsageError when something is wrong with it."""
    head = dict(data)
    messages = head.pop("messages", None)
    if not isinstance(messages, list):
        raise refuse(f"{where}messages", "there is no list of messages")
    known: set[str] = set()
    read = [read_message(f"{where}messages[{number}]", message, known) for number, message in enumerate(messages)]
    return read_thread(where, head, read)


def read_jsonl(lines: Sequence[str]) -> list[ThreadDocument]:
    """Return the threads in `lines`, each of which begins with a line of its own; raise UsageError for a wrong one."""
    documents: list[ThreadDocument] = []
    known: set[str] = set()
    messages: list[BaseMessage] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        where = f"line {number}"
        data = parse_json(line, where)
        if is_jsonl_head(data):
            messages, known = [], set()
            documents.append(read_thread(f"{where}: ", data, messages))
        elif documents:
            messages.append(read_message(where, data, known))
        else:
            raise refuse(where, "a message stands before the line of its thread")
    return documents
