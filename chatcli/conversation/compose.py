"""Composes a run from the settings: the backend, the graph or model that answers, and the documents.

The REPL, a one-shot, a script, the library, `chat acp` and `chat mcp` all begin here. Wrong settings are refused here,
before anything is opened.
"""

import shlex
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, cast

from chatcli.config.providers import LANGFLOW, PROVIDERS
from chatcli.config.settings import GRAPH_VALUES, PLAIN_CHAT, Settings
from chatcli.config.thread_ids import new_thread_id
from chatcli.conversation.backend import Backend, choose_backend
from chatcli.errors import StoreError, UsageError
from chatcli.graphs.server.client import SERVER
from chatcli.models.names import GRAPH, ModelName, choose_model
from chatcli.ranking import BY_MEANING
from chatcli.runtime.program import current_program

if TYPE_CHECKING:
    from chatcli.conversation.conversation import Conversation
    from chatcli.graphs.chat.answer_schema import AnswerSchema
    from chatcli.graphs.user.spec import GraphSpec
    from chatcli.tools.workspace import Workspace


@dataclass(frozen=True)
class Composition:
    """What a run consists of."""

    settings: Settings
    """The user's choices."""
    backend: Backend
    """Where the threads are kept, and what runs their turns."""
    thread_id: str
    """The thread to begin on."""
    stored: bool
    """Whether the user named that thread, so that it may exist."""
    recorded: Callable[[], str]
    """Returns the model or graph of its last answer, from the index; empty if it has none."""
    graph: "GraphSpec | None"
    """The user's graph, if one answers here."""
    name: ModelName
    """The model, graph or app that answers first, as it is shown until the thread is opened."""
    documents: tuple[str, ...]
    """The resolved documents of the settings."""
    schema: "AnswerSchema | None" = None
    """What the answers follow."""
    can_ask: bool = False
    """Whether a user can be asked whether a tool may run."""
    embedded: bool = False
    """Whether the process is another program's, whose output and logging are left alone."""
    workspace: "Workspace | None" = None
    """Where the tools work; None for the current folder."""

    @property
    def is_plain(self) -> bool:
        """Whether a model answers, in the plain chat."""
        return self.graph is None and self.backend.runs_here

    @property
    def graph_notice(self) -> str:
        """A line for the user about a graph that no option names; empty where one does, or none answers."""
        if self.graph is None or self.settings.graph is not None or current_program().graph is not None:
            return ""
        return f"this thread goes on with its graph: --graph {self.graph.label}"

    def conversation(self) -> "Conversation":
        """Return the conversation of the run; nothing is opened or asked yet."""
        from chatcli.conversation.conversation import Conversation

        return Conversation(self, lambda announce: self.backend.open_engine(self, announce))


def compose(
    settings: Settings,
    thread_id: str | None = None,
    *,
    stored: bool = False,
    backend: Backend | None = None,
    graph: "GraphSpec | None" = None,
) -> Composition:
    """Return the run that the settings describe.

    It begins on a new thread, or on `thread_id`. If that may be `stored`, it goes on with the graph that it began with,
    unless an option of the plain chat is given. A program may give the `graph` that answers.
    """
    BY_MEANING.set(settings.semantic)
    backend = backend or choose_backend(settings)
    thread = thread_id or new_thread_id()
    recorded = cache(lambda: recorded_model(backend, thread) if stored and backend.runs_here else "")
    if graph is None and backend.runs_here:
        graph = _choose_graph(settings, backend, thread if stored else None, recorded)
    documents: tuple[str, ...] = ()
    if not backend.runs_here:
        name = ModelName(SERVER, settings.assistant or "")
    elif graph is not None:
        name = graph.model_name
    else:
        name = answering_model(settings)
        documents = _choose_documents(settings, name, recorded)
        if stored and not settings.is_option("model") and not settings.is_option("role"):
            # Until the state of the thread is read, the model of the index is shown, which may be right.
            provider, _, model = recorded().partition(":")
            name = ModelName(provider, model) if provider in PROVIDERS else name
    return Composition(settings, backend, thread, stored, recorded, graph, name, documents)


def answering_model(settings: Settings) -> ModelName:
    """Return the model that answers on a new thread of the plain chat."""
    if not settings.role:
        return choose_model(settings)
    from chatcli.roles import opening_model, opening_setup

    return opening_model(settings, opening_setup(settings, None, first=True))


def recorded_model(backend: Backend, thread_id: str) -> str:
    """Return the model of the last answer on the stored thread `thread_id`, from the index; empty if it has none."""
    if not backend.keeps_threads:
        return ""
    try:
        thread = backend.threads().find(thread_id)
    except StoreError:
        return ""  # the turn reports it
    return thread.model if thread else ""


def recorded_graph(model: str) -> str:
    """Return the graph that a thread ran last, empty for none; `model` comes from `recorded_model`."""
    provider, _, recorded = model.partition(":")
    return recorded if provider == GRAPH else ""


def _choose_graph(
    settings: Settings, backend: Backend, thread_id: str | None, recorded: Callable[[], str]
) -> "GraphSpec | None":
    """Return the graph that answers on `thread_id`, None for a new thread; None for the plain chat."""
    if (own := current_program().graph) is not None:
        return cast("GraphSpec", own)
    spec = settings.graph
    chooses_model = any(map(settings.is_option, PLAIN_CHAT))
    if spec is not None:
        settings.refuse_options(PLAIN_CHAT, "a graph, which has its own")
    elif thread_id is not None and not chooses_model and (spec := recorded_graph(recorded()) or None):
        _refuse_foreign(backend, thread_id, spec)
    if spec is None:
        settings.refuse_options(GRAPH_VALUES, "a model: it is for a graph", "Give --graph or --url.")
        return None
    from chatcli.graphs.user.spec import find_graph

    return find_graph(spec)


def _refuse_foreign(backend: Backend, thread_id: str, graph: str) -> None:
    """Refuse to run `graph` unless the user named it for this thread before: a store may come from somewhere else."""
    if ":" not in graph:
        raise UsageError(
            f"the thread {thread_id} is of the graph {graph}, which a program gave to chatcli itself",
            remedy="Go on in that program, or with a graph that has a file: --graph SPEC.",
        )
    if backend.grants(thread_id).graph != graph:
        raise UsageError(
            f"the store says that the thread {thread_id} goes on with the graph {graph}, which you did not name for it",
            remedy=f"To run that code, name it: --graph {shlex.quote(graph)}",
        )


def _choose_documents(settings: Settings, name: ModelName, recorded: Callable[[], str]) -> tuple[str, ...]:
    """Return the documents of the settings as absolute paths and globs; a Langflow flow takes none."""
    if not settings.docs:
        return ()
    last = "" if settings.is_option("model") else recorded().partition(":")[0]
    if (last or name.provider) == LANGFLOW:
        what, remedy = "a Langflow flow, which has its own documents", "Leave it out, or choose another model with -m."
        settings.refuse_options(["docs"], what, remedy)
        return ()
    from chatcli.documents.find import resolve_source

    return tuple(map(resolve_source, settings.docs))
