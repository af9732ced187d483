"""Stored threads as a whole: read, exported, imported and repaired without a conversation."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from chatcli.conversation.place import Place, granted
from chatcli.errors import UsageError
from chatcli.graphs.server.client import ServerAddress
from chatcli.store.location import StoreLocation

if TYPE_CHECKING:
    from chatcli.message import MessageShown
    from chatcli.roles.setup import Setup
    from chatcli.store.threads import ThreadSummary
    from chatcli.transfer.document import ThreadDocument


def repair_store(place: Place) -> list[str]:
    """Rebuild the index of the store; where the store is damaged, keep what can be read, and its old file beside it.

    Returns:
        A line for each thread that was damaged, and one that names the file that was kept.

    Raises:
        UsageError: `place` is no SQLite store.
        StoreError: The store can't be used; it is left as it was.

    """
    import asyncio

    from chatcli.store.errors import DamagedError
    from chatcli.store.open import open_store
    from chatcli.store.sqlite.repair import find_damage, forget_index, refuse_open

    if isinstance(place, ServerAddress) or place.path is None:
        raise UsageError("only a SQLite store can be repaired here", remedy="PostgreSQL has tools of its own.")
    path = place.path

    async def reopen() -> None:
        async with open_store(place):
            pass  # opening it makes the missing index

    if not path.exists():
        return []
    from chatcli.store.sqlite.damaged import has_unreadable
    from chatcli.transfer.rescue import rescue

    try:
        if not find_damage(path) and not has_unreadable(path):
            forget_index(path)
            asyncio.run(reopen())
            return []
    except DamagedError:
        pass
    refuse_open(path)
    return asyncio.run(rescue(path))


async def read_thread(place: Place, thread_id: str) -> "list[MessageShown]":
    """Return the questions and answers of the stored thread `thread_id`; needs no model.

    Raises:
        StoreError: The store can't be used.

    """
    from chatcli.sessions.history import as_shown

    if isinstance(place, ServerAddress):
        from chatcli.graphs.server.thread import messages_from_json
        from chatcli.graphs.server.threads import ServerThreads

        return as_shown(messages_from_json(ServerThreads(place).values(thread_id)))
    from chatcli.graphs.chat.ask_node import MODEL_NODE
    from chatcli.graphs.chat.graph import build_graph
    from chatcli.sessions.repair import recover_unless_running
    from chatcli.sessions.thread import GraphThread
    from chatcli.store.open import open_store

    async with open_store(place) as store:
        thread = GraphThread(build_graph(store.checkpointer), store.threads, thread_id, MODEL_NODE)
        unstored = await recover_unless_running(thread)
        return as_shown([*await thread.history(), *unstored])


async def read_thread_setup(location: StoreLocation, thread_id: str) -> "Setup | None":
    """Return how the stored thread `thread_id` is answered, None where nothing is stored of it.

    Raises:
        StoreError: The store can't be used.

    """
    from chatcli.graphs.chat.graph import build_graph, read_setup
    from chatcli.store.open import open_store

    async with open_store(location) as store:
        return await read_setup(build_graph(store.checkpointer), thread_id)


async def read_whole_thread(place: Place, summary: "ThreadSummary") -> "tuple[ThreadDocument, str]":
    """Return all that is stored of the thread that `summary` is of, or that can be read, and what is missing.

    Raises:
        StoreError: The store can't be used.

    """
    if isinstance(place, ServerAddress):
        from chatcli.conversation.server_engine import server_document
        from chatcli.graphs.server.threads import ServerThreads

        return server_document(ServerThreads(place), summary), ""
    from chatcli.graphs.chat.ask_node import MODEL_NODE
    from chatcli.graphs.chat.graph import build_graph
    from chatcli.sessions.repair import recover_unless_running
    from chatcli.sessions.thread import GraphThread
    from chatcli.store.errors import DamagedError
    from chatcli.store.open import open_store
    from chatcli.transfer.store_documents import read_document

    try:
        async with open_store(place) as store:
            graph = build_graph(store.checkpointer)
            thread = GraphThread(graph, store.threads, summary.thread_id, MODEL_NODE)
            unstored = await recover_unless_running(thread)
            document = await read_document(store, summary)
            return replace(document, messages=[*document.messages, *unstored]), ""
    except DamagedError as error:
        if place.path is None:
            raise
        from chatcli.transfer.rescue import read_damaged

        document, lost = read_damaged(place.path, summary.thread_id)
        return document, f"{error.message}; {lost} of its rows are missing here"


async def import_file(place: Place, path: Path) -> tuple[dict[str, str], str]:
    """Store the threads of the file at `path`.

    Returns:
        The ID of each by the one that it has in the file, and a line that names what was left out, "" for nothing.

    Raises:
        UsageError: Something is wrong with the file; nothing was stored.
        StoreError: The store can't be used; nothing was stored.

    """
    if isinstance(place, ServerAddress):
        raise UsageError(
            "threads are not imported into a LangGraph server: only its app knows how its states are made",
            remedy="Import them into a store here: --store sqlite:///PATH.",
        )
    from chatcli.store.open import open_store
    from chatcli.transfer.document import left_out_line
    from chatcli.transfer.read_file import read_documents
    from chatcli.transfer.store_documents import import_documents

    documents = read_documents(path)
    async with open_store(place) as store:
        ids = await import_documents(store, documents)
    for new_id in ids.values():  # of a thread that is long gone, perhaps
        granted(place, new_id).forget()
    return ids, left_out_line(documents)
