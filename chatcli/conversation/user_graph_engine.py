"""The engine of a user graph (`--graph`): loaded from the user's code, on an open store."""

import asyncio
import io
import sys
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AsyncExitStack, redirect_stdout, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.memory import InMemorySaver

from chatcli.attachments.attachment import Attachment
from chatcli.conversation.backend import LocalBackend
from chatcli.conversation.compose import Composition
from chatcli.conversation.engine import Announce, LocalEngine, SessionRequest
from chatcli.errors import UsageError
from chatcli.events import Notice
from chatcli.graphs.user.answer_thread import AnswerThread, with_messages
from chatcli.graphs.user.load import AnyPregel, import_graph, make_graph, running_failure
from chatcli.graphs.user.project import enter_project, item_options, own_store, stored_types
from chatcli.graphs.user.schemas import GraphSchemas, find_shape
from chatcli.graphs.user.spec import GraphSpec
from chatcli.graphs.values import GivenValues, GraphValues
from chatcli.graphs.values_session import ValuesSession
from chatcli.memory.shared import SharedMemory
from chatcli.models.model import Model
from chatcli.models.names import ModelName
from chatcli.roles import Setup
from chatcli.runtime.tracing import watch_tracing
from chatcli.sessions.question import store_unsent_question
from chatcli.sessions.session import Session
from chatcli.sessions.state import MESSAGES
from chatcli.sessions.thread import GraphThread
from chatcli.store.items import ItemStore
from chatcli.store.open import Store, foreign_store, open_store
from chatcli.store.savers import with_ordered_ids

if TYPE_CHECKING:
    from chatcli.config.grants import Grants


@dataclass(eq=False)
class GraphEngine(LocalEngine):
    """The user's graph, compiled, and the store of its threads."""

    _graph: AnyPregel
    _spec: GraphSpec
    _backend: LocalBackend
    _given: GivenValues
    _nodes: Collection[str]
    _grants: "dict[str, Grants]" = field(default_factory=dict)

    @classmethod
    async def open(cls, backend: LocalBackend, composed: Composition, announce: Announce) -> "GraphEngine":
        """Load the graph that is `composed`, off the loop's thread so that typing goes on, and open the store.

        From then on until `close`, what it prints is announced instead, unless it is embedded in its own program.
        """
        spec, location, embedded = composed.graph, backend.location, composed.embedded
        assert spec is not None
        share_memory = composed.settings.share_memory
        async with AsyncExitStack() as resources:
            if not embedded:
                asyncio.get_running_loop().set_default_executor(_WorkerThreads())
                resources.enter_context(redirect_stdout(PrintedLines(announce)))
            found = await asyncio.to_thread(_load, spec, announce)
            if not embedded:
                await asyncio.to_thread(watch_tracing)
            store = await resources.enter_async_context(open_store(location))
            items = await own_store(spec, resources)
            if items is None:  # the project brings none along: one where the threads are
                options = item_options(spec, location, lambda line: announce(Notice(line, "warning")))
                items = ItemStore(location, options, checkpointer=store.checkpointer)
                resources.callback(items.close)
            if share_memory:
                items = SharedMemory(items)
            graph = await make_graph(found, spec, store.checkpointer, resources, items)
            if graph.store is None:
                graph = graph.copy(update={"store": items})
            elif share_memory and not isinstance(graph.store, SharedMemory):
                graph = graph.copy(update={"store": SharedMemory(graph.store)})
            graph, store = await _settle_store(graph, store, announce, stored_types(graph, spec))
            kept = resources.pop_all()
        given = GivenValues.of_settings(composed.settings)
        return cls(store, kept, graph, spec, backend, given, composed.settings.node)

    async def session(self, thread_id: str, request: SessionRequest) -> Session:
        """Return a hold on the thread `thread_id`, and remember that the user named the graph for it."""
        grants = self._grants.setdefault(thread_id, self._backend.grants(thread_id))
        if self._spec.target is None:  # an object can't be found again by its name
            with suppress(OSError):  # then the thread needs --graph the next time
                await asyncio.to_thread(grants.name, "graph", self._spec.label)
        remembered = GraphValues.read(grants.values)
        thread, question = self._thread(thread_id, self._given.for_thread(remembered, first=request.is_first_thread))
        return ValuesSession(
            thread,
            self._spec.model_name,
            GraphSchemas(self._graph, question),
            given=self._given,
            first=request.is_first_thread,
            remembered=remembered,
            remember=lambda values: grants.name("values", values.as_json()),
            explain=partial(running_failure, spec=self._spec),
        )

    async def model(self, name: ModelName, temperature: float | None = None) -> Model:
        """Refuse: the graph chooses its own models."""
        raise UsageError("a graph chooses its own models: change them in its code")

    async def setup(self, thread_id: str) -> Setup | None:
        """Return None: the graph decides how it answers."""

    async def store_unsent_question(
        self, thread_id: str, request: SessionRequest, text: str, attachments: Sequence[Attachment]
    ) -> None:
        """Store the question `text`, for which no turn was started."""
        remembered = GraphValues.read(self._backend.grants(thread_id).values)
        thread, _ = self._thread(thread_id, self._given.for_thread(remembered, first=request.is_first_thread))
        await store_unsent_question(thread, self._spec.model_name, text, attachments, {})

    def _thread(self, thread_id: str, values: GraphValues) -> tuple[GraphThread, str]:
        """Return the thread `thread_id`, and the field of the graph's input that takes the question."""
        shape = find_shape(self._graph, self._spec.title, values)
        if shape is None:
            return GraphThread(self._graph, self.threads, thread_id, answer_nodes=self._nodes), MESSAGES
        graph = with_messages(self._graph, shape)
        name = str(self._spec.model_name)
        thread = AnswerThread(graph, self.threads, thread_id, shape=shape, name=name, answer_nodes=self._nodes)
        return thread, shape.question or MESSAGES


class PrintedLines(io.TextIOBase):
    """A text stream that turns each line that a user graph prints into a notice; stdout is for the answer alone."""

    # `announce` is called from the thread that prints.
    def __init__(self, announce: Callable[[Notice], None]) -> None:
        self._announce = announce
        self._open_line = ""

    def write(self, text: str) -> int:
        """Take `text`; an unfinished line waits for its end."""
        *lines, self._open_line = (self._open_line + text).split("\n")
        for line in lines:
            self._announce(Notice(line))
        return len(text)

    def writable(self) -> bool:
        """Return True."""
        return True

    def fileno(self) -> int:
        """Return where a child process may write."""
        return sys.stderr.fileno()


class _WorkerThreads(ThreadPoolExecutor):
    """A loop's threads, of which a TimeoutError comes with the place where it was raised."""

    # Until Python 3.14, asyncio makes another exception of one of exactly that class, which has no traceback.
    def submit(self, work: Callable[..., Any], /, *args: Any, **options: Any) -> Future[Any]:
        """Run `work` in a thread."""
        return super().submit(_run, work, *args, **options)


class _TimeoutError(TimeoutError):
    """A TimeoutError for all who look at it."""


_TimeoutError.__name__ = _TimeoutError.__qualname__ = TimeoutError.__name__
_TimeoutError.__module__ = TimeoutError.__module__


def _run(work: Callable[..., Any], /, *args: Any, **options: Any) -> Any:
    try:
        return work(*args, **options)
    except TimeoutError as error:
        if type(error) is not TimeoutError:
            raise
        raise _TimeoutError(*error.args).with_traceback(error.__traceback__) from error.__cause__


async def _settle_store(
    graph: AnyPregel, store: Store, announce: Callable[[Notice], None], types: Collection[tuple[str, str]]
) -> tuple[AnyPregel, Store]:
    """Return `graph` with the store that its threads are in: `store`, or the checkpointer that it brings along."""
    # From `store`, instances of `types` are restored, which the graph may keep.
    own = graph.checkpointer
    known, store = store.checkpointer, replace(store, checkpointer=store.checkpointer.with_allowlist(types))
    if not isinstance(own, BaseCheckpointSaver) or own is known:
        return graph.copy(update={"checkpointer": store.checkpointer}), store
    kind = type(own).__name__
    try:
        await own.aget_tuple({"configurable": {"thread_id": "", "checkpoint_ns": ""}})
    except NotImplementedError:  # it has blocking methods alone, which LangGraph can't call in an event loop
        announce(Notice(f"the graph's {kind} has no async methods: the store keeps its threads"))
        return graph.copy(update={"checkpointer": store.checkpointer}), store
    if isinstance(own, InMemorySaver):
        ends = "its threads end with this program. To keep them, leave `checkpointer` out"
        announce(Notice(f"the graph keeps its threads in memory ({kind}): {ends}", "warning"))
    else:
        announce(Notice(f"the graph keeps its threads itself ({kind}), not in the store"))
    ordered = with_ordered_ids(own)
    return graph.copy(update={"checkpointer": ordered}), foreign_store(ordered)


def _load(spec: GraphSpec, announce: Callable[[Notice], None]) -> object:
    for line in enter_project(spec) if spec.target is None else ():  # before the import, which may fail for that
        announce(Notice(line, "warning"))
    return import_graph(spec)
