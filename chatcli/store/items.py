"""LangGraph's store: the items that a graph keeps across threads, opened where the threads are when first used."""

import asyncio
import math
import sqlite3
import threading
import time
from array import array
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import cache, partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from weakref import WeakKeyDictionary

from langgraph.store.base import BaseStore, IndexConfig, Op, Result, TTLConfig

from chatcli.errors import ChatcliError, StoreError
from chatcli.runtime.files import lock_folder
from chatcli.runtime.parse import json_object
from chatcli.store.errors import DamagedError, as_store_error, refuse_foreign_tables
from chatcli.store.location import StoreLocation, postgres_extra
from chatcli.store.sqlite.staging import is_unmade, new_file
from chatcli.store.sqlite.threads import BUSY_TIMEOUT, open_file

if TYPE_CHECKING:
    from langgraph.store.sqlite import SqliteStore

SWEEP_INTERVAL = 60.0
"""Minutes between two removals of expired items where the project says nothing."""
_RETRY_INTERVAL = 0.02
"""Seconds between two tries of what another process's write kept from the store."""
_PRIMARY_CODE = 0xFF
"""The bits of SQLite's extended error codes that name the kind of error (https://www.sqlite.org/rescode.html)."""
_IN_MEMORY: WeakKeyDictionary[object, BaseStore] = WeakKeyDictionary()
"""The store in memory of each checkpointer."""


@dataclass(frozen=True, slots=True)
class ItemOptions:
    """A project's wishes for its store; `report` takes a line on each that can't be had, `index` may return None."""

    index: Callable[[], IndexConfig | None] | None = None
    ttl: TTLConfig | None = None
    report: Callable[[str], None] = field(default=lambda line: None)


class ItemStore(BaseStore):
    """LangGraph's store at `location`, opened when a graph first uses it."""

    # Every call may block, and runs in a thread where the caller awaits it. So nodes may use it either way. In memory,
    # all those of the same `checkpointer` have the same items.
    def __init__(self, location: StoreLocation, options: ItemOptions, checkpointer: object) -> None:
        self.supports_ttl = not location.in_memory
        self.ttl_config = None if location.in_memory else options.ttl
        self._open = partial(_open_items, location, options, checkpointer)
        self._resources = ExitStack()
        self._opened: BaseStore | None = None
        self._swept = 0.0
        self._one_at_a_time = threading.RLock()

    def batch(self, ops: Iterable[Op]) -> list[Result]:
        """Run the operations; raise StoreError where the store can't be used."""
        ops = list(ops)
        give_up = time.monotonic() + BUSY_TIMEOUT
        with self._one_at_a_time:
            while True:
                try:
                    return self._ready().batch(ops)
                except Exception as error:
                    if (failure := _as_store_failure(error)) is None:
                        raise
                    self.close()  # a transaction may be open; the next call begins with a new connection
                    # SQLite does not wait where a transaction has read before it writes, as LangGraph's do.
                    codes = [getattr(link, "sqlite_errorcode", 0) & _PRIMARY_CODE for link in _chain(error)]
                    if sqlite3.SQLITE_BUSY not in codes or time.monotonic() > give_up:
                        raise failure from error
                    time.sleep(_RETRY_INTERVAL)

    async def abatch(self, ops: Iterable[Op]) -> list[Result]:
        """Run the operations in a thread."""
        return await asyncio.to_thread(self.batch, list(ops))

    def close(self) -> None:
        """Close the store; the next call opens it again."""
        with self._one_at_a_time:
            if self._opened is not None:
                self._opened = None
                self._resources.close()

    def _ready(self) -> BaseStore:
        if self._opened is None:
            self._opened = self._resources.enter_context(self._open())
            self._swept = 0.0
        if self.ttl_config is not None:
            interval = 60 * float(self.ttl_config.get("sweep_interval_minutes") or SWEEP_INTERVAL)
            if not self._swept or time.monotonic() - self._swept > interval:
                self._opened.sweep_ttl()  # type: ignore[attr-defined]  # both that keep items longer have it
                self._swept = time.monotonic()
        return self._opened


def _open_items(
    location: StoreLocation, options: ItemOptions, checkpointer: object
) -> AbstractContextManager[BaseStore]:
    if location.in_memory and checkpointer in _IN_MEMORY:
        return nullcontext(_IN_MEMORY[checkpointer])
    index = options.index() if options.index is not None else None
    if location.uri is not None:
        with postgres_extra():
            from chatcli.store.postgres.items import open_postgres_items
        return open_postgres_items(location.uri, index, options.ttl, options.report)
    if location.path is not None:
        return open_sqlite_items(location.path, index, options.ttl)
    from langgraph.store.memory import InMemoryStore

    _IN_MEMORY[checkpointer] = InMemoryStore(index=index)
    return nullcontext(_IN_MEMORY[checkpointer])


@contextmanager
def open_sqlite_items(
    path: Path, index: IndexConfig | None = None, ttl: TTLConfig | None = None
) -> Iterator["SqliteStore"]:
    """Yield LangGraph's store in the file at `path`; tables that are missing are made."""
    from langgraph.store.sqlite import SqliteStore

    if is_unmade(path):
        with new_file(path):
            pass  # the checkpointer makes its tables in it
    with closing(open_file(path, check_same_thread=False, isolation_level=None)) as connection:
        query = "SELECT name FROM pragma_table_info(?)"
        refuse_foreign_tables(lambda table: connection.execute(query, [table]), str(path))
        # It passes everything else on, so that it does for a connection.
        like_connection = cast("sqlite3.Connection", _WithCosines(connection))
        store = SqliteStore(like_connection, deserializer=_read_value, index=index, ttl=ttl)
        with lock_folder(path.parent):
            store.setup()
        yield store


class _WithCosines:
    """`connection`, with a function of ours in place of sqlite-vec's, which LangGraph's store loads as an extension.

    Not every SQLite can load one, and one that can runs foreign code.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        connection.create_function("vec_distance_cosine", 2, cosine_distance, deterministic=True)
        self._connection = connection

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def enable_load_extension(self, enabled: bool) -> None:
        """Do nothing: no extension is loaded."""

    def load_extension(self, path: str) -> None:
        """Do nothing: the function is there."""


def cosine_distance(stored: bytes, asked: bytes) -> float | None:
    """Return the distance of two vectors of 32-bit numbers; None if they are of different models."""
    # 100,000 vectors of 384 numbers take 0.5 s with numpy, and 3 s without.
    if len(stored) != len(asked):
        return None
    if _has_numpy():
        import numpy as np

        one, other = np.frombuffer(stored, np.float32), np.frombuffer(asked, np.float32)
        lengths, product = math.sqrt(float(one @ one) * float(other @ other)), float(one @ other)
    else:
        first, second = array("f", stored), array("f", asked)
        squares = math.hypot(*first) ** 2, math.hypot(*second) ** 2
        lengths, product = math.sqrt(squares[0] * squares[1]), (sum(squares) - math.dist(first, second) ** 2) / 2
    return 1 - product / lengths if lengths else 1.0


@cache
def _has_numpy() -> bool:
    return find_spec("numpy") is not None


def _read_value(stored: Any) -> dict[str, Any]:
    value = json_object(stored)
    if value is None:
        raise DamagedError("an item of the graph's store can't be read")
    return value


def _as_store_failure(error: BaseException) -> StoreError | None:
    """Return the error to show for a failure of the store itself; None for a graph's own mistake."""
    # LangGraph commits also after a failure, so the first error of the chain is the one that counts.
    failure: StoreError | None = None
    for link in _chain(error):
        if isinstance(link, ChatcliError):
            return link if isinstance(link, StoreError) else None
        failure = as_store_error(link) or failure
    return failure


def _chain(error: BaseException) -> Iterator[BaseException]:
    link: BaseException | None = error
    while link is not None:
        yield link
        link = link.__context__
