"""The backend of a run: where its threads are kept and what runs their turns. It is chosen once, and handed on.

This module is light; what a backend needs to read a thread or to run a turn is imported when a method is called.
"""

import re
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

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
    from chatcli.message import Excerpt, MessageShown
    from chatcli.roles import Setup
    from chatcli.sessions.history import Turn
    from chatcli.store.threads import Threads, ThreadSummary
    from chatcli.transfer.document import ThreadDocument

_LOCAL_OPTIONS = ("store", "no_save", "model", "base_url", "graph")
"""Options that choose another backend than a server."""


class ThreadReader(Protocol):
    """Reads the threads of a backend without what it takes to run a turn."""

    async def messages(self, thread_id: str) -> "list[MessageShown]":
        """Return the questions and answers of a stored thread; this needs no model."""

    async def state(self, thread_id: str) -> dict[str, Any]:
        """Return the state of a stored thread without its messages; this needs no graph."""

    async def setup(self, thread_id: str) -> "Setup | None":
        """Return how a stored thread of the plain chat is answered; None where nothing is stored of it."""

    async def tree(self, thread_id: str) -> "tuple[list[Turn], dict[int, Excerpt]]":
        """Return the turns of a stored thread, on all branches, and what is said in them by number.

        A server tells only what is said on the current branch.
        """

    async def document(self, summary: "ThreadSummary") -> "tuple[ThreadDocument, str]":
        """Return all that can be read of the thread of `summary`, and a text about what is missing."""

    async def import_file(self, path: Path) -> tuple[dict[str, str], str]:
        """Store the threads of the file at `path`, all or none.

        Return the new ID of each thread by its ID in the file, and a line that names what was left out, "" for nothing.
        """


class Backend(Protocol):
    """Where threads are kept and what runs their turns: a store of this machine, or a LangGraph server.

    What reads or writes threads raises `StoreError`, or another `ChatcliError`, where the backend can't be used.
    """

    @property
    def runs_here(self) -> bool:
        """Whether turns run in this process, with a model or a graph that the user chooses."""

    @property
    def keeps_threads(self) -> bool:
        """Whether threads outlive this process."""

    @property
    def store_uri(self) -> str | None:
        """The URI of its store; None for a server, which has its own."""

    @property
    def size(self) -> int:
        """The bytes that a store's file takes; 0 where there is no file."""

    def threads(self) -> "Threads":
        """Return the threads, without what it takes to run a turn; refuse a store in memory, which has none yet."""

    def grants(self, thread_id: str) -> Grants:
        """Return the user's grants of the thread `thread_id`."""

    async def open_engine(self, composed: "Composition", announce: "Announce") -> "Engine":
        """Open what runs turns; it reports progress and notices through `announce`, from any thread."""

    def check(self) -> str:
        """Use the backend once, and return a line about it for `chat doctor`."""

    def repair(self) -> list[str]:
        """Rebuild the index of the store; keep what can be read of a damaged one, and its old file next to it.

        Return a line for each damaged thread, and one that names the file that was kept.
        """

    def reader(self) -> ThreadReader:
        """Return the reader of its stored threads, which can also import some."""


@dataclass(frozen=True)
class LocalBackend:
    """A store, in a file, in PostgreSQL or in memory; turns run in this process."""

    location: StoreLocation
    runs_here = True

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
        """Return the threads of the store."""
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
        """Rebuild the index of the store, or rescue what can be read of it."""
        if self.location.path is None:
            raise UsageError("only a SQLite store can be repaired here", remedy="PostgreSQL has its own tools.")
        if not self.location.path.exists():
            return []
        from chatcli.conversation.store_threads import repair

        return repair(self.location.path)

    def reader(self) -> ThreadReader:
        """Return the reader of the store."""
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

    def reader(self) -> ThreadReader:
        """Return the reader of the threads on the server."""
        from chatcli.conversation.server_engine import ServerReader

        return ServerReader(self.server)


def choose_backend(settings: Settings, *, shared: bool = False) -> Backend:
    """Return the server or the store that the user chose, else the default store in the data folder.

    An option for turns here overrides a server that the environment or the config file names. A store in memory that is
    `shared` is the same for all that ask for one in this process.
    """
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
    from chatcli.ranking.semantic import forget_vectors  # late: it imports sqlite3

    with ExitStack() as held:
        for thread_id in thread_ids:
            if not threads.locks.try_lock(thread_id):
                raise StoreError(
                    f"another chat is answering on thread {thread_id!r}; nothing was deleted",
                    remedy="Try again when it is done.",
                )
            held.callback(threads.locks.unlock, thread_id)
        threads.delete(thread_ids)
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
