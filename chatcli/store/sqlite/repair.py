"""Checks a SQLite store and rebuilds its index, for `chat doctor`."""

import os
import sqlite3
import zlib
from collections.abc import Iterator
from contextlib import closing
from itertools import groupby
from operator import itemgetter
from pathlib import Path

from chatcli.errors import StoreError
from chatcli.runtime.parse import json_object
from chatcli.runtime.sqlite import connect as connect_file
from chatcli.runtime.sqlite import unchecked
from chatcli.store.errors import DamagedError, as_sqlite_failure, sqlite_failures
from chatcli.store.serde import COMPRESSED, decompress
from chatcli.store.sqlite import schema
from chatcli.store.sqlite.threads import BUSY_TIMEOUT, connect
from chatcli.store.step_order import is_in_order

_MAX_NAMED = 5


def find_damage(path: Path) -> str:
    """Return the damage of the store at `path` that SQLite finds, or the threads that can't be read; "" if none."""
    with sqlite_failures(), closing(connect(path)) as connection:
        (found,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
        if found != "ok":
            return str(found)
        # SQLite takes values into the index that its columns are not made for.
        known = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
        wrong = [query for table, query in _WRONG.items() if table in known]
        if any(connection.execute(query).fetchone() for query in wrong):
            return "the index of threads has values of the wrong type"
        damaged = sorted(set(_damaged_threads(connection)))
        if not damaged and (items := _damaged_items(connection)):
            return f"{items} of the items that graphs keep can't be read"
    named = ", ".join(damaged[:_MAX_NAMED])
    return f"the threads {named}{' and others' if len(damaged) > _MAX_NAMED else ''} can't be read" if damaged else ""


_WRONG = {
    "threads": "SELECT 1 FROM threads WHERE typeof(thread_id) || typeof(title) || typeof(model) || typeof(turns)"
    " || typeof(created_at) || typeof(updated_at) != 'texttexttextintegertexttext' OR julianday(updated_at) IS NULL"
    " LIMIT 1",
    "messages": "SELECT 1 FROM messages WHERE typeof(thread_id) || typeof(message_id) || typeof(checkpoint_id)"
    " || typeof(role) || typeof(text) || typeof(interrupted) != 'texttexttexttexttextinteger' LIMIT 1",
    "usage": "SELECT 1 FROM usage WHERE typeof(thread_id) || typeof(checkpoint_id) || typeof(task_id) || typeof(idx)"
    " || typeof(entries) != 'texttexttextintegertext' OR NOT json_valid(entries) LIMIT 1",
    "journal": "SELECT 1 FROM journal WHERE typeof(thread_id) || typeof(question_id) || typeof(text)"
    " != 'texttexttext' LIMIT 1",
}


def _damaged_items(connection: sqlite3.Connection) -> int:
    """Return how many items of LangGraph's store have a value that is not a JSON object."""
    columns = {name for (name,) in connection.execute("SELECT name FROM pragma_table_info('store')")}
    if not {"prefix", "key", "value"} <= columns:
        return 0
    return sum(json_object(value) is None for (value,) in connection.execute("SELECT value FROM store"))


def _damaged_threads(connection: sqlite3.Connection) -> Iterator[str]:
    """Yield the threads with values whose checksum is wrong, metadata that is not JSON, or a parent that is missing."""
    if not connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'checkpoints'").fetchone():
        return
    for query in ("SELECT thread_id, type, checkpoint FROM checkpoints", "SELECT thread_id, type, value FROM writes"):
        for thread_id, kind, value in connection.execute(query):
            if isinstance(kind, str) and kind.endswith(COMPRESSED):
                try:
                    decompress(value)
                except (zlib.error, TypeError):
                    yield str(thread_id)
    for thread_id, metadata in connection.execute("SELECT thread_id, metadata FROM checkpoints"):
        if json_object(metadata or b"{}") is None:
            yield str(thread_id)
    for thread_id, links in groupby(connection.execute(_LINKS), itemgetter(0)):
        if not is_in_order((name, parent) for _, name, parent in links):
            yield str(thread_id)


_LINKS = """
SELECT thread_id, checkpoint_id, parent_checkpoint_id FROM checkpoints WHERE checkpoint_ns = ''
ORDER BY thread_id, checkpoint_id
"""


def forget_index(path: Path) -> None:
    """Rebuild the index of threads from LangGraph's tables; the next `open_store` makes the index of messages."""
    try:
        with closing(connect(path)) as connection:
            connection.executescript(schema.REBUILD)
    except (sqlite3.Error, UnicodeDecodeError) as error:
        if "readonly" in str(error) and os.access(path, os.W_OK):  # the message is wrong
            raise DamagedError("the store can't be used: its beginning is damaged") from error
        raise as_sqlite_failure(error) from error


def refuse_open(path: Path) -> None:
    """Raise StoreError when another process has the damaged store at `path` open, as far as SQLite knows."""
    try:
        with closing(connect_file(path, unchecked, timeout=BUSY_TIMEOUT)) as connection:
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            connection.execute("BEGIN EXCLUSIVE")
            connection.execute("ROLLBACK")
    except (sqlite3.Error, UnicodeDecodeError) as error:
        if "locked" in str(error):
            raise StoreError("the store is open in another process", remedy="Close that, and try again.") from error
