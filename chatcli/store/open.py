"""Opens the store that a location names: its checkpointer and its threads."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import cache, partial

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.memory import InMemorySaver

from chatcli.errors import UsageError
from chatcli.store.location import StoreLocation, postgres_extra
from chatcli.store.saver_threads import ForeignThreads, MemoryThreads
from chatcli.store.serde import CompressedSerializer
from chatcli.store.sqlite.open import open_sqlite, staged_sqlite
from chatcli.store.threads import Threads


@dataclass(frozen=True, slots=True)
class Store:
    """An open store: its checkpointer, its threads, and `staging`, whose threads come in when the block ends well."""

    checkpointer: BaseCheckpointSaver[str]
    threads: Threads
    staging: Callable[[], AbstractAsyncContextManager[BaseCheckpointSaver[str]]]


@asynccontextmanager
async def open_store(location: StoreLocation) -> AsyncIterator[Store]:
    """Yield the store at `location`; a new one is readable by the user alone, one that is damaged stays as it was."""
    if location.uri is not None:
        with postgres_extra():
            from chatcli.store.postgres.saver import open_postgres, staged_postgres
        async with open_postgres(location.uri) as (postgres, known):
            yield Store(postgres, known, partial(staged_postgres, location.uri))
        return
    if location.path is None:
        yield _shared_memory() if location.shared else _in_memory()
        return
    async with open_sqlite(location.path) as (sqlite, threads):
        yield Store(sqlite, threads, partial(staged_sqlite, location.path))


def _in_memory() -> Store:
    saver = InMemorySaver(serde=CompressedSerializer())
    return Store(saver, threads := MemoryThreads(saver), partial(_staging_in_memory, threads))


_shared_memory = cache(_in_memory)


def foreign_store(saver: BaseCheckpointSaver[str]) -> Store:
    """Return `saver`, which the graph that it belongs to opens and closes, as a store."""
    threads = MemoryThreads(saver) if isinstance(saver, InMemorySaver) else ForeignThreads(saver)
    return Store(saver, threads, _no_staging)


def _no_staging() -> AbstractAsyncContextManager[BaseCheckpointSaver[str]]:
    raise UsageError("nothing can be imported into a graph's own checkpointer")


@asynccontextmanager
async def _staging_in_memory(threads: MemoryThreads) -> AsyncIterator[BaseCheckpointSaver[str]]:
    saver = InMemorySaver(serde=CompressedSerializer())
    yield saver
    threads.adopt(MemoryThreads(saver))
