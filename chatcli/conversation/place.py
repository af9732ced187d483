"""Where the threads of a run are kept: in a store, or on a LangGraph server."""

import re
from pathlib import Path
from typing import TYPE_CHECKING

from chatcli import paths
from chatcli.config.settings import PLAIN_CHAT, Settings
from chatcli.errors import UsageError

if TYPE_CHECKING:
    from chatcli.config.grants import Grants
    from chatcli.graphs.server.client import ServerAddress
    from chatcli.store.threads import Threads
from chatcli.store.location import MEMORY, POSTGRES, SQLITE, StoreLocation, postgres_extra

_LOCAL_OPTIONS = ("store", "no_save", "model", "base_url", "graph")
"""Options that say where else turns are run and kept."""


def open_threads(location: StoreLocation) -> "Threads":
    """Return the threads of the store at `location`, without what it takes to run a turn.

    Raises:
        UsageError: The store is in memory: this process has just begun, so it has no threads. Or what it needs is not
            installed.

    """
    if location.server is not None:
        from chatcli.graphs.server.threads import ServerThreads

        return ServerThreads(location.server)
    if location.uri is not None:
        with postgres_extra():
            from chatcli.store.postgres.threads import PostgresThreads
        return PostgresThreads(location.uri)
    if location.path is None:
        raise UsageError("a store in memory keeps no threads", remedy="Name another with --store sqlite:///PATH.")
    from chatcli.store.sqlite.threads import SqliteThreads

    return SqliteThreads(location.path)


def choose_server(settings: Settings) -> "ServerAddress | None":
    """Return the LangGraph server that the user chose; None when turns run here.

    An option that is for turns here goes before a server that the environment or the config file names.

    Raises:
        UsageError: An option has no effect on a server.

    """
    options = [name for name in _LOCAL_OPTIONS if settings.is_option(name)]
    if settings.url is None or (options and not settings.is_option("url")):
        return None
    options += [name for name in PLAIN_CHAT if settings.is_option(name)]
    if options:
        option = options[0].removesuffix("_file").replace("_", "-")
        raise UsageError(
            f"--{option} has no effect on a LangGraph server, whose app has its own", remedy="Leave it out."
        )
    from chatcli.graphs.server.client import ServerAddress

    return ServerAddress(settings.url, settings.langgraph_api_key, settings.assistant)


def choose_store(settings: Settings) -> StoreLocation:
    """Return the store that the user chose, else the default one in the data folder.

    Raises:
        UsageError: The URI is of no known kind, or can't be read.

    """
    if (server := choose_server(settings)) is not None:
        return StoreLocation(server=server)
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


def granted(settings: Settings, thread_id: str) -> "Grants":
    """Return what the user granted the thread `thread_id` of the store that they chose."""
    from chatcli.config.grants import Grants

    return Grants(choose_store(settings).key, thread_id)


def _checked(uri: str) -> str:
    """Return `uri`, unless a stray character of its password could be taken for the host, which messages name."""
    authority = re.split(r"[/?#]", uri.partition("://")[2], maxsplit=1)[0]
    if uri.count("@") > ("@" in authority):
        raise UsageError(
            "the store's PostgreSQL URI can't be read",
            remedy="Percent-encode the special characters in its password: @ is %40, / is %2F, # is %23, ? is %3F.",
        )
    return uri
