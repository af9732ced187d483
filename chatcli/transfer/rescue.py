"""Rescues a damaged SQLite store: intact threads stay as they are; of others, what can be read is kept."""

import asyncio
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from chatcli.config.thread_ids import check_stored_id
from chatcli.errors import StoreError
from chatcli.runtime.files import put_in_place, write_to_disk
from chatcli.runtime.parse import json_object
from chatcli.sessions.history import merged
from chatcli.store.items import open_sqlite_items
from chatcli.store.location import StoreLocation
from chatcli.store.open import open_store
from chatcli.store.serde import CompressedSerializer
from chatcli.store.sqlite import salvage, schema
from chatcli.store.sqlite.open import SqliteSaver, rebuild_messages
from chatcli.store.sqlite.staging import staging_path
from chatcli.transfer.document import ThreadDocument
from chatcli.transfer.store_documents import free_id, import_documents

if TYPE_CHECKING:
    from langchain_core.messages import BaseMessage


def read_damaged(path: Path, thread_id: str) -> tuple[ThreadDocument, int]:
    """Return the readable part of a thread of the damaged store at `path`, and how many of its rows are not."""
    thread = salvage.rows_by_thread(salvage.read_contents(path)).get(thread_id, salvage.ThreadRows())
    read = salvage.read_values(thread, CompressedSerializer())
    return _document(thread_id, thread, read, next(iter(salvage.branches(read)), [])), read.lost


async def rescue(path: Path) -> list[str]:
    """Replace the damaged store at `path` by one with all that can be read, and keep the damaged one as a copy."""
    # Return a line for each damaged thread, and one that names the copy. On a StoreError, the store is unchanged.
    contents = salvage.read_contents(path)
    threads = salvage.rows_by_thread(contents)
    items = [row for row in contents.items.values() if json_object(row[2]) is not None]
    if not threads and not items:
        raise StoreError(f"nothing in {path} can be read as a chatcli store", remedy="It is unchanged.")
    serde = CompressedSerializer()
    whole: dict[str, salvage.ThreadRows] = {}
    documents: list[ThreadDocument] = []
    lines: list[str] = []
    for number, (thread_id, thread) in enumerate(threads.items(), 1):
        read = salvage.read_values(thread, serde)
        if not read.lost and _is_id(thread_id):
            whole[thread_id] = thread
            continue
        taken = {*threads, *(document.thread_id for document in documents)}
        found = _documents(thread_id if _is_id(thread_id) else f"damaged-{number}", thread, read, taken)
        documents += found
        if found:
            lines.append(_kept_line(found, read))
    if lost := len(contents.items) - len(items):
        lines.append(f"{lost} of the items that graphs keep can't be read, {len(items)} are kept")
    with staging_path(path) as staged:
        await _write(staged, contents, whole, documents)
        if items:
            await asyncio.to_thread(_write_items, staged, items)
        backup = _keep(path)
        for suffix in ("-wal", "-shm"):  # SQLite would apply those of the damaged file to the new one
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        put_in_place(staged, path)
    return [*lines, f"the damaged store is kept as {backup}"]


def _is_id(thread_id: str) -> bool:
    try:
        return bool(check_stored_id(thread_id))
    except ValueError:
        return False


def _documents(
    thread_id: str, thread: salvage.ThreadRows, read: salvage.ThreadValues, taken: set[str]
) -> list[ThreadDocument]:
    """Return the best branch of a damaged thread, and each other one that has messages of its own, under other IDs."""
    documents: list[ThreadDocument] = []
    kept: set[str | None] = set()
    for branch in salvage.branches(read) or [[]]:
        document = _document(thread_id, thread, read, branch)
        own = {message.id for message in document.messages} - kept
        if documents and own:
            document = replace(document, thread_id=free_id(thread_id, taken))
        if own or (not documents and document.title):
            documents.append(document)
            taken.add(document.thread_id)
            kept |= own
    return documents


def _kept_line(documents: Sequence[ThreadDocument], read: salvage.ThreadValues) -> str:
    kept = len({message.id for document in documents for message in document.messages})
    first, *others = (document.thread_id for document in documents)
    line = f"the thread {first} was damaged: {read.lost} rows can't be read, "
    line += f"{kept} of {kept + read.lost_messages} messages are kept"
    return f"{line}; those of other branches are in {', '.join(others)}" if others else line


def _document(
    thread_id: str, thread: salvage.ThreadRows, read: salvage.ThreadValues, branch: Sequence[str]
) -> ThreadDocument:
    messages: dict[str | None, BaseMessage] = {}
    for name in branch:
        if stored := salvage.messages_in(read.states.get(name, {}).get("messages")):
            # A message without an ID is written with one made of its checkpoint's, and gets another in the state.
            lasting = [each for key, each in messages.items() if (key or "").rpartition("-")[0] not in read.parents]
            messages = {message.id: message for message in merged(lasting, stored)}
        messages |= {message.id: message for message in read.messages.get(name, ())}
    newest_first = branch[::-1]
    state = next((read.states[name] for name in newest_first if read.states.get(name)), {})
    facts = [read.facts.get(name, {}) for name in newest_first]
    titles = [str(fact["chatcli_title"]) for fact in reversed(facts) if fact.get("chatcli_title")]
    models = [str(fact["chatcli_model"]) for fact in facts if fact.get("chatcli_model")]
    guessed: salvage.Row = (thread_id, titles[0] if titles else "", models[0] if models else "", 0, "", "")
    _, title, model, turns, made, used = thread.summary or guessed
    system, remembered = state.get("system"), state.get("model")
    return ThreadDocument(
        thread_id,
        str(title),
        str(model),
        system if isinstance(system, str) else None,
        [*messages.values()],
        remembered_model=remembered if isinstance(remembered, str) else "",
        turns=cast("int", turns),
        created_at=str(made),
        updated_at=str(used),
        **_role(state),
    )


def _role(state: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of the role in `state`; none unless all of them can be read."""
    role, template, variables = state.get("role"), state.get("template"), state.get("variables")
    if not (role and isinstance(role, str) and isinstance(template, str) and isinstance(variables, dict)):
        return {}
    if not all(isinstance(part, str) for pair in variables.items() for part in pair):
        return {}
    return {"role": role, "template": template, "variables": variables}


async def _write(
    path: Path, contents: salvage.Contents, whole: Mapping[str, salvage.ThreadRows], documents: Sequence[ThreadDocument]
) -> None:
    async with open_store(StoreLocation(path)) as store:
        saver = store.checkpointer
        assert isinstance(saver, SqliteSaver)
        connection = saver.conn
        checkpoints = (row for row in contents.checkpoints.values() if row[0] in whole)
        writes = [row for row in contents.writes.values() if row[0] in whole]
        # In the order in which they were made: the triggers of the index of threads need it.
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


def _write_items(path: Path, items: Sequence[salvage.Row]) -> None:
    with open_sqlite_items(path) as store:
        store.conn.executemany("INSERT OR REPLACE INTO store VALUES (?, ?, ?, ?, ?, ?, ?)", items)


def _keep(path: Path) -> Path:
    """Copy the damaged store and its write-ahead log to unused names; return the name of the store's copy."""
    names = (path.with_name(f"{path.name}.damaged{'' if number == 1 else f'-{number}'}") for number in count(1))
    backup = next(name for name in names if not name.exists())
    for suffix in ("", "-wal"):
        source, target = path.with_name(path.name + suffix), backup.with_name(backup.name + suffix)
        if source.exists():
            shutil.copy2(source, target)
            with target.open("rb") as file:
                write_to_disk(file.fileno())
    return backup


_INSERT_WRITE = """
INSERT INTO writes (thread_id, checkpoint_ns, checkpoint_id, task_id, task_path, idx, channel, type, value)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
