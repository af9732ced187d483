"""The place of a run's threads: a store, or a LangGraph server. It is chosen once, and handed on."""

import re
from pathlib import Path
from typing import TYPE_CHECKING

from chatcli import paths
from chatcli.config.settings import PLAIN_CHAT, Settings
from chatcli.errors import UsageError
from chatcli.graphs.server.client import ServerAddress
from chatcli.store.location import MEMORY, POSTGRES, SQLITE, StoreLocation, postgres_extra

if TYPE_CHECKING:
    from chatcli.config.grants import Grants
    from chatcli.store.threads import Threads

Place = StoreLocation | ServerAddress
"""Where threads are kept."""
_LOCAL_OPTIONS = ("store", "no_save", "model", "base_url", "graph")
"""Options that choose another place than a server."""


def open_threads(place: Place) -> "Threads":
    """Return the threads of `place`, without what it takes to run a turn.

    Raises:
        UsageError: It is a store in memory: this process has just started, so it has no threads. Or what the store
            needs is not installed.

    """
    if isinstance(place, ServerAddress):
        from chatcli.graphs.server.threads import ServerThreads

        return ServerThreads(place)
    if place.uri is not None:
        with postgres_extra():
            from chatcli.store.postgres.threads import PostgresThreads
        return PostgresThreads(place.uri)
    if place.path is None:
        raise UsageError("a store in memory keeps no threads", remedy="Name another with --store sqlite:///PATH.")
    from chatcli.store.sqlite.threads import SqliteThreads

    return SqliteThreads(place.path)


def keeps_threads(place: Place) -> bool:
    """Return whether the threads of `place` outlive this process."""
    return isinstance(place, ServerAddress) or not place.in_memory


def choose_place(settings: Settings) -> Place:
    """Return the server or the store that the user chose, else the default store in the data folder.

    Raises:
        UsageError: An option has no effect on a server, or the store's URI is of no known kind or can't be read.

    """
    return choose_server(settings) or _choose_store(settings)


def choose_server(settings: Settings) -> ServerAddress | None:
    """Return the LangGraph server that the user chose; None when turns run here.

    An option for turns here overrides a server that the environment or the config file names.

    Raises:
        UsageError: An option has no effect on a server.

    """
    local = any(map(settings.is_option, _LOCAL_OPTIONS))
    if settings.url is None or (local and not settings.is_option("url")):
        return None
    settings.refuse_options((*_LOCAL_OPTIONS, *PLAIN_CHAT), "a LangGraph server, whose app has its own")
    return ServerAddress(settings.url, settings.langgraph_api_key, settings.assistant)


def granted(place: Place, thread_id: str) -> "Grants":
    """Return what the user granted the thread `thread_id` of `place`."""
    from chatcli.config.grants import Grants

    return Grants(f"langgraph {place.shown}" if isinstance(place, ServerAddress) else place.key, thread_id)


def _choose_store(settings: Settings) -> StoreLocation:
    if settings.no_save or settings.store == MEMORY:
        return StoreLocation()
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
