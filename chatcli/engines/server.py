"""The engine of a LangGraph server: who answers there, and the threads that live there."""

import asyncio
from typing import TYPE_CHECKING

from chatcli.conversation import Opening
from chatcli.errors import UsageError
from chatcli.models.names import ModelName
from chatcli.store.server import ServerAddress, build_client, check_server, server_failures
from chatcli.store.server_rows import PROVIDER
from chatcli.store.threads import ThreadSummary, find_thread

if TYPE_CHECKING:
    from langgraph_sdk.client import LangGraphClient
    from langgraph_sdk.schema import Assistant

    from chatcli.models.model import Model
    from chatcli.session import Session
    from chatcli.store.server_threads import ServerThreads
    from chatcli.transfer.document import ThreadDocument

MOST_ASSISTANTS = 1000
"""How many are looked at to find one by its name: as many as a server tells at once."""


class ServerEngine:
    """An assistant on a server, which runs and stores the turns."""

    def __init__(
        self, server: ServerAddress, client: "LangGraphClient", assistant: "Assistant", threads: "ServerThreads"
    ) -> None:
        self.threads = threads
        self._server = server
        self._client = client
        self._assistant = assistant

    @classmethod
    async def open(cls, server: ServerAddress) -> "ServerEngine":
        """Ask the server who answers there, and import what turns need.

        Raises:
            ChatcliError: The server does not answer, refuses the key, or has no such assistant.

        """
        await asyncio.to_thread(check_server, server)  # before what takes long
        await asyncio.to_thread(_import_engine)
        from chatcli.store.server_threads import ServerThreads

        client = build_client(server)
        try:
            with server_failures(server):
                assistant = await _choose(client, server.assistant)
        except BaseException:
            await client.aclose()
            raise
        return cls(server, client, assistant, ServerThreads(server))

    async def model(self, name: ModelName, temperature: float | None = None) -> "Model":
        """Refuse: the app has models of its own.

        Raises:
            UsageError: Always.

        """
        raise UsageError("the app on the server chooses its model itself")

    async def session(self, thread_id: str, opening: Opening) -> "Session":
        """Return a hold on the thread `thread_id`.

        Raises:
            ChatcliError: The server can't be used.

        """
        from chatcli.graph.server_graph import ServerGraph
        from chatcli.graph.server_thread import ServerThread
        from chatcli.session import Session

        graph = ServerGraph(self._assistant["assistant_id"], self._server, self._client, self._assistant["name"])
        uuid = await asyncio.to_thread(self.threads.uuid, thread_id)
        thread = ServerThread(graph, self.threads, thread_id, uuid=uuid, graph_id=self._assistant["graph_id"])
        return Session(thread, ModelName(PROVIDER, self._assistant["name"]))

    async def document(self, thread_id: str) -> "ThreadDocument":
        """Return all that the server tells of the newest state of the thread `thread_id`.

        Raises:
            UsageError: There is no such thread.
            ChatcliError: The server can't be used.

        """
        summary = await asyncio.to_thread(find_thread, self.threads, thread_id)
        return await asyncio.to_thread(server_document, self.threads, summary)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()


def server_document(threads: "ServerThreads", summary: ThreadSummary) -> "ThreadDocument":
    """Return what the server tells of the newest state of the thread that `summary` is of.

    Raises:
        ChatcliError: The server can't be used.

    """
    from chatcli.graph.revive import revive_messages
    from chatcli.transfer.write import document_of

    return document_of(summary, {"messages": revive_messages(threads.values(summary.thread_id))})


async def _choose(client: "LangGraphClient", name: str | None) -> "Assistant":
    """Return the assistant called `name`, by its name, its graph's or its ID; without one, the one made first."""
    found = await client.assistants.search(sort_by="created_at", sort_order="asc", limit=MOST_ASSISTANTS)
    if not found:
        raise UsageError("the LangGraph server has no assistants", remedy="Its langgraph.json names its graphs.")
    if name is None:
        return found[0]
    for key in ("name", "graph_id", "assistant_id"):
        for assistant in found:
            if assistant[key] == name:
                return assistant
    names = list(dict.fromkeys(assistant["name"] for assistant in found))
    raise UsageError(f"the LangGraph server has no assistant {name!r}", remedy=f"It has: {', '.join(names[:10])}.")


def _import_engine() -> None:
    import logging
    import warnings

    # Libraries log and warn of what the user is told as an error; it would go to stderr.
    logging.getLogger().addHandler(logging.NullHandler())
    warnings.filterwarnings("ignore", module="langgraph_sdk")
    import chatcli.graph.server_thread
    import chatcli.session
    import chatcli.store.server_threads  # noqa: F401 - imported for the caller
