"""The plain chat's engine: its graph on an open store, and the models that were built so far."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from typing import Any

from chatcli.attachments.attachment import Attachment
from chatcli.config.grants import Grants, note_endpoint
from chatcli.config.settings import ANSWER_SECONDS, Settings
from chatcli.conversation.backend import LocalBackend
from chatcli.conversation.compose import Composition
from chatcli.conversation.engine import Announce, LocalEngine, SessionRequest
from chatcli.events import Notice
from chatcli.graphs.chat.ask_node import MODEL_NODE
from chatcli.graphs.chat.graph import ChatGraph, build_graph, read_values, setup_of, setup_update
from chatcli.graphs.chat.session import ChatSession
from chatcli.graphs.chat.state import TurnContext
from chatcli.memory.prompt_context import PromptContextReader
from chatcli.models.build import build_model
from chatcli.models.model import Model
from chatcli.models.names import ModelName, custom_url
from chatcli.roles import Setup, opening_model, opening_setup
from chatcli.runtime.tracing import watch_tracing
from chatcli.sessions.question import store_unsent_question
from chatcli.sessions.thread import GraphThread
from chatcli.store.errors import as_store_error
from chatcli.store.open import open_store
from chatcli.tools.toolbox import Toolbox, build_toolbox


@dataclass(eq=False)
class ChatEngine(LocalEngine):
    """The compiled graph on an open store, and the models that were built so far."""

    _graph: ChatGraph
    _composed: Composition
    _backend: LocalBackend
    _on_progress: Announce
    toolbox: Toolbox
    _knowledge: PromptContextReader | None
    _grants: dict[str, Grants] = field(default_factory=dict)
    _models: dict[tuple[ModelName, float | None], Model] = field(default_factory=dict)

    @property
    def _settings(self) -> Settings:
        return self._composed.settings

    @classmethod
    async def open(cls, backend: LocalBackend, composed: Composition, on_progress: Announce) -> "ChatEngine":
        """Open the store of `backend`, and make what the turns of the run that is `composed` need."""
        settings, embedded = composed.settings, composed.embedded
        if not embedded:
            await asyncio.to_thread(watch_tracing)
        async with AsyncExitStack() as resources:
            store = await resources.enter_async_context(open_store(backend.location))
            toolbox = build_toolbox(
                settings, store.threads, on_progress, can_ask=composed.can_ask, workspace=composed.workspace
            )
            resources.push_async_callback(toolbox.close)
            graph = build_graph(store.checkpointer)
            kept = resources.pop_all()
        knowledge = PromptContextReader(
            toolbox.workspace.root, instructions=not settings.no_instructions, memory=not settings.no_memory
        )
        known = None if embedded else knowledge  # another program's questions are its own
        return cls(store, kept, graph, composed, backend, on_progress, toolbox, known)

    async def model(self, name: ModelName, temperature: float | None = None) -> Model:
        """Return the model `name`, built once; `temperature` is for where the user chose none."""
        settings = self._settings.with_remembered_url(name.base_url) if name.base_url else self._settings
        if settings.temperature is None and temperature is not None:
            settings = replace(settings, temperature=temperature)
        if (name, temperature) not in self._models:
            # In a thread: it imports a provider's package, and may ask its server what it has.
            model = await asyncio.to_thread(build_model, name, settings, self._on_progress)
            self._models[name, temperature] = model
            if model.close is not None:
                self._resources.push_async_callback(model.close)
            # The user has named its server, so threads may go on there. The word of a folder's `.env` is not the user's
            # own, and a conversation that is not kept leaves no trace.
            by_dotenv = settings.credentials.is_url_of_dotenv(name.provider)
            if model.base_url and not model.name.base_url and not by_dotenv and self._backend.keeps_threads:
                note_endpoint(model.base_url, model.key)
        return self._models[name, temperature]

    async def session(self, thread_id: str, request: SessionRequest) -> ChatSession:
        """Return a hold on the thread `thread_id`, answered as it has stored, or as the user asks for."""
        settings = self._settings
        values = await self._values(thread_id)
        stored = setup_of(values)
        rules = (values or {}).get("allowed")
        setup = opening_setup(settings, stored, first=request.is_first_thread)
        name = self._name(setup, stored, request)
        turn = TurnContext(
            await self.model(name, setup.temperature),
            settings.context_tokens,
            auto_compact=settings.auto_compact,
            schema=self._composed.schema,
            timeout=settings.timeout or ANSWER_SECONDS,
            toolbox=self.toolbox,
            grants=self._granted(thread_id, rules),
            knowledge=self._knowledge,
        )
        return ChatSession(
            self._graph,
            self.threads,
            thread_id,
            turn,
            setup=setup,
            stored=stored or Setup(),
            foreign_rules=bool(rules),
        )

    def _granted(self, thread_id: str, foreign_rules: object) -> Grants:
        """Return the user's grants of the thread; report the rules that its store has, which are not used."""
        if isinstance(foreign_rules, list) and foreign_rules:
            named = ", ".join(map(str, foreign_rules[:3])) + (", ..." if len(foreign_rules) > 3 else "")
            notice = (
                f"the store's own rules of calls that run unasked in thread {thread_id} are dropped ({named}):"
                " `approve thread` or --allow gives them again"
            )
            self._on_progress(Notice(notice, "warning"))
        return self._grants.setdefault(thread_id, self._backend.grants(thread_id))

    async def setup(self, thread_id: str) -> Setup | None:
        """Return how the thread `thread_id` is answered, None where nothing is stored of it."""
        return setup_of(await self._values(thread_id))

    async def _values(self, thread_id: str) -> Mapping[str, Any] | None:
        try:
            return await read_values(self._graph, thread_id)
        except Exception as error:
            if (failure := as_store_error(error)) is not None:
                raise failure from error
            raise

    async def store_unsent_question(
        self, thread_id: str, request: SessionRequest, text: str, attachments: Sequence[Attachment]
    ) -> None:
        """Store the question `text`, for which no turn was started, and how it is to be answered."""
        stored = await self.setup(thread_id)
        setup = opening_setup(self._settings, stored, first=request.is_first_thread)
        name = self._name(setup, stored, request)
        if name.model:
            setup = setup.with_model(str(name), name.base_url or custom_url(self._settings.credentials, name.provider))
        thread = GraphThread(self._graph, self.threads, thread_id, MODEL_NODE)
        await store_unsent_question(thread, name, text, attachments, setup_update(setup, stored or Setup()))

    def _name(self, setup: Setup, stored: Setup | None, request: SessionRequest) -> ModelName:
        """Return the model that answers first on a thread that has `stored`."""
        if request.is_first_thread:
            return request.chosen_model or opening_model(self._settings, setup)
        return opening_model(self._settings, stored, first=False) if stored and stored.model else request.current_model
