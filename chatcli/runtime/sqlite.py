"""Opens every SQLite file; none may make SQLite act on another file or run what chatcli did not write."""

# A file may come from anybody. SQLite acts on files beside it (https://sqlite.org/tempfiles.html): a rollback journal
# can name any file to delete, a log that is a link is written through. And a schema may hold expressions, triggers and
# views that run when a table is used.

import os
import re
import sqlite3
import stat
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import cache, lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

from chatcli.errors import StoreError

READ_STEPS = 4_000_000_000
"""The most steps of SQLite's virtual machine on a connection that reads: a minute and more, for ever is longer."""
_STEPS_AT_ONCE = 1_000_000
_PAGES = ("-wal", "-shm")
"""The ends of the names of files beside a database in which SQLite keeps pages and the index of these."""
_VERSION_AT = slice(60, 64)
"""Where the header has `user_version` (https://sqlite.org/fileformat2.html#database_header)."""
_TOKEN = re.compile(
    r"""--[^\n]*|/\*.*?(?:\*/|$)|\s+|('(?:[^']|'')*'|"(?:[^"]|"")*"|`(?:[^`]|``)*`|\[[^\]]*\]|[\w$]+|.)""", re.DOTALL
)
_EXPRESSIONS = {"check", "as", "generated"}
"""The words that begin an expression in CREATE TABLE, beside DEFAULT with a parenthesis."""
_NAME = re.compile(r"""[\w$]+|"(?:[^"]|"")*"|'(?:[^']|'')*'|`[^`]*`|\[[^\]]*\]""")

Tokens = tuple[str, ...]
Mode = Literal["rw", "ro", "ro&immutable=1"]
"""How a file is opened, in the words of SQLite's URIs."""
Check = Callable[[sqlite3.Connection, Path], None]
"""Refuses a database by raising an error, or makes its tables; the path is without links."""
Opener = Callable[[Path, Mode], sqlite3.Connection]
"""Opens a file by `connect`."""


class SideFileError(StoreError):
    """A file lies beside a database on which SQLite would act, and which chatcli did not write."""


class ForeignSchemaError(StoreError):
    """A database has something in its schema that chatcli did not write; nothing of it was run."""


def connect(
    file: Path, check: Check, *, mode: Mode = "rw", steps: int | None = None, **options: Any
) -> sqlite3.Connection:
    """Return a connection to the database in `file`, which has to exist; a link is followed.

    `check` is called before anybody else reads (`check_schema`). `steps` are the most that all queries may take
    together, None for any number. `options` are those of `sqlite3.connect`; without an isolation level there are no
    transactions but those that are begun.
    """
    target = check_side_files(file)
    name = str(target).replace("%", "%25").replace("?", "%3f").replace("#", "%23")
    options = {"isolation_level": None, **options}
    connection: sqlite3.Connection = sqlite3.connect(f"file:{name}?mode={mode}", uri=True, **options)
    try:
        # Switch off what nothing here needs and what a crafted file could use.
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute("PRAGMA cell_size_check = ON")
        connection.execute("PRAGMA mmap_size = 0")
        connection.execute("PRAGMA secure_delete = ON")  # many builds leave deleted text in the file
        if sys.version_info >= (3, 12):
            connection.setconfig(sqlite3.SQLITE_DBCONFIG_DEFENSIVE, True)
            connection.setconfig(sqlite3.SQLITE_DBCONFIG_ENABLE_VIEW, False)
        if steps is not None:
            left = iter(range(steps // _STEPS_AT_ONCE))
            connection.set_progress_handler(lambda: next(left, None) is None, _STEPS_AT_ONCE)
        check(connection, target)
    except BaseException:
        connection.close()
        raise
    return connection


def remove(file: Path) -> None:
    """Remove a database with its log; a process that has it open goes on with the removed files, and harms nothing."""
    for name in (f"{file.name}-journal", *(f"{file.name}{suffix}" for suffix in _PAGES), file.name):
        file.with_name(name).unlink(missing_ok=True)


def in_memory() -> sqlite3.Connection:
    """Return a connection to a new database in memory."""
    return sqlite3.connect(":memory:")


def unchecked(connection: sqlite3.Connection, file: Path) -> None:
    """Check nothing, as the `check` of `connect`: for a new file, or where no table of a file is used."""


def connect_as_possible(file: Path, version: int, opener: Opener) -> sqlite3.Connection:
    """Return a connection to the database in `file`, only for queries where nothing can be written."""
    # All that is committed is seen, also what is still in the log. `opener` opens the file or its copy, and reads: with
    # another `user_version` than `version`, a copy is brought up to date. Raises OSError where there is no room for it.
    if not is_read_only(file):
        return opener(file, "rw")
    connection = _connect_to_read(check_side_files(file), version, opener)
    connection.execute("PRAGMA query_only = ON")
    return connection


def _connect_to_read(target: Path, version: int, opener: Opener) -> sqlite3.Connection:
    with target.open("rb") as stream:
        is_current = int.from_bytes(stream.read(_VERSION_AT.stop)[_VERSION_AT]) == version
    log = Path(f"{target}-wal")
    if is_current and not log.exists():
        return opener(target, "ro&immutable=1")
    if is_current:
        with suppress(sqlite3.OperationalError):  # a log without its index can't be read where it is
            return opener(target, "ro")
    import shutil  # both for this rare case
    import tempfile

    with tempfile.TemporaryDirectory() as folder:  # an open file stays readable without a name
        copy = Path(folder).resolve() / target.name
        shutil.copyfile(target, copy)
        if log.exists():
            shutil.copyfile(log, f"{copy}-wal")
        return opener(copy, "rw")


def is_read_only(file: Path) -> bool:
    """Return whether the database in `file` is there, and can't be written, or nothing beside it."""
    target = Path(os.path.realpath(file))
    return target.exists() and not (os.access(target, os.W_OK) and os.access(target.parent, os.W_OK))


def check_side_files(file: Path) -> Path:
    """Return the path without links of the database in `file`."""
    # Refuse what is no file, or has a file beside it on which SQLite would act, and which chatcli did not write.
    target = Path(os.path.realpath(file))
    for name in dict.fromkeys((str(file.absolute()), str(target))):
        if _status(f"{name}-journal") is not None:
            raise SideFileError(
                f"the database {file} can't be used: a rollback journal lies beside it, which chatcli never writes",
                remedy=f"If you know what wrote it, open the database with that, or remove {name}-journal.",
            )
        for suffix in (*_PAGES, "-lock"):
            status = _status(name + suffix)
            if status is None:
                continue
            if not stat.S_ISREG(status.st_mode) or (suffix in _PAGES and status.st_nlink != 1):
                raise SideFileError(
                    f"the database {file} can't be used: {name}{suffix} is a link, or no file",
                    remedy="Copy the database and its -wal file to another folder, and use that.",
                )
    status = _status(str(target))
    if status is None:
        return target  # that there is none, SQLite says
    if not stat.S_ISREG(status.st_mode):
        raise StoreError(f"the database {file} can't be used: it is no file", remedy="Name another with --store.")
    log = _status(f"{target}-wal")
    if status.st_nlink > 1 and log is not None and log.st_size:  # another name's log, perhaps
        raise SideFileError(
            f"the database {file} can't be used: it has another name (a hard link), and a log of changes",
            remedy="Copy the database and its -wal file to another folder, and use that.",
        )
    return target


def _status(name: str) -> os.stat_result | None:
    try:
        found = os.lstat(name)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StoreError(f"the database can't be used: {error.strerror}: {name}") from error
    return found if found.st_nlink else None  # another process, the last one to use it, has just removed it


def check_schema(connection: sqlite3.Connection, file: Path, known: str) -> None:
    """Raise ForeignSchemaError unless the schema has only plain tables and indexes, and what is `known`."""
    for name, statement in connection.execute("SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL"):
        # Not by the row's type and name, which may lie: SQLite runs the statement.
        tokens = _tokens(statement) if isinstance(statement, str) else ()
        if not (_is_plain_table(tokens) or _is_plain_index(tokens) or tokens in _statements(known)):
            raise ForeignSchemaError(
                f"the database {file} can't be used: chatcli did not write {str(name)[:80]!r} in its schema"
            )


def plain_tables(connection: sqlite3.Connection) -> set[str]:
    """Return the names of the tables whose use runs no expression: reading them reads rows, and nothing else."""
    rows = connection.execute("SELECT name, sql FROM sqlite_schema WHERE type = 'table'").fetchall()
    tables = ((str(name), _tokens(sql)) for name, sql in rows if isinstance(sql, str))
    return {name for name, tokens in tables if _is_plain_table(tokens) and tokens[2].strip("'\"`[]") == name.lower()}


@cache
def _statements(known: str) -> frozenset[Tokens]:
    """Return the statements of the script `known`, as SQLite stores them in a schema."""
    script = known.replace("IF NOT EXISTS ", "")
    found: set[Tokens] = set()
    statement = ""
    for piece in re.split(r"(?<=;)", script):
        statement += piece
        if sqlite3.complete_statement(statement):
            found.add(_tokens(statement)[:-1])
            statement = ""
    return frozenset(found)


@lru_cache(maxsize=100)
def _tokens(statement: str) -> Tokens:
    """Return the words and signs of an SQL statement, without comments, in lower case but for strings."""
    found = (match.group(1) for match in _TOKEN.finditer(statement))
    return tuple(token if token[0] in "'\"" else token.lower() for token in found if token)


def _is_plain_table(tokens: Tokens) -> bool:
    if tokens[:2] != ("create", "table") or len(tokens) < 4 or not _NAME.fullmatch(tokens[2]) or tokens[3] != "(":
        return False
    return _EXPRESSIONS.isdisjoint(tokens[3:]) and ("default", "(") not in pairwise(tokens)


def _is_plain_index(tokens: Tokens) -> bool:
    match tokens:
        case ("create", "index", _, "on", _, "(", *rest) | ("create", "unique", "index", _, "on", _, "(", *rest):
            end = rest.index(")") if ")" in rest else 0
            names, condition = rest[:end], rest[end + 1 :]
            is_condition_plain = not condition or (condition[:1] + condition[2:] == ["where", "is", "not", "null"])
            return is_condition_plain and all(word == "," or _NAME.fullmatch(word) for word in names)
    return False
