"""Looks a store through and makes its index anew, for `chat doctor`."""

import sqlite3
from contextlib import closing
from pathlib import Path

from chatcli.store import schema
from chatcli.store.errors import as_store_error
from chatcli.store.sqlite_threads import connect


def find_damage(path: Path) -> str:
    """Return what SQLite finds wrong with the store at `path`, "" for nothing.

    Raises:
        StoreError: It can't be opened.

    """
    try:
        with closing(connect(path)) as connection:
            (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.Error as error:
        raise as_store_error(error) or error from error
    return "" if found == "ok" else str(found)


def forget_index(path: Path) -> None:
    """Make the index of threads anew from LangGraph's tables, and leave that of messages to the next `open_store`.

    Raises:
        StoreError: The store can't be used; it is left as it was.

    """
    try:
        with closing(connect(path)) as connection:
            connection.executescript(schema.REBUILD)
    except sqlite3.Error as error:
        raise as_store_error(error) or error from error
