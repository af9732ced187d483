"""The threads of a damaged SQLite store: the values of their rows, as far as these can be read."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langgraph.types import Overwrite

from chatcli.events import INTERRUPTED
from chatcli.store.errors import DamagedError
from chatcli.store.serde import CompressedSerializer, check_checkpoint, check_metadata, check_write
from chatcli.store.sqlite.salvage import Contents, Row, read_contents


@dataclass(slots=True)
class ThreadRows:
    """The rows of a thread, as far as they can be read."""

    checkpoints: list[Row] = field(default_factory=list)
    writes: list[Row] = field(default_factory=list)
    messages: list[Row] = field(default_factory=list)
    summary: Row | None = None


@dataclass(frozen=True, slots=True)
class ThreadValues:
    """A thread's values: by checkpoint the state, the metadata, the messages, the parent.

    Attributes:
        unreadable: How many rows can't be read, or have a parent that is missing.
        lost: The same number, plus the messages that only the index has.

    """

    states: Mapping[str, Mapping[str, Any]]
    facts: Mapping[str, Mapping[str, Any]]
    messages: Mapping[str, Sequence[BaseMessage]]
    parents: Mapping[str, str | None]
    unreadable: int
    lost: int


def has_unreadable(path: Path) -> bool:
    """Return whether a row of the store at `path` has a value that can't be read, although SQLite finds no damage."""
    serde = CompressedSerializer()
    return any(read_values(thread, serde).unreadable for thread in rows_by_thread(read_contents(path)).values())


def rows_by_thread(contents: Contents) -> dict[str, ThreadRows]:
    """Return the rows of each thread by its ID."""
    threads: dict[str, ThreadRows] = {}
    for row in sorted(contents.checkpoints.values(), key=lambda row: str(row[2])):
        threads.setdefault(str(row[0]), ThreadRows()).checkpoints.append(row)
    for row in contents.writes.values():
        threads.setdefault(str(row[0]), ThreadRows()).writes.append(row)
    for _, row in sorted(contents.messages.items()):
        threads.setdefault(str(row[0]), ThreadRows()).messages.append(row)
    for thread_id, row in contents.threads.items():
        threads.setdefault(thread_id, ThreadRows()).summary = row
    return threads


def read_values(thread: ThreadRows, serde: CompressedSerializer) -> ThreadValues:
    """Return the values of `thread`; a message that can't be read is taken from the index if it is there."""
    states: dict[str, Mapping[str, Any]] = {}
    facts: dict[str, Mapping[str, Any]] = {}
    parents: dict[str, str | None] = {}
    messages: dict[str, list[BaseMessage]] = {}
    lost = 0
    for row in thread.checkpoints:
        _, namespace, name, parent, kind, value, metadata = row
        try:
            state = serde.loads_typed((cast("str", kind), cast("bytes", value)))
            check_checkpoint(state)
            read = json.loads(cast("bytes", metadata or b"{}"))
            check_metadata(read)
        except (DamagedError, ValueError, TypeError):
            lost += 1
            state, read = {"channel_values": {}}, {}
        if namespace == "":
            parents[str(name)] = None if parent is None else str(parent)
            states[str(name)], facts[str(name)] = state["channel_values"], read
    for row in sorted(thread.writes, key=lambda row: (str(row[2]), str(row[4]), str(row[3]), cast("int", row[5]))):
        _, namespace, name, _, _, _, channel, kind, value = row
        try:
            read = serde.loads_typed((cast("str", kind), cast("bytes", value)))
            check_write(channel, read)
        except DamagedError:
            lost += 1
            continue
        if namespace == "" and channel == "messages":
            messages.setdefault(str(name), []).extend(_messages_in(read))
    lost += sum(parent is not None and parent not in parents for parent in parents.values())
    unreadable = lost
    known = {message.id for found in messages.values() for message in found}
    for row in thread.messages:  # the index has a copy of the text
        _, message_id, name, role, text, cut = row
        if message_id not in known:
            lost += 1
            messages.setdefault(str(name), []).append(_from_index(str(message_id), str(role), str(text), bool(cut)))
    lost += not thread.checkpoints
    return ThreadValues(states, facts, messages, parents, unreadable, lost)


def _messages_in(written: object) -> list[BaseMessage]:
    written = written.value if isinstance(written, Overwrite) else written
    found = written if isinstance(written, list) else [written]
    return [message for message in found if isinstance(message, BaseMessage) and message.type != "remove"]


def _from_index(message_id: str, role: str, text: str, cut: bool) -> BaseMessage:
    if role == "user":
        return HumanMessage(text, id=message_id)
    return AIMessage(text, id=message_id, response_metadata={"finish_reason": INTERRUPTED} if cut else {})


def current_branch(read: ThreadValues) -> Iterator[str]:
    """Yield the checkpoints of the current branch, the newest first; a missing one is skipped to the next older one."""
    names = sorted({*read.parents, *read.messages}, reverse=True)
    place = {name: number for number, name in enumerate(names)}
    name: str | None = names[0] if names else None
    while name is not None:
        yield name
        if read.facts.get(name, {}).get("chatcli_turn") == 0:  # the thread was emptied here
            return
        following = place[name] + 1
        older = names[following] if following < len(names) else None
        parent = read.parents.get(name, older)
        is_known = parent is None or place.get(parent, 0) >= following
        name = parent if is_known else older
