"""The engine of a LangGraph server: its assistants, and the threads on it."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from langchain_core.messages import BaseMessage
from langgraph_sdk.client import LangGraphClient
from langgraph_sdk.schema import Assistant

from chatcli.attachments.attachment import Attachment
from chatcli.config.settings import Settings
from chatcli.conversation.backend import ServerBackend
from chatcli.conversation.compose import Composition
from chatcli.conversation.engine import SessionRequest
from chatcli.errors import UsageError
from chatcli.graphs.server.client import SERVER, ServerAddress, app_schemas, assistants, build_client, check_server
from chatcli.graphs.server.schemas import ServerSchemas, find_shape
from chatcli.graphs.server.thread import ServerGraph, ServerThread, messages_from_json
from chatcli.graphs.server.threads import ServerThreads
from chatcli.graphs.values import GivenValues, GraphValues
from chatcli.graphs.values_session import ValuesSession
from chatcli.message import Excerpt, MessageShown
from chatcli.models.model import Model
from chatcli.models.names import ModelName
from chatcli.roles import Setup
from chatcli.sessions.history import Turn, as_shown, current_branch, read_excerpts, read_turns
from chatcli.sessions.session import Session
from chatcli.sessions.state import MESSAGES, plain_state
from chatcli.store.threads import ThreadSummary, find_thread

if TYPE_CHECKING:
    from chatcli.transfer.document import ThreadDocument


@dataclass(eq=False)
class ServerEngine:
    """The assistants on a server, which runs and stores the turns."""

    _backend: ServerBackend
    _found: Sequence[Assistant]
    _chosen: Assistant | None
    _client: LangGraphClient
    threads: ServerThreads
    _settings: Settings
    _given: GivenValues
    _schemas: dict[str, Mapping[str, Any]] = field(default_factory=dict)

    @classmethod
    async def open(cls, backend: ServerBackend, composed: Composition) -> "ServerEngine":
        """Ask the server of `backend` for its assistants, and connect to it."""
        server, settings = backend.server, composed.settings
        await asyncio.to_thread(check_server, server)
        found = await asyncio.to_thread(assistants, server)
        if not found:
            raise UsageError("the LangGraph server has no assistants", remedy="Its langgraph.json names its graphs.")
        chosen = None if server.assistant is None else _choose(found, server.assistant)
        given = GivenValues.of_settings(settings)
        return cls(backend, found, chosen, build_client(server), ServerThreads(server), settings, given)

    async def model(self, name: ModelName, temperature: float | None = None) -> Model:
        """Refuse: the app has its own models."""
        raise UsageError("the app on the server chooses its model itself")

    async def session(self, thread_id: str, request: SessionRequest) -> Session:
        """Return a hold on the thread `thread_id`: without another choice, its last assistant goes on."""
        uuid, metadata = await asyncio.to_thread(self.threads.identify, thread_id)
        grants = self._backend.grants(thread_id)
        if mine := await asyncio.to_thread(lambda: grants.graph):  # a server may list them in another order
            metadata = {**metadata, "assistant_id": mine}
        assistant = self._chosen or _recorded(self._found, metadata) or self._found[0]
        with suppress(OSError):  # then the server alone knows
            await asyncio.to_thread(grants.name, "graph", assistant["assistant_id"])
        if assistant["assistant_id"] not in self._schemas:
            found = await asyncio.to_thread(app_schemas, self._backend.server, assistant)
            self._schemas[assistant["assistant_id"]] = found
        found = self._schemas[assistant["assistant_id"]]
        remembered = GraphValues.read(await asyncio.to_thread(lambda: grants.values))
        given = self._given.for_thread(remembered, first=request.is_first_thread)
        shape = find_shape(assistant["name"], found, given)
        schemas = ServerSchemas(found, shape.question or MESSAGES if shape is not None else MESSAGES)
        graph = ServerGraph(assistant["assistant_id"], self._backend.server, self._client, assistant["name"])
        thread = ServerThread(
            graph,
            self.threads,
            thread_id,
            uuid=uuid,
            graph_id=assistant["graph_id"],
            timeout=self._settings.timeout,
            answer_nodes=self._settings.node,
            state_schema=schemas.state,
            shape=shape,
        )
        return ValuesSession(
            thread,
            ModelName(SERVER, assistant["name"]),
            schemas,
            given=self._given,
            first=request.is_first_thread,
            remembered=remembered,
            remember=lambda values: grants.name("values", values.as_json()),
        )

    async def setup(self, thread_id: str) -> Setup | None:
        """Return None: the app decides how it answers."""

    async def store_unsent_question(
        self, thread_id: str, request: SessionRequest, text: str, attachments: Sequence[Attachment]
    ) -> None:
        """Do nothing: the server stores what it is asked."""

    async def document(self, thread_id: str) -> "ThreadDocument":
        """Return all that the server has of the newest state of the thread `thread_id`."""
        summary = await asyncio.to_thread(find_thread, self.threads, thread_id)
        return await asyncio.to_thread(_document, self.threads, summary)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()


class ServerReader:
    """The threads on `server`; see `chatcli.conversation.backend.ThreadReader`."""

    def __init__(self, server: ServerAddress) -> None:
        self._threads = ServerThreads(server)

    async def messages(self, thread_id: str) -> list[MessageShown]:
        """Return the questions and answers of a thread."""
        return as_shown(self._messages(thread_id))

    async def state(self, thread_id: str) -> dict[str, Any]:
        """Return the state of a thread without its messages."""
        return plain_state(self._threads.values(thread_id))

    async def setup(self, thread_id: str) -> Setup | None:
        """Return None: the app decides how it answers."""

    async def tree(self, thread_id: str) -> tuple[list[Turn], dict[int, Excerpt]]:
        """Return the turns of a thread, and what is said in those of its current branch by number."""
        turns = read_turns(self._threads.steps(thread_id))
        return turns, read_excerpts(current_branch(turns), self._messages(thread_id))

    async def document(self, summary: ThreadSummary) -> "tuple[ThreadDocument, str]":
        """Return the newest state of the thread of `summary`, of which nothing is missing."""
        return _document(self._threads, summary), ""

    async def import_file(self, path: Path) -> tuple[dict[str, str], str]:
        """Refuse: only the server's app knows how its states are made."""
        raise UsageError(
            "threads are not imported into a LangGraph server: only its app knows how its states are made",
            remedy="Import them into a store here: --store sqlite:///PATH.",
        )

    def _messages(self, thread_id: str) -> list[BaseMessage]:
        return messages_from_json(self._threads.values(thread_id))


def _document(threads: ServerThreads, summary: ThreadSummary) -> "ThreadDocument":
    # Imported here, since it imports the plain chat's graph too.
    from chatcli.transfer.store_documents import document_of

    return document_of(summary, {"messages": messages_from_json(threads.values(summary.thread_id))})


def _choose(found: Sequence[Assistant], name: str) -> Assistant:
    """Return the assistant called `name`: by its name, its graph's, or its ID."""
    for key in ("name", "graph_id", "assistant_id"):
        for assistant in found:
            if assistant[key] == name:
                return assistant
    raise UsageError(f"the LangGraph server has no assistant {name!r}", remedy=f"It has: {_names(found)}.")


def _recorded(found: Sequence[Assistant], metadata: Mapping[str, Any]) -> Assistant | None:
    """Return the assistant that a thread's metadata names, or one of its graph; None where it names none."""
    # Raises `UsageError` if the server has neither any more: another one must not answer unasked.
    named = {key: metadata[key] for key in ("assistant_id", "graph_id") if metadata.get(key)}
    for key, value in named.items():
        for assistant in found:
            if cast("Mapping[str, Any]", assistant)[key] == value:
                return assistant
    if named:
        raise UsageError(
            f"the assistant that answered on this thread is gone from the LangGraph server: {[*named.values()][-1]}",
            remedy=f"Choose another one: --assistant NAME. It has: {_names(found)}.",
        )
    return None


def _names(found: Sequence[Assistant]) -> str:
    return ", ".join(list(dict.fromkeys(assistant["name"] for assistant in found))[:10])
