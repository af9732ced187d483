"""The backend of a run: where its threads are kept and what runs their turns. It is chosen once, and handed on."""

# This module is light; what a backend needs to read a thread or to run a turn is imported when a method is called.

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from chatcli import paths
from chatcli.config.grants import Grants
from chatcli.config.settings import PLAIN_CHAT, Settings
from chatcli.errors import StoreError, UsageError
from chatcli.graphs.server.client import SERVER, ServerAddress, assistants, check_server
from chatcli.runtime.addresses import open_key_warning
from chatcli.store.location import MEMORY, POSTGRES, SQLITE, StoreLocation, postgres_extra

if TYPE_CHECKING:
    from chatcli.conversation.compose import Composition
    from chatcli.conversation.engine import Announce, Engine
    from chatcli.conversation.server_engine import ServerReader
    from chatcli.conversation.store_threads import StoreReader
    from chatcli.store.threads import Threads

_LOCAL_OPTIONS = ("store", "no_save", "model", "base_url", "graph")
"""Options that choose another backend than a server."""


@dataclass(frozen=True)
class LocalBackend:
    """A store, in a file, in PostgreSQL or in memory; turns run in this process.

    What reads or writes threads raises `StoreError`, or another `ChatcliError`, where the backend can't be used.
    """

    location: StoreLocation
    runs_here = True
    """Whether turns run in this process, with a model or a graph that the user chooses."""

    @property
    def keeps_threads(self) -> bool:
        """Whether threads outlive this process."""
        return not self.location.in_memory

    @property
    def store_uri(self) -> str | None:
        """The URI of the store."""
        if self.location.in_memory:
            return MEMORY
        return self.location.uri if self.location.path is None else f"{SQLITE}{self.location.path.absolute()}"

    @property
    def size(self) -> int:
        """The bytes that the store's file takes; 0 where there is none."""
        path = self.location.path
        return path.stat().st_size if path is not None and path.exists() else 0

    def threads(self) -> "Threads":
        """Return the threads, without what it takes to run a turn; refuse a store in memory, which has none yet."""
        if self.location.uri is not None:
            with postgres_extra():
                from chatcli.store.postgres.threads import PostgresThreads
            return PostgresThreads(self.location.uri)
        if self.location.path is None:
            raise UsageError("a store in memory keeps no threads", remedy="Name another with --store sqlite:///PATH.")
        from chatcli.store.sqlite.threads import SqliteThreads

        return SqliteThreads(self.location.path)

    def grants(self, thread_id: str) -> Grants:
        """Return the user's grants of the thread `thread_id`."""
        return Grants(self.location.key, thread_id)

    async def open_engine(self, composed: "Composition", announce: "Announce") -> "Engine":
        """Open the store, and the engine of the user's graph or of the plain chat."""
        # It reports progress and notices through `announce`, from any thread.
        from chatcli.conversation.engine import import_engine

        if composed.graph is not None:
            await import_engine("user_graph_engine", quiet=False)  # the graph's own log is shown
            from chatcli.conversation.user_graph_engine import GraphEngine

            return await GraphEngine.open(self, composed, announce)
        await import_engine("chat_engine", quiet=not composed.embedded)
        from chatcli.conversation.chat_engine import ChatEngine

        return await ChatEngine.open(self, composed, announce)

    def check(self) -> str:
        """Open the store, and return where it is and how many threads it has."""
        path = self.location.path
        if not self.keeps_threads:
            return "in memory: nothing is stored"
        if path is None:
            return f"a PostgreSQL server, {len(self.threads().recent())} threads"
        if not path.exists():
            return f"{path} is created with the first turn"
        from chatcli.store.errors import REPAIR
        from chatcli.store.sqlite.repair import find_damage

        if damage := find_damage(path):
            raise StoreError(f"{path} is damaged: {damage}", remedy=REPAIR)
        return f"{path}, {self.size:,} bytes, {len(self.threads().recent())} threads"

    def repair(self) -> list[str]:
        """Rebuild the index of the store; keep what can be read of a damaged one, and its old file next to it.

        Return a line for each damaged thread, and one that names the file that was kept.
        """
        if self.location.path is None:
            raise UsageError("only a SQLite store can be repaired here", remedy="PostgreSQL has its own tools.")
        if not self.location.path.exists():
            return []
        from chatcli.conversation.store_threads import repair

        return repair(self.location.path)

    def reader(self) -> "StoreReader":
        """Return the reader of its stored threads, which can also import some; it needs no model and no graph."""
        from chatcli.conversation.store_threads import StoreReader

        return StoreReader(self.location)


@dataclass(frozen=True)
class ServerBackend:
    """A LangGraph server, whose app answers, and which keeps the threads."""

    server: ServerAddress
    runs_here = False
    keeps_threads = True
    store_uri = None
    size = 0

    def threads(self) -> "Threads":
        """Return the threads on the server."""
        from chatcli.graphs.server.threads import ServerThreads

        return ServerThreads(self.server)

    def grants(self, thread_id: str) -> Grants:
        """Return the user's grants of the thread `thread_id`."""
        return Grants(f"{SERVER} {self.server.shown}", thread_id)

    async def open_engine(self, composed: "Composition", announce: "Announce") -> "Engine":
        """Connect to the server, and find its assistants."""
        from chatcli.conversation.engine import import_engine

        await import_engine("server_engine", quiet=True)
        from chatcli.conversation.server_engine import ServerEngine

        if self.server.key is not None and (warning := open_key_warning(self.server.url)):
            from chatcli.events import Notice  # which the first prompt does without

            announce(Notice(warning, "warning", urgent=True))
        return await ServerEngine.open(self, composed)

    def check(self) -> str:
        """Ask the server for its assistants, and return their names."""
        check_server(self.server)
        names = [str(assistant["name"]) for assistant in assistants(self.server)]
        return f"{self.server.shown} answers; its assistants: {', '.join(names)}"

    def repair(self) -> list[str]:
        """Refuse: the server has its own tools."""
        raise UsageError("only a SQLite store can be repaired here", remedy="A LangGraph server has its own tools.")

    def reader(self) -> "ServerReader":
        """Return the reader of the threads on the server."""
        from chatcli.conversation.server_engine import ServerReader

        return ServerReader(self.server)


Backend = LocalBackend | ServerBackend
"""Where threads are kept and what runs their turns. Nobody asks which it is: both have the same methods."""


def choose_backend(settings: Settings, *, shared: bool = False) -> Backend:
    """Return the server or the store that the user chose, else the default store in the data folder."""
    # An option for turns here overrides a server that the environment or the config file names. A store in memory that
    # is `shared` is the same for all that ask for one in this process.
    local = any(map(settings.is_option, _LOCAL_OPTIONS))
    if settings.url is None or (local and not settings.is_option("url")):
        settings.refuse_options(("header",), "a store on this machine: it is for a server", "Give --url.")
        return LocalBackend(_choose_store(settings, shared))
    settings.refuse_options((*_LOCAL_OPTIONS, *PLAIN_CHAT), "a LangGraph server, whose app has its own")
    return ServerBackend(
        ServerAddress(settings.url, settings.langgraph_api_key, settings.assistant, tuple(settings.header.items()))
    )


def delete_threads(backend: Backend, threads: "Threads", thread_ids: Sequence[str]) -> None:
    """Delete the threads, and what was kept because of them; refuse where another process runs a turn on one."""
    from chatcli.ranking.vectors import forget_vectors  # late: it imports sqlite3
    from chatcli.store.threads import delete_threads as delete_unless_running

    delete_unless_running(threads, thread_ids)
    forget_vectors()
    for thread_id in thread_ids:
        backend.grants(thread_id).forget()


def _choose_store(settings: Settings, shared: bool) -> StoreLocation:
    if settings.no_save or settings.store == MEMORY:
        return StoreLocation(shared=shared)
    if settings.store is None:
        return StoreLocation(paths.data_dir() / "threads.db")
    if settings.store.startswith(SQLITE):
        return StoreLocation(Path(settings.store.removeprefix(SQLITE)).expanduser())
    if settings.store.startswith(POSTGRES):
        return StoreLocation(uri=_checked(settings.store))
    raise UsageError(
        f"unknown store {settings.store.split(':')[0]!r}",
        remedy="Known stores: sqlite:///PATH, postgresql://USER@HOST/DATABASE and memory:.",
    )


def _checked(uri: str) -> str:
    """Return `uri`, unless a stray character of its password could be taken for the host, which messages name."""
    authority = re.split(r"[/?#]", uri.partition("://")[2], maxsplit=1)[0]
    if uri.count("@") > ("@" in authority):
        raise UsageError(
            "the store's PostgreSQL URI can't be read",
            remedy="Percent-encode the special characters in its password: @ is %40, / is %2F, # is %23, ? is %3F.",
        )
    return uri
