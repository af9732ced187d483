"""The cache of vectors: what the sentence model made of texts, by their hashes.

It is a file of this machine, shared by all searches. No text is in it, but a vector says what a text is about: it goes
after DAYS, and all of them go when threads are deleted or documents forgotten.
"""

import hashlib
import json
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from chatcli import paths
from chatcli.errors import StoreError
from chatcli.runtime.files import lock_folder
from chatcli.runtime.sqlite import ForeignSchemaError, check_schema, connect, remove

MOST, DAYS = 20_000, 30
"""How many vectors are kept, of 768 bytes each, and for how long."""
_VERSION = 1
"""Changes with the table, with the model, and with how much of a text the model reads."""
_TABLE = "CREATE TABLE vectors (hash TEXT PRIMARY KEY, vector BLOB NOT NULL, written INTEGER NOT NULL)"
_INDEX = "CREATE INDEX vectors_by_age ON vectors (written)"


def key_of(text: str) -> str:
    """Return the hash under which the vector of `text` is kept."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def read_vectors(keys: Sequence[str]) -> dict[str, bytes]:
    """Return the vectors that are kept of `keys`; none where the file can't be used."""
    query = "SELECT hash, vector FROM vectors WHERE hash IN (SELECT value FROM json_each(?))"
    found: dict[str, bytes] = {}
    with _without_failure(), _opened() as db:
        found.update(db.execute(query, (json.dumps(keys),)))
    return found


def add_vectors(vectors: Mapping[str, bytes]) -> None:
    """Keep `vectors`, and drop the oldest ones above MOST; nothing is kept where the file can't be used."""
    now = int(time.time())
    with _without_failure(), _opened() as db:
        rows = [(key, vector, now) for key, vector in vectors.items()]
        db.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?, ?)", rows)
        oldest = "SELECT hash FROM vectors ORDER BY written DESC LIMIT -1 OFFSET ?"
        db.execute(f"DELETE FROM vectors WHERE hash IN ({oldest})", (MOST,))  # noqa: S608 - a constant


def forget_vectors() -> None:
    """Remove the file, if there is one. Raises `StoreError` if it can't be removed."""
    file = _file()
    try:
        if file.exists():
            with lock_folder(file.parent):
                remove(file)
    except OSError as error:
        raise StoreError(
            f"the cache of vectors can't be removed: {error.strerror}: {file}", remedy="Remove the file."
        ) from error


def _file() -> Path:
    return paths.cache_dir() / "vectors" / "vectors.db"


@contextmanager
def _without_failure() -> Iterator[None]:
    """Leave the block where the file can't be used; a damaged one is removed, and so is a full disk's."""
    try:
        yield
    except (sqlite3.Error, OSError):
        with suppress(StoreError):
            forget_vectors()


@contextmanager
def _opened() -> Iterator[sqlite3.Connection]:
    """Yield the file's database in a transaction, while no other process has it; vectors that are too old are gone."""
    file = _file()
    with lock_folder(paths.private_dir(file.parent)):
        try:
            db = _connect(file)
        except (sqlite3.DatabaseError, StoreError):  # damaged, of another version, or left by a kill
            remove(file)
            db = _connect(file)
        with closing(db), db:
            db.execute("DELETE FROM vectors WHERE written < ?", (int(time.time()) - DAYS * 86_400,))
            yield db


def _connect(file: Path) -> sqlite3.Connection:
    file.touch(mode=0o600)
    return connect(file, _prepare, timeout=0, isolation_level="IMMEDIATE")


def _prepare(db: sqlite3.Connection, file: Path) -> None:
    """Make the table in a new file; raise ForeignSchemaError for that of another version."""
    check_schema(db, file, "")
    db.execute("PRAGMA secure_delete = ON")
    if db.execute("SELECT 1 FROM sqlite_schema").fetchone() is None:
        db.executescript(f"BEGIN; {_TABLE}; {_INDEX}; PRAGMA user_version = {_VERSION}; COMMIT")
    if db.execute("PRAGMA user_version").fetchone() != (_VERSION,):
        raise ForeignSchemaError(f"the cache of vectors {file} is of another version")
