"""What can be saved of a damaged SQLite store: whole threads as they are, and of others what can be read."""

import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, cast

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langgraph.types import Overwrite

from chatcli.errors import StoreError
from chatcli.events import INTERRUPTED
from chatcli.store.errors import DamagedError
from chatcli.store.location import StoreLocation
from chatcli.store.open import open_store
from chatcli.store.serde import CompressedSerializer
from chatcli.store.sqlite import schema
from chatcli.store.sqlite.intact import check_checkpoint, check_metadata, check_write
from chatcli.store.sqlite.open import rebuild_messages
from chatcli.store.sqlite.salvage import Contents, Row, read_contents
from chatcli.store.sqlite.saver import SqliteSaver
from chatcli.store.sqlite.staging import staging_path
from chatcli.thread_ids import check_thread_id
from chatcli.transfer.document import ThreadDocument
from chatcli.transfer.store_documents import import_documents


@dataclass(slots=True)
class _Thread:
    """The rows of a thread, as far as they can be read."""

    checkpoints: list[Row] = field(default_factory=list)
    writes: list[Row] = field(default_factory=list)
    messages: list[Row] = field(default_factory=list)
    summary: Row | None = None


@dataclass(frozen=True, slots=True)
class _Read:
    """A thread's values: by checkpoint the state, the metadata, the messages, the parent.

    Attributes:
        unreadable: How many rows can't be read, or have a parent that is not there.
        lost: These, and the messages that the index alone has.

    """

    states: Mapping[str, Mapping[str, Any]]
    facts: Mapping[str, Mapping[str, Any]]
    messages: Mapping[str, Sequence[BaseMessage]]
    parents: Mapping[str, str | None]
    unreadable: int
    lost: int


def read_damaged(path: Path, thread_id: str) -> tuple[ThreadDocument, int]:
    """Return what can be read of a thread of the damaged store at `path`, and how many of its rows can't be."""
    thread = _threads(read_contents(path)).get(thread_id, _Thread())
    read = _read(thread, CompressedSerializer())
    return _document(thread_id, thread, read), read.lost


def has_unreadable(path: Path) -> bool:
    """Return whether a row of the store at `path` holds what can't be read, though SQLite finds nothing wrong."""
    serde = CompressedSerializer()
    return any(_read(thread, serde).unreadable for thread in _threads(read_contents(path)).values())


async def rescue(path: Path) -> list[str]:
    """Put a store with all that can be read in the place of the damaged one at `path`, which is kept beside it.

    Returns:
        A line for each thread that was damaged, and one that names the file that was kept.

    Raises:
        StoreError: Nothing can be read, or the disk is full; the store was left as it is.

    """
    contents = read_contents(path)
    threads = _threads(contents)
    if not threads:
        raise StoreError(f"nothing in {path} can be read as a chatcli store", remedy="It was left as it is.")
    serde = CompressedSerializer()
    whole: dict[str, _Thread] = {}
    documents: list[ThreadDocument] = []
    lines: list[str] = []
    for number, (thread_id, thread) in enumerate(threads.items(), 1):
        read = _read(thread, serde)
        if not read.lost and _is_id(thread_id):
            whole[thread_id] = thread
            continue
        document = _document(thread_id if _is_id(thread_id) else f"damaged-{number}", thread, read)
        if document.messages or document.title:
            documents.append(document)
            kept = f"{len(document.messages)} messages of it are kept"
            lines.append(f"the thread {document.thread_id} was damaged: {read.lost} rows can't be read, {kept}")
    with staging_path(path) as staged:
        await _write(staged, contents, whole, documents)
        backup = _keep(path)
        for suffix in ("-wal", "-shm"):  # of the damaged file: SQLite would put them into the new one
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        staged.replace(path)
    return [*lines, f"the damaged store is kept as {backup}"]


def _is_id(thread_id: str) -> bool:
    try:
        return bool(check_thread_id(thread_id))
    except ValueError:
        return False


def _threads(contents: Contents) -> dict[str, _Thread]:
    threads: dict[str, _Thread] = {}
    for row in sorted(contents.checkpoints.values(), key=lambda row: str(row[2])):
        threads.setdefault(str(row[0]), _Thread()).checkpoints.append(row)
    for row in contents.writes.values():
        threads.setdefault(str(row[0]), _Thread()).writes.append(row)
    for _, row in sorted(contents.messages.items()):
        threads.setdefault(str(row[0]), _Thread()).messages.append(row)
    for thread_id, row in contents.threads.items():
        threads.setdefault(thread_id, _Thread()).summary = row
    return threads


def _read(thread: _Thread, serde: CompressedSerializer) -> _Read:
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
    for row in thread.messages:  # the index has the text once more
        _, message_id, name, role, text, cut = row
        if message_id not in known:
            lost += 1
            messages.setdefault(str(name), []).append(_from_index(str(message_id), str(role), str(text), bool(cut)))
    lost += not thread.checkpoints
    return _Read(states, facts, messages, parents, unreadable, lost)


def _messages_in(written: object) -> list[BaseMessage]:
    written = written.value if isinstance(written, Overwrite) else written
    found = written if isinstance(written, list) else [written]
    return [message for message in found if isinstance(message, BaseMessage) and message.type != "remove"]


def _from_index(message_id: str, role: str, text: str, cut: bool) -> BaseMessage:
    if role == "user":
        return HumanMessage(text, id=message_id)
    return AIMessage(text, id=message_id, response_metadata={"finish_reason": INTERRUPTED} if cut else {})


def _branch(read: _Read) -> Iterator[str]:
    """Yield the checkpoints of the current branch, the newest first; over a gap, the one before it in time."""
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


def _document(thread_id: str, thread: _Thread, read: _Read) -> ThreadDocument:
    branch = list(_branch(read))
    messages: dict[str, BaseMessage] = {}
    for name in reversed(branch):
        messages |= {str(message.id): message for message in read.messages.get(name, ())}
    state = next((read.states[name] for name in branch if read.states.get(name)), {})
    facts = [read.facts.get(name, {}) for name in branch]
    titles = [str(fact["chatcli_title"]) for fact in reversed(facts) if fact.get("chatcli_title")]
    models = [str(fact["chatcli_model"]) for fact in facts if fact.get("chatcli_model")]
    _, title, model, turns, made, used = thread.summary or (
        thread_id,
        titles[0] if titles else "",
        models[0] if models else "",
        0,
        "",
        "",
    )
    system, remembered = state.get("system"), state.get("model")
    return ThreadDocument(
        thread_id,
        str(title),
        str(model),
        system if isinstance(system, str) else None,
        list(messages.values()),
        remembered_model=remembered if isinstance(remembered, str) else "",
        turns=cast("int", turns),
        created_at=str(made),
        updated_at=str(used),
        **_role(state),
    )


def _role(state: Mapping[str, Any]) -> dict[str, Any]:
    """Return the role in `state`, or nothing unless all of it can be read."""
    role, template, variables = state.get("role"), state.get("template"), state.get("variables")
    if not (role and isinstance(role, str) and isinstance(template, str) and isinstance(variables, dict)):
        return {}
    if not all(isinstance(part, str) for pair in variables.items() for part in pair):
        return {}
    return {"role": role, "template": template, "variables": variables}


async def _write(
    path: Path, contents: Contents, whole: Mapping[str, _Thread], documents: Sequence[ThreadDocument]
) -> None:
    async with open_store(StoreLocation(path)) as store:
        saver = store.checkpointer
        assert isinstance(saver, SqliteSaver)
        connection = saver.conn
        checkpoints = (row for row in contents.checkpoints.values() if row[0] in whole)
        writes = [row for row in contents.writes.values() if row[0] in whole]
        # In the order in which they were made, as the index of threads takes them.
        await connection.executemany(
            "INSERT INTO checkpoints VALUES (?, ?, ?, ?, ?, ?, ?)", sorted(checkpoints, key=lambda row: str(row[2]))
        )
        await connection.executemany(_INSERT_WRITE, writes)
        await rebuild_messages(connection, saver.serde)
        await connection.commit()
        await import_documents(store, documents)
        await connection.executemany(
            "UPDATE threads SET title = ?, model = ?, turns = ?, created_at = ?, updated_at = ? WHERE thread_id = ?",
            [(*row[1:], thread_id) for thread_id, row in contents.threads.items()],
        )
        await connection.executemany("INSERT INTO journal VALUES (?, ?, ?)", list(contents.journal.values()))
        await connection.execute(f"PRAGMA user_version = {schema.VERSION}")
        await connection.commit()
        await connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _keep(path: Path) -> Path:
    """Copy the damaged store, and what lies in its write-ahead log, under names that are free; return the first."""
    backup = next(
        name
        for number in count(1)
        if not (name := path.with_name(f"{path.name}.damaged{'' if number == 1 else f'-{number}'}")).exists()
    )
    for suffix in ("", "-wal"):
        source, target = path.with_name(path.name + suffix), backup.with_name(backup.name + suffix)
        if source.exists():
            shutil.copy2(source, target)
            with target.open("rb") as file:
                os.fsync(file.fileno())
    return backup


_INSERT_WRITE = """
INSERT INTO writes (thread_id, checkpoint_ns, checkpoint_id, task_id, task_path, idx, channel, type, value)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
