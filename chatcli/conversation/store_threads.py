"""The threads of a store here: read, imported and repaired. Importing this module imports LangGraph."""

import asyncio
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

from chatcli.config.grants import Grants
from chatcli.graphs.chat.ask_node import MODEL_NODE
from chatcli.graphs.chat.graph import build_graph, read_values, setup_of, with_empty_fields
from chatcli.message import Excerpt, MessageShown
from chatcli.models.names import GRAPH
from chatcli.roles import Setup
from chatcli.sessions.history import Turn, as_shown, excerpts_in, read_turns
from chatcli.sessions.repair import recover_unless_running
from chatcli.sessions.state import plain_state
from chatcli.sessions.thread import GraphThread
from chatcli.store.errors import DamagedError
from chatcli.store.location import StoreLocation
from chatcli.store.open import Store, open_store
from chatcli.store.sqlite.repair import find_damage, forget_index, refuse_open
from chatcli.store.sqlite.salvage import has_unreadable
from chatcli.store.threads import ThreadSummary
from chatcli.transfer.document import ThreadDocument, left_out_line
from chatcli.transfer.read_file import read_documents
from chatcli.transfer.rescue import read_damaged, rescue
from chatcli.transfer.store_documents import import_documents, read_document


def repair(path: Path) -> list[str]:
    """Rebuild the index of the SQLite store at `path`, or rescue what can be read of it."""

    async def reopen() -> None:
        async with open_store(StoreLocation(path)):
            pass  # opening it makes the missing index

    try:
        if not find_damage(path) and not has_unreadable(path):
            forget_index(path)
            asyncio.run(reopen())
            return []
    except DamagedError:
        pass
    refuse_open(path)
    return asyncio.run(rescue(path))


def _thread(store: Store, thread_id: str) -> GraphThread:
    return GraphThread(build_graph(store.checkpointer), store.threads, thread_id, MODEL_NODE)


class StoreReader:
    """The threads of the store at `location`; see `chatcli.conversation.backend.ThreadReader`."""

    def __init__(self, location: StoreLocation) -> None:
        self._location = location

    async def messages(self, thread_id: str) -> list[MessageShown]:
        """Return the questions and answers of the stored thread `thread_id`."""
        async with open_store(self._location) as store:
            thread = _thread(store, thread_id)
            unstored = await recover_unless_running(thread)
            return as_shown([*await thread.history(), *unstored])

    async def tree(self, thread_id: str) -> tuple[list[Turn], dict[int, Excerpt]]:
        """Return the turns of the stored thread `thread_id`, and what is said in them by number."""
        async with open_store(self._location) as store:
            turns = read_turns(await asyncio.to_thread(store.threads.steps, thread_id))
            excerpts: dict[int, Excerpt] = {}
            async for found in excerpts_in(turns, _thread(store, thread_id).messages):
                excerpts |= found
            return turns, excerpts

    async def state(self, thread_id: str) -> dict[str, Any]:
        """Return the newest state of the thread `thread_id` without its messages; no graph is needed.

        Objects of a graph's classes become their fields; no such class is imported.
        """
        logging.getLogger("langgraph.checkpoint.serde.jsonplus").setLevel(logging.ERROR)  # it warns of each such class
        async with open_store(self._location) as store:
            newest = await store.checkpointer.aget_tuple(
                {"configurable": {"thread_id": thread_id, "checkpoint_ns": ""}}
            )
            if newest is None:
                return {}
            values = plain_state(newest.checkpoint["channel_values"])
            model = str(newest.metadata.get("chatcli_model", ""))
            return with_empty_fields(values) if model and not model.startswith(f"{GRAPH}:") else values

    async def setup(self, thread_id: str) -> Setup | None:
        """Return how the stored thread `thread_id` is answered, None where nothing is stored of it."""
        async with open_store(self._location) as store:
            return setup_of(await read_values(build_graph(store.checkpointer), thread_id))

    async def document(self, summary: ThreadSummary) -> tuple[ThreadDocument, str]:
        """Return the readable part of the thread of `summary`, and a line about the missing part."""
        try:
            async with open_store(self._location) as store:
                unstored = await recover_unless_running(_thread(store, summary.thread_id))
                document = await read_document(store, summary)
                return replace(document, messages=[*document.messages, *unstored]), ""
        except DamagedError as error:
            if self._location.path is None:
                raise
            document, lost = read_damaged(self._location.path, summary.thread_id)
            return document, f"{error.message}; {lost} of its rows are missing here"

    async def import_file(self, path: Path) -> tuple[dict[str, str], str]:
        """Store the threads of the file at `path`, all or none.

        Return the new ID of each thread by its ID in the file, and a line that names what was left out, "" for nothing.
        """
        documents = read_documents(path)
        async with open_store(self._location) as store:
            ids = await import_documents(store, documents)
        for new_id in ids.values():  # a deleted thread may have had this ID
            Grants(self._location.key, new_id).forget()
        return ids, left_out_line(documents)
