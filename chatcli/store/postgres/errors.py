"""Turns psycopg's errors into errors for the user, without the URI, which may hold a password."""

import psycopg

from chatcli.errors import StoreError

# By SQLSTATE (https://www.postgresql.org/docs/current/errcodes-appendix.html), or by libpq's text, since it gives no
# code for an error before the session begins.
_REASONS = (
    ("28P01", "password authentication failed", "the server refused the user or the password", "Check --store."),
    ("28000", "no pg_hba.conf entry", "the server does not accept this user from this machine", "See its pg_hba.conf."),
    ("", "no password supplied", "the server asks for a password", "Put it into --store, ~/.pgpass or PGPASSWORD."),
    ("3D000", "database", "there is no such database on the server", "Create it with createdb, or check --store."),
    ("", "role", "the server has no such user", "Check --store."),
    ("42501", "permission denied", "the user may not do that in this database", "Ask for the right to create tables."),
    ("53100", "No space left", "the server's disk is full", "Free some space there; nothing stored is lost."),
    ("53300", "too many clients", "the server has no connection left", "Try again later."),
    ("25006", "read-only transaction", "the server is read-only", "Name another with --store, or use --no-save."),
)
_NETWORK = "Check that the server is up and can be reached from here, then try again."


def as_postgres_error(error: psycopg.Error) -> StoreError:
    """Return `error` as a StoreError of one line."""
    line = (str(error).splitlines() or [type(error).__name__])[0]
    for code, words, reason, remedy in _REASONS:
        unknown = code in ("3D000", "") and "does not exist" not in line and "password" not in words
        if (error.sqlstate and error.sqlstate == code) or (not error.sqlstate and words in line and not unknown):
            return StoreError(f"the store can't be used: {reason}", remedy=remedy)
    if isinstance(error, psycopg.OperationalError):
        reason = line.removeprefix("connection failed: ")
        return StoreError(f"the store's server can't be reached: {reason}", remedy=_NETWORK)
    return StoreError(f"the store can't be used: {line}")
