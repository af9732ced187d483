"""Connects to a PostgreSQL store and makes its tables."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict

from chatcli.errors import StoreError, UsageError
from chatcli.store.postgres import schema

LOCK_INTERVAL = 0.1
"""Seconds between two tries for the right to make the tables."""
SETTING_UP = 0x63686174
"""The advisory lock of the process that makes the tables."""

DEFAULTS: dict[str, Any] = {
    "application_name": "chatcli",
    "connect_timeout": 5,  # seconds, for each address of the host
    "keepalives_idle": 30,  # seconds
    "tcp_user_timeout": 10_000,  # milliseconds until a server that no longer answers is given up
}


def parameters(uri: str) -> dict[str, Any]:
    """Return libpq's parameters for `uri`: what it says, and our defaults.

    Raises:
        UsageError: It is no such URI.

    """
    try:
        # The encoding is not the user's to choose: all text here is Unicode.
        return {**DEFAULTS, **conninfo_to_dict(uri), "client_encoding": "UTF8"}
    except psycopg.ProgrammingError:
        # libpq's words would quote parts of the URI, the password's among them.
        raise UsageError(
            "the store's PostgreSQL URI can't be read",
            remedy="Write postgresql://USER:PASSWORD@HOST:PORT/DATABASE, with special characters percent-encoded.",
        ) from None


def connect(uri: str) -> psycopg.Connection:
    """Return a connection in which each statement is a transaction.

    Raises:
        UsageError: `uri` can't be read.
        psycopg.Error: The server can't be reached, or refuses.

    """
    return psycopg.connect(**parameters(uri), autocommit=True)


def is_set_up(connection: psycopg.Connection) -> bool:
    """Return whether the database has chatcli's tables.

    Raises:
        StoreError: A newer chatcli made them.

    """
    found = connection.execute("SELECT to_regclass('chatcli_schema') IS NOT NULL").fetchone()
    if found != (True,):
        return False
    row = connection.execute("SELECT max(version) FROM chatcli_schema").fetchone()
    version = (row and row[0]) or 0
    if version > schema.VERSION:
        raise StoreError(
            f"the store was written by a newer chatcli (version {version}, this one knows {schema.VERSION})",
            remedy="Upgrade chatcli, or name another store with --store.",
        )
    return bool(version == schema.VERSION)


def set_up(connection: psycopg.Connection) -> None:
    """Make LangGraph's tables and ours; a database of LangGraph's alone gets its index made."""
    with making_tables(connection):
        if not is_set_up(connection):
            _make_tables(connection)


@contextmanager
def making_tables(connection: psycopg.Connection) -> Iterator[None]:
    """Hold off every other process that makes tables in this database."""
    # Not a lock that waits: LangGraph makes indexes concurrently, which in turn would wait for the waiting statement.
    while connection.execute("SELECT pg_try_advisory_lock(%s)", (SETTING_UP,)).fetchone() != (True,):
        time.sleep(LOCK_INTERVAL)
    try:
        yield
    finally:
        connection.execute("SELECT pg_advisory_unlock(%s)", (SETTING_UP,))


def _make_tables(connection: psycopg.Connection) -> None:
    from langgraph.checkpoint.postgres import PostgresSaver
    from psycopg.rows import dict_row

    from chatcli.store.postgres.rebuild import rebuild_messages

    connection.row_factory = dict_row  # type: ignore[assignment]  # for the saver, which names columns
    PostgresSaver(connection).setup()  # type: ignore[arg-type]
    connection.row_factory = psycopg.rows.tuple_row
    with connection.transaction():
        connection.execute(schema.TABLES)
        connection.execute(schema.TRIGGER)
        connection.execute(schema.REBUILD_THREADS)
        rebuild_messages(connection)
        connection.execute("DELETE FROM chatcli_schema")
        connection.execute("INSERT INTO chatcli_schema (version) VALUES (%s)", (schema.VERSION,))
