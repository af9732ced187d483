"""Stored threads as a whole: read, exported, imported and repaired without a conversation.

This module is light; what it needs to work on a store or a server is imported when a function is called.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from chatcli.conversation.place import Place, granted
from chatcli.errors import UsageError
from chatcli.graphs.server.client import ServerAddress

if TYPE_CHECKING:
    from chatcli.events import Said
    from chatcli.message import MessageShown
    from chatcli.sessions.history import Turn
    from chatcli.store.threads import ThreadSummary
    from chatcli.transfer.document import ThreadDocument


def repair_store(place: Place) -> list[str]:
    """Rebuild the index of the store. Where the store is damaged, keep what can be read, and its old file next to it.

    Returns:
        A line for each damaged thread, and one that names the file that was kept.

    Raises:
        UsageError: `place` is no SQLite store.
        StoreError: The store can't be used; it is left as it was.

    """
    if isinstance(place, ServerAddress) or place.path is None:
        raise UsageError("only a SQLite store can be repaired here", remedy="PostgreSQL has its own tools.")
    if not place.path.exists():
        return []
    from chatcli.conversation.store_threads import repair

    return repair(place.path)


async def read_thread(place: Place, thread_id: str) -> "list[MessageShown]":
    """Return the questions and answers of the stored thread `thread_id`; this needs no model.

    Raises:
        StoreError: The store can't be used.

    """
    if isinstance(place, ServerAddress):
        from chatcli.conversation.server_engine import server_messages

        return server_messages(place, thread_id)
    from chatcli.conversation.store_threads import read_messages

    return await read_messages(place, thread_id)


async def read_state(place: Place, thread_id: str) -> dict[str, Any]:
    """Return what the state of the stored thread `thread_id` has beside the messages; this needs no graph.

    Raises:
        StoreError: The store can't be used.

    """
    if isinstance(place, ServerAddress):
        from chatcli.conversation.server_engine import server_state

        return server_state(place, thread_id)
    from chatcli.conversation.store_threads import read_values

    return await read_values(place, thread_id)


async def read_tree(place: Place, thread_id: str) -> "tuple[list[Turn], dict[int, Said]]":
    """Return the turns of the stored thread `thread_id`, on all branches, and what is said in them by number.

    Of a thread on a server, only what is said on the current branch.

    Raises:
        StoreError: The store can't be used.

    """
    if isinstance(place, ServerAddress):
        from chatcli.conversation.server_engine import server_tree

        return server_tree(place, thread_id)
    from chatcli.conversation.store_threads import read_tree as read

    return await read(place, thread_id)


async def read_whole_thread(place: Place, summary: "ThreadSummary") -> "tuple[ThreadDocument, str]":
    """Return all that is stored of the thread of `summary`, or all that can be read, and a text about what is missing.

    Raises:
        StoreError: The store can't be used.

    """
    if isinstance(place, ServerAddress):
        from chatcli.conversation.server_engine import server_document

        return server_document(place, summary), ""
    from chatcli.conversation.store_threads import read_whole

    return await read_whole(place, summary)


async def import_file(place: Place, path: Path) -> tuple[dict[str, str], str]:
    """Store the threads of the file at `path`.

    Returns:
        The new ID of each thread by its ID in the file, and a line that names what was left out, "" for nothing.

    Raises:
        UsageError: Something is wrong with the file; nothing was stored.
        StoreError: The store can't be used; nothing was stored.

    """
    if isinstance(place, ServerAddress):
        raise UsageError(
            "threads are not imported into a LangGraph server: only its app knows how its states are made",
            remedy="Import them into a store here: --store sqlite:///PATH.",
        )
    from chatcli.conversation.store_threads import import_threads

    ids, left_out = await import_threads(place, path)
    for new_id in ids.values():  # a deleted thread may have had this ID
        granted(place, new_id).forget()
    return ids, left_out
