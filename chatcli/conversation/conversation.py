"""The conversation that this process holds: the current thread and model, and the engine behind them.

It exists before LangGraph is imported, so that a prompt can be shown at once; the engine is opened when it is first
needed, or ahead of that by `warm_up`.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import aclosing, suppress
from dataclasses import replace
from importlib import import_module
from typing import TYPE_CHECKING, TypeVar

from chatcli import events
from chatcli.config.providers import LANGFLOW, LOCAL, PROVIDERS
from chatcli.config.thread_ids import check_thread_id, new_thread_id
from chatcli.conversation.compose import Composition
from chatcli.conversation.cost_bound import CostBound
from chatcli.conversation.engine import LazyEngine, OpenEngine, SessionRequest
from chatcli.conversation.mcp_servers import McpServers
from chatcli.conversation.thread_documents import ThreadDocuments
from chatcli.conversation.titles import TitleWriter
from chatcli.errors import BadGraphError, ChatcliError, CostError, InterruptedTurnError, StoreError, UsageError
from chatcli.message import MessageShown
from chatcli.models.early_connection import connect_early
from chatcli.models.names import ModelName, resolve_model
from chatcli.roles import Setup, opening_model, switched_model
from chatcli.runtime.background import Stoppable, in_background
from chatcli.runtime.exits import contained
from chatcli.sessions.requests import Ask, TurnRequest

if TYPE_CHECKING:
    from chatcli.graphs.chat.session import ChatSession
    from chatcli.graphs.values import Kind
    from chatcli.sessions.history import Turn
    from chatcli.sessions.session import Session
    from chatcli.store.threads import Threads
    from chatcli.store.usage import AnswerUsage
    from chatcli.transfer.document import ThreadDocument

T = TypeVar("T")
OPEN_TIMEOUT = 2.0
"""Seconds that the engine gets to open when only a question is to be stored, not counting its imports."""


class Conversation:
    """The current thread and model; changes of either take effect with the next turn.

    Whatever needs the store or the model raises a `ChatcliError` where it can't be used; nothing is changed then.
    """

    def __init__(self, composed: Composition, open_engine: OpenEngine) -> None:
        settings = composed.settings
        self.backend = composed.backend
        self.thread_id = self._first_thread = composed.thread_id
        self.model_name = composed.name
        self.turns = 0
        self.context_usage: tuple[int, int | None] = (0, None)
        """About how many tokens the newest turn sent, and the budget, None where it has no limit."""
        self.cost_bound = CostBound(settings.max_cost)
        self.watch_state = False
        """Whether each turn ends with what it changed in the graph's state."""
        self._documents = ThreadDocuments(composed, self.announce)
        self._settings = settings
        self.engine = LazyEngine(open_engine, self.announce)
        self._session: Session | None = None
        self._opening: asyncio.Task[Session] | None = None
        self._stopped = False
        self._chosen_model: ModelName | None = None
        self._first = True
        self._connects = composed.is_plain and not composed.stored
        """Whether the server of `model_name` is not connected to yet; a thread may remember another one."""
        self._warming: asyncio.Task[None] | None = None
        self._storing: asyncio.Task[None] | None = None
        self._reading = Stoppable()
        self.mcp_servers = McpServers(settings, lambda: self.has_own_graph, self.chat_session)
        self.branching: Turn | None = None
        """The turn in whose place the next question begins a branch."""
        self.title_writer = TitleWriter()
        self._kept: bool | None = None
        """Whether the newest question, for which no session could be opened, is stored; None if one was."""
        self._waiting_notices: list[events.Notice] = []
        """Notices that came while no turn ran."""

    def expect_question(self) -> None:
        """Make ready for a question that is being typed: write no title, and connect to the model's server."""
        self.title_writer.stop()
        if self._connects:
            self._connects = False
            connect_early(self.model_name, self._settings.credentials)

    def warm_up(self, on_end: Callable[[], None]) -> None:
        """Begin to open the engine, and call `on_end` after that; a failure is reported by the turn that needs it."""

        async def learn_model() -> None:
            # Which one the thread to begin on remembers, so that it is shown before the first turn.
            stored = await (await self.engine.get()).setup(self.thread_id)
            shown = (self._first, self._chosen_model, self._settings.is_option("role")) == (True, None, False)
            if stored is not None and shown and self.thread_id == self._first_thread:
                self.model_name = opening_model(self._settings, stored)

        self._warming = asyncio.create_task(learn_model())
        self._warming.add_done_callback(lambda task: task.cancelled() or task.exception())
        self._warming.add_done_callback(lambda task: on_end())

    @property
    def has_own_graph(self) -> bool:
        """Whether a graph answers, here or on a server, not the plain chat."""
        return self.model_name.provider not in PROVIDERS

    @property
    def takes_documents(self) -> bool:
        """Whether answers can be grounded on documents: a model answers, not a graph, a server or a Langflow flow."""
        return not self.has_own_graph and self.model_name.provider != LANGFLOW

    @property
    def takes_recall(self) -> bool:
        """Whether past threads may be sent along: to a model or a graph here, not to a server or a Langflow flow."""
        return self.backend.runs_here and self.model_name.provider != LANGFLOW

    @property
    def documents(self) -> tuple[str, ...]:
        """The absolute paths and globs of the documents that the current thread's answers are grounded on."""
        return self._documents.of(self.thread_id) if self.takes_documents else ()

    def use_documents(self, sources: Iterable[str]) -> None:
        """Ground the current thread's answers on `sources`, absolute paths and globs, from the next turn on."""
        self._documents.use(self.thread_id, sources)

    @property
    def keeps_threads(self) -> bool:
        """Whether its threads outlive this process; a graph may keep its own in memory, as its first turn shows."""
        return self.backend.keeps_threads and not (self._session is not None and self._session.ends_with_process)

    async def store_without_asking(self, question: Ask) -> AsyncGenerator[events.Event, None]:
        """Store `question`, which was stopped before anything could be done about it."""
        yield events.TurnStarted(self.thread_id, str(self.model_name))
        self._kept = False
        await self._store_unsent(question)
        yield events.TurnInterrupted(self.thread_id, "", str(self.model_name), "", 0)

    async def refuse_calls(self) -> bool:
        """Refuse the calls that the current thread asks about; return whether there were any."""
        refused = await (await self.session()).refuse_calls()
        if not self.has_own_graph:
            await (await self.chat_session()).toolbox.stop_served()
        return refused

    async def run(self, request: TurnRequest) -> AsyncGenerator[events.Event, None]:
        """Run the turn that `request` begins or goes on with on the current thread, and yield its events.

        What prevents the turn from starting (no key, a locked store) ends it with `TurnFailed` like any failure. Its
        question is stored also then, unless the user has to mend the command line or the store.
        """
        started = time.monotonic()
        self._stopped = False
        self.title_writer.stop()
        try:
            session = await self._session_for(request)
        except ChatcliError as error:
            yield events.TurnStarted(self.thread_id, str(self.model_name))
            for notice in self.take_notices():  # they may say what the error comes from
                yield notice
            self._kept = False
            if isinstance(request, Ask) and not isinstance(error, UsageError | StoreError | CostError):
                await self._store_unsent(request)
            yield self._ended_early(error, started)
            return
        self.turns += 1
        self._kept = None
        session.watching = self.watch_state
        async with aclosing(session.run(request)) as running:
            async for event in running:
                if isinstance(event, events.TurnFinished):
                    self.context_usage = event.context_tokens, event.context_budget
                if isinstance(event, events.TurnFailed):
                    event = replace(event, error=self._explained(event.error))
                for notice in () if isinstance(event, events.TurnStarted) else self.take_notices():
                    yield notice
                yield event

    async def _session_for(self, request: TurnRequest) -> "Session":
        """Return the session, ready for the turn of `request`; raises what keeps the turn from beginning."""
        session = await self.session()
        await self.refuse_costly()
        if isinstance(request, Ask) and self.branching is not None:
            await session.rewind_before(self.branching)
        if self._stopped:  # when it was open already
            raise InterruptedTurnError("stopped before it began")
        if isinstance(request, Ask):
            self.branching = None
        return session

    def _ended_early(self, error: ChatcliError, started: float) -> events.TurnInterrupted | events.TurnFailed:
        """Return the end of a turn that `error` kept from beginning."""
        if isinstance(error, InterruptedTurnError):
            elapsed_ms = round((time.monotonic() - started) * 1000)
            return events.TurnInterrupted(self.thread_id, "", str(self.model_name), "", elapsed_ms)
        return events.TurnFailed(self.thread_id, str(self.model_name), "", self._explained(error))

    def take_notices(self) -> list[events.Notice]:
        """Return the notices that wait for the next turn, which shows them no more."""
        notices, self._waiting_notices = self._waiting_notices, []
        return notices

    def _explained(self, error: ChatcliError) -> ChatcliError:
        return self._settings.credentials.explain(error, self.model_name.provider)

    async def _store_unsent(self, question: Ask) -> None:
        """Store `question`, for which no session could be opened; a second interrupt gives it up."""
        if self.branching:
            return

        async def store() -> None:
            # The process can't end before these imports have, so waiting for them costs nothing.
            await asyncio.to_thread(import_module, "chatcli.graphs.chat.session")
            engine = await asyncio.wait_for(self.engine.get(), OPEN_TIMEOUT)
            request = SessionRequest(self._first, self._chosen_model, self.model_name)
            await engine.store_unsent_question(self.thread_id, request, question.text, question.attachments)
            if self.takes_documents:
                self._documents.remember(self.thread_id)

        self._storing = storing = asyncio.create_task(contained(store()))
        try:
            await asyncio.wait([storing])
        finally:
            self._storing = None
            storing.cancel()
        if not storing.cancelled() and storing.exception() is None:
            self.turns += 1
            self._kept = True

    def interrupt(self) -> None:
        """Stop the running turn, or the opening that it waits for; a second time, give up to store its question."""
        self._stopped = True
        if self._storing is not None:
            self._storing.cancel()
            return
        if self._reading.stop() or self.mcp_servers.interrupt():
            return
        if self._opening is not None:
            self._opening.cancel()
        elif self._session is not None:
            self._session.interrupt()

    async def read(self, work: Callable[[], T]) -> T:
        """Return the result of `work`, which reads what a question brings along, in a thread.

        Raises `InterruptedTurnError` where `interrupt` stops it, and waits for the thread no longer.
        """
        return await self._reading.run(in_background(work), "stopped before everything was read")

    async def take_back(self) -> bool:
        """Return whether the question that was stopped last is no part of what the next one sends.

        If its answer had not begun, it is left on a branch of its own; a Langflow flow can't go back.
        """
        if self.model_name.provider == LANGFLOW:
            return False
        if self._kept is False:
            return True
        with suppress(ChatcliError):
            return await (await self.session()).take_back(began=self._kept is None)
        return False

    async def open_thread(self, thread_id: str) -> list[MessageShown]:
        """Make `thread_id` the current thread, created with its first turn; return its messages so far."""
        check_thread_id(thread_id)
        session = await self._session_on(thread_id)
        messages = await session.history()
        self.thread_id, self._session, self.turns = thread_id, session, len(messages)
        self.context_usage = 0, None
        return messages

    def new_thread(self) -> str:
        """Make a new thread the current one; return its ID."""
        self.thread_id, self._session, self.turns = new_thread_id(), None, 0
        self.context_usage = 0, None
        return self.thread_id

    async def open(self) -> None:
        """Open the engine and the current thread now.

        Raises `BadGraphError` if the graph can't be used, another `ChatcliError` if the store can't.
        """
        try:
            await self.session()
        except UsageError as error:
            raise BadGraphError(error) from error

    async def session(self) -> "Session":
        """Return the hold on the current thread."""
        if self._session is None:
            self._opening = asyncio.create_task(contained(self._session_on(self.thread_id)))
            try:
                self._session = await self._opening
            except asyncio.CancelledError:
                waiting = asyncio.current_task()
                if self._opening.cancelled() and not (waiting is not None and waiting.cancelling()):
                    raise InterruptedTurnError("stopped while it was being prepared") from None
                raise
            finally:
                self._opening = None
        self._session.documents = self.documents
        return self._session

    async def document(self) -> "ThreadDocument":
        """Return all that is stored of the current thread."""
        return await (await self.engine.get()).document(self.thread_id)

    async def threads(self) -> "Threads":
        """Return the threads of the store."""
        return (await self.engine.get()).threads

    async def use_model(self, name: str) -> ModelName:
        """Let the model `name` answer from the next turn on."""
        resolve_model(name, self._settings)  # a name that can't be is refused before anything is opened
        session = await self.chat_session() if self._session is not None else None
        engine = await self.engine.get()
        setup = session.current_setup if session is not None else await engine.setup(self.thread_id) or Setup()
        model_name = switched_model(name, self._settings, setup, first=self.thread_id == self._first_thread)
        model = await engine.model(model_name, setup.temperature if session is not None else None)
        self.model_name = self._chosen_model = model_name
        if session is not None:
            session.model = model
        return model_name

    async def use_setup(self, setup: Setup) -> None:
        """Let the current thread be answered as `setup` says, from the next turn on, which stores it."""
        session = await self.chat_session()
        name = resolve_model(setup.model, self._settings) if setup.model != session.setup.model else self.model_name
        session.model = await (await self.engine.get()).model(name, setup.temperature)
        session.setup = setup
        self.model_name = name

    def settable(self) -> "Iterable[tuple[Kind, str, str]]":
        """Return the kind, key and type of each value that the graph takes; none until the thread is open."""
        schemas = getattr(self._session, "schemas", None)
        return () if schemas is None else [(kind, key, name) for (kind, key), name in schemas.types().items()]

    def state_names(self) -> dict[str, str]:
        """Return the type of each key of the graph's state; none until the thread is open."""
        return {} if self._session is None else self._session.declared_names()

    async def compact(self) -> str:
        """Let the model summarise all turns but the newest, and return the summary."""
        self.title_writer.stop()
        await self.refuse_costly()
        return await (await self.chat_session()).compact()

    async def take_over(self, turn: "Turn") -> str:
        """Let the model summarise what the branch of `turn` has besides, and return the summary."""
        await self.refuse_costly()
        return await (await self.chat_session()).take_over(turn)

    async def answered(self) -> "list[AnswerUsage]":
        """Return the usage of each answer of the current thread, on all of its branches."""
        return await asyncio.to_thread((await self.threads()).usage, self.thread_id)

    async def refuse_costly(self) -> None:
        """Refuse to ask the model where the current thread has cost more than the user's bound."""
        if self.cost_bound.max_cost is None or self.has_own_graph:
            return
        model, thread_id, answers = (await self.chat_session()).model, self.thread_id, await self.answered()
        if warning := await asyncio.to_thread(self.cost_bound.check, thread_id, model, answers):
            self.announce(events.Notice(warning, "warning"))

    async def begin_title(self, last: events.TerminalEvent) -> None:
        """Let the model write the title of the current thread, whose newest turn ended with `last`, if it may.

        It may if the user wants that, or if it is the local model, which costs nothing.
        """
        if isinstance(last, events.TurnFinished) and last.finish_reason == events.WAITING:
            return
        self.title_writer.count(last.thread_id)
        provider, wanted = self.model_name.provider, self._settings.titles
        by_model = wanted == "model" or (wanted == "auto" and provider == LOCAL)
        if not isinstance(last, events.TurnFinished) or not by_model or not self.backend.keeps_threads:
            return
        if not self.takes_documents or last.thread_id != self.thread_id:
            return
        with suppress(ChatcliError):
            await self.refuse_costly()
            self.title_writer.begin(await self.chat_session(), await self.threads())

    async def close(self) -> None:
        """Stop what runs and close the engine."""
        self.interrupt()
        await self.title_writer.close()
        if self._warming is not None:
            self._warming.cancel()
            await asyncio.wait([self._warming])
        await self.engine.close()

    async def _session_on(self, thread_id: str) -> "Session":
        request = SessionRequest(self._first, self._chosen_model, self.model_name)
        session = await (await self.engine.get()).session(thread_id, request)
        self.model_name, self._first = session.name, False
        if self.takes_documents:
            self._documents.remember(thread_id)
        if session.name.provider == LANGFLOW and self.backend.grants(thread_id).documents:
            self.announce(events.Notice("the thread's documents are not used: a Langflow flow has its own", "warning"))
        return session

    async def chat_session(self) -> "ChatSession":
        """Return the hold on the current thread; refuse a graph or a server, which is no plain chat."""
        session = await self.session()
        from chatcli.graphs.chat.session import ChatSession

        if not isinstance(session, ChatSession):
            raise UsageError(f"{self.model_name} has a model, a system prompt and a context of its own")
        return session

    def announce(self, event: events.Event) -> None:
        """Put `event` into the running turn's events; without a turn, a notice waits for the next one."""
        if self._session is not None and self._session.running:
            self._session.announce(event)
        elif isinstance(event, events.Notice):
            self._waiting_notices.append(event)
