"""Connects to a PostgreSQL store, and turns psycopg's errors into errors for the user."""

# No message shows the URI, which may hold a password.

from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict

from chatcli.errors import StoreError, UsageError
from chatcli.store.postgres import schema

DEFAULTS: dict[str, Any] = {
    "application_name": "chatcli",
    "connect_timeout": 5,  # seconds, for each address of the host
    "keepalives_idle": 30,  # seconds
    "tcp_user_timeout": 10_000,  # milliseconds until a server that does not answer counts as lost
}

# By SQLSTATE (https://www.postgresql.org/docs/current/errcodes-appendix.html), or by libpq's text, since it gives no
# code for an error before the session begins.
_REASONS = (
    ("28P01", "password authentication failed", "the server refused the user or the password", "Check --store."),
    ("28000", "no pg_hba.conf entry", "the server does not accept this user from this machine", "See its pg_hba.conf."),
    ("", "no password supplied", "the server asks for a password", "Put it into --store, ~/.pgpass or PGPASSWORD."),
    ("3D000", "database", "the server has no such database", "Create it with createdb, or check --store."),
    ("", "role", "the server has no such user", "Check --store."),
    (
        "42501",
        "permission denied",
        "the user lacks the permission in this database",
        "Ask for the right to create tables.",
    ),
    ("53100", "No space left", "the server's disk is full", "Free some space there; nothing stored is lost."),
    ("53300", "too many clients", "the server has no connection left", "Try again later."),
    ("25006", "read-only transaction", "the server is read-only", "Name another with --store, or use --no-save."),
)
_NETWORK = "Check that the server is up and can be reached from here, then try again."


def parameters(uri: str) -> dict[str, Any]:
    """Return libpq's parameters for `uri`: those in it, and our defaults."""
    try:
        # The user can't choose the encoding: all text here is Unicode.
        return {**DEFAULTS, **conninfo_to_dict(uri), "client_encoding": "UTF8"}
    except psycopg.ProgrammingError:
        # libpq's message would quote parts of the URI, perhaps of the password.
        raise UsageError(
            "the store's PostgreSQL URI can't be read",
            remedy="Write postgresql://USER:PASSWORD@HOST:PORT/DATABASE, with special characters percent-encoded.",
        ) from None


def connect(uri: str) -> psycopg.Connection:
    """Return a connection in which each statement is a transaction."""
    return psycopg.connect(**parameters(uri), autocommit=True)


def stored_version(connection: psycopg.Connection) -> int:
    """Return the version of chatcli's tables in the database, 0 without them; refuse those of a newer chatcli."""
    found = connection.execute("SELECT to_regclass('chatcli_schema') IS NOT NULL").fetchone()
    if found != (True,):
        return 0
    row = connection.execute("SELECT max(version) FROM chatcli_schema").fetchone()
    version = int((row and row[0]) or 0)
    if version > schema.VERSION:
        raise StoreError(
            f"the store was written by a newer chatcli (version {version}, this one knows {schema.VERSION})",
            remedy="Upgrade chatcli, or name another store with --store.",
        )
    return version


def as_postgres_error(error: psycopg.Error) -> StoreError:
    """Return `error` as a StoreError with a message of one line."""
    line = (str(error).splitlines() or [type(error).__name__])[0]
    for code, words, reason, remedy in _REASONS:
        unknown = code in ("3D000", "") and "does not exist" not in line and "password" not in words
        if (error.sqlstate and error.sqlstate == code) or (not error.sqlstate and words in line and not unknown):
            return StoreError(f"the store can't be used: {reason}", remedy=remedy)
    if isinstance(error, psycopg.OperationalError):
        reason = line.removeprefix("connection failed: ")
        return StoreError(f"the store's server can't be reached: {reason}", remedy=_NETWORK)
    return StoreError(f"the store can't be used: {line}")
