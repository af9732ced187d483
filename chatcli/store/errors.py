"""What went wrong with the store, in chatcli's words."""

import errno
import sqlite3
import sys

from chatcli.errors import ChatcliError, InternalError, StoreError

_REASONS = (
    ("locked", "it is locked by another program", "Close the other program, or try again."),
    ("disk is full", "the disk is full", "Free some space and try again; nothing stored is lost."),
    ("readonly", "it is read-only", "Make it writable, or name another with --store, or use --no-save."),
    ("not a database", "it is not a chatcli store", "Name another with --store; the file was left as it is."),
    (
        "malformed",
        "it is damaged",
        "Copy it away and recover it with `sqlite3 FILE .recover`; it was left as it is.",
    ),
    (
        "unable to open",
        "it can't be opened",
        "Check the path and its permissions, or name another with --store.",
    ),
)


def as_failure(error: BaseException | None) -> ChatcliError:
    """Return `error` as what the user is told: the store's failure, or else one of chatcli itself."""
    if isinstance(error, ChatcliError):
        return error
    assert error is not None
    failure = as_store_error(error) or InternalError(
        f"{type(error).__name__}: {error}", remedy="Run again with --debug to see where, and report it."
    )
    failure.__cause__ = error
    return failure


def as_store_error(error: BaseException) -> StoreError | None:
    """Return `error` as a failure of the store, or None when it is something else."""
    if isinstance(error, StoreError):
        return error
    if isinstance(error, sqlite3.Error):
        for word, reason, remedy in _REASONS:
            if word in str(error):
                return StoreError(f"the store can't be used: {reason}", remedy=remedy)
        return StoreError(f"the store can't be used: {error}")
    if "psycopg" in sys.modules:  # an extra, and heavy: only a PostgreSQL store has imported it
        import psycopg

        from chatcli.store.postgres_errors import as_postgres_error

        if isinstance(error, psycopg.Error):
            return as_postgres_error(error)
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES):
        return StoreError(f"the store can't be used: {error.strerror}", remedy="Free some space, or use --store.")
    return None
