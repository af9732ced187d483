"""Turns what a store raises into errors with a reason and a remedy for the user."""

import errno
import sqlite3
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from chatcli.errors import ChatcliError, ExitCallError, StoreError, unexpected
from chatcli.runtime.program import CHAT, command
from chatcli.text import one_line

_WRITABLE = "Make it writable, or name another with --store, or use --no-save."
_REASONS = (
    ("locked", "it is locked by another program", "Close the other program, or try again."),
    ("interrupted", "reading it takes too long, as if it were made for that", "Name another with --store."),
    ("disk is full", "the disk is full", "Free some space and try again; nothing stored is lost."),
    ("readonly", "it is read-only", _WRITABLE),
    (
        "not a database",
        "it is not a chatcli store, or its beginning is damaged",
        "Name another with --store, or recover it: chat doctor --repair",
    ),
    (
        "unable to open",
        "it can't be opened",
        "Check the path and its permissions, or name another with --store.",
    ),
)


REPAIR = "Recover what can be read, and keep the damaged file beside it: chat doctor --repair"
FOREIGN = "Name another with --store, or keep only the threads and their items: chat doctor --repair"
_DAMAGE = ("malformed", "decode to UTF-8", "not a database", "corrupt", "unsupported file format", "vtable constructor")
_ITEM_TABLES = {"store": {"prefix", "key", "value", "created_at", "updated_at"}, "store_migrations": {"v"}}
"""The columns that the tables of LangGraph's store have at least; other programs may have tables of these names."""


class DamagedError(StoreError):
    """Part of the store can't be read, because bytes of it have changed."""

    def __init__(self, message: str, *, remedy: str = REPAIR) -> None:
        # The commands of `chat` as they are in the program that runs.
        super().__init__(message, remedy=remedy.replace(f"{CHAT.name} doctor", command("doctor")))


class ReadOnlyError(StoreError):
    """Nothing can be written to the store, nor beside it."""

    def __init__(self) -> None:
        super().__init__("the store can't be used: it is read-only", remedy=_WRITABLE)


def damaged_thread(thread_id: str, problem: BaseException) -> DamagedError:
    """Return the error for a thread whose stored state can't be read because of `problem`."""
    named = f"the thread {thread_id} is damaged: "
    text = problem.message if isinstance(problem, ChatcliError) else f"{problem}"
    line = one_line(text)[:200] or type(problem).__name__
    failure = DamagedError(named + line.removeprefix(named))
    failure.__cause__ = problem
    return failure


def is_damage(error: BaseException) -> bool:
    """Return whether `error`, of SQLite or of reading a stored value, comes from bytes that have changed."""
    if isinstance(error, sqlite3.Error):
        return any(word in str(error) for word in _DAMAGE)
    return isinstance(error, DamagedError | UnicodeDecodeError)


def as_sqlite_failure(error: Exception) -> StoreError:
    """Return an exception of SQLite as a failure of the store."""
    # SQLite raises UnicodeDecodeError where its message would quote a name that is no longer valid text.
    if is_damage(error) and not isinstance(error, sqlite3.Error | StoreError):
        return DamagedError("the store can't be used: it is damaged")
    return as_store_error(error) or StoreError(f"the store can't be used: {error}")


@contextmanager
def sqlite_failures() -> Iterator[None]:
    """Raise what SQLite raises in the block as a failure of the store."""
    try:
        yield
    except (sqlite3.Error, UnicodeDecodeError, OSError) as error:
        raise as_sqlite_failure(error) from error


def as_failure(error: BaseException | None) -> ChatcliError:
    """Return `error` as the error to show: the store's failure, or else an internal one."""
    if isinstance(error, ChatcliError):
        return error
    if isinstance(error, SystemExit):
        return ExitCallError(error)
    assert error is not None
    failure = as_store_error(error) or unexpected(error)
    failure.__cause__ = error
    return failure


def as_store_error(error: BaseException) -> StoreError | None:
    """Return `error` as a failure of the store, or None when it is something else."""
    if isinstance(error, StoreError):
        return error
    if isinstance(error, sqlite3.Error):
        for word, reason, remedy in _REASONS:
            if word in str(error):
                kind = DamagedError if is_damage(error) else StoreError
                return kind(f"the store can't be used: {reason}", remedy=remedy)
        if is_damage(error):
            return DamagedError("the store can't be used: it is damaged")
        return StoreError(f"the store can't be used: {error}")
    psycopg = sys.modules.get("psycopg")  # an extra, and heavy: only a PostgreSQL store has imported it
    if psycopg is not None and isinstance(error, psycopg.Error):
        from chatcli.store.postgres.connection import as_postgres_error

        return as_postgres_error(error)
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES):
        return StoreError(f"the store can't be used: {error.strerror}", remedy="Free some space, or use --store.")
    return None


def refuse_foreign_tables(columns_of: Callable[[str], Iterable[tuple[str]]], where: str) -> None:
    """Raise StoreError if a table that LangGraph's store needs is another program's, by the columns of each."""
    for table, needed in _ITEM_TABLES.items():
        columns = {name for (name,) in columns_of(table)}
        if columns and not needed <= columns:
            raise StoreError(
                f"the graph's store can't be kept in {where}: another program has a table {table!r} there",
                remedy="Name another place with --store, or compile the graph with a store of its own.",
            )
