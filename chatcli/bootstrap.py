"""The composition root: with `build_repl`, the only place that names concrete stores, models and renderers."""

import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from chatcli.config.settings import Settings
from chatcli.errors import UsageError
from chatcli.models.names import ModelName, choose_model
from chatcli.rendering.color import build_console, wants_color
from chatcli.rendering.renderer import Renderer
from chatcli.store.location import choose_server, choose_store, granted

if TYPE_CHECKING:
    from chatcli.conversation.conversation import Conversation
    from chatcli.graphs.chat.answer_schema import AnswerSchema
    from chatcli.graphs.user.spec import GraphSpec
    from chatcli.message import MessageShown
    from chatcli.roles.setup import Setup
    from chatcli.store.threads import ThreadSummary
    from chatcli.transfer.document import ThreadDocument


def who_answers(settings: Settings, graph: "GraphSpec | None" = None) -> ModelName:
    """Return who answers first: a server's app, the user's `graph`, or a model.

    Raises:
        UsageError: The name of a model or of a role is not known.

    """
    if choose_server(settings) is not None:
        from chatcli.graphs.server.rows import SERVER

        return ModelName(SERVER, settings.assistant or "")
    if graph is not None:
        return graph.model_name
    if not settings.role:
        return choose_model(settings)
    from chatcli.roles.opening import opening_model, opening_setup

    return opening_model(settings, opening_setup(settings, None, first=True))


def build_conversation(
    settings: Settings,
    thread_id: str,
    graph: "GraphSpec | None" = None,
    schema: "AnswerSchema | None" = None,
    *,
    name: ModelName | None = None,
    can_ask: bool = False,
) -> "Conversation":
    """Return a conversation on `thread_id`; nothing is opened or asked yet.

    A server's app answers, the user's `graph`, or a model, whose answers follow `schema`. `can_ask` says that there is
    a user who can be asked whether a tool may run. `name` is shown as who answers, until the thread is opened.

    Raises:
        UsageError: See `who_answers`.

    """
    from chatcli.conversation.conversation import Conversation

    begin = partial(Conversation, settings, thread_id, name or who_answers(settings, graph))
    if choose_server(settings) is not None:
        from chatcli.conversation.server_engine import ServerEngine

        return begin(lambda announce: ServerEngine.open(settings))
    if graph is not None:
        from chatcli.conversation.user_graph_engine import GraphEngine

        return begin(lambda announce: GraphEngine.open(settings, graph, announce))
    from chatcli.conversation.chat_engine import ChatEngine

    return begin(lambda on_progress: ChatEngine.open(settings, on_progress, schema, can_ask=can_ask))


def build_renderer(settings: Settings) -> Renderer:
    """Return the renderer for the chosen format, or for where stdout goes."""
    match settings.format:
        case "json":
            from chatcli.rendering.json import JsonRenderer

            return JsonRenderer(sys.stdout, sys.stderr, quiet=settings.quiet)
        case "jsonl":
            from chatcli.rendering.json import JsonLinesRenderer

            return JsonLinesRenderer(sys.stdout, sys.stderr)
        case _ if settings.script is not None:
            from chatcli.rendering.script import ScriptRenderer

            return ScriptRenderer(sys.stdout, sys.stderr, quiet=settings.quiet)
        case None if settings.schema_file is None and (sys.stdout.isatty() or wants_color(settings.color)):
            from chatcli.rendering.deferred import LateRenderer

            # The streams of now: by then a graph of the user's may have sys.stdout.
            return LateRenderer(partial(_terminal_renderer, settings, sys.stdout, sys.stderr))
        case _:
            from chatcli.rendering.plain import PlainRenderer

            return PlainRenderer(sys.stdout, sys.stderr, quiet=settings.quiet)


def _terminal_renderer(settings: Settings, out: TextIO, err: TextIO) -> Renderer:
    from chatcli.rendering.terminal.renderer import TerminalRenderer
    from chatcli.rendering.theme import find_theme

    console, errors = build_console(out, settings.color), build_console(err, settings.color)
    dumb = console.is_dumb_terminal
    return TerminalRenderer(
        console,
        errors,
        markdown=not settings.plain and not dumb,
        quiet=settings.quiet,
        theme=find_theme(settings.theme),
        movable=out.isatty() and not dumb,
    )


def repair_store(settings: Settings) -> list[str]:
    """Rebuild the index of the store; of a damaged one, keep what can be read, and the file itself beside it.

    Returns:
        A line for each thread that was damaged, and one that names the file that was kept.

    Raises:
        UsageError: It is no SQLite store.
        StoreError: The store can't be used; it is left as it was.

    """
    import asyncio

    from chatcli.store.errors import DamagedError
    from chatcli.store.open import open_store
    from chatcli.store.sqlite.repair import find_damage, forget_index, refuse_open

    async def reopen() -> None:
        async with open_store(location):
            pass  # opening it is what makes the missing index

    location = choose_store(settings)
    path = location.path
    if path is None:
        raise UsageError("only a SQLite store can be repaired here", remedy="PostgreSQL has tools of its own.")
    if not path.exists():
        return []
    from chatcli.transfer.rescue import has_unreadable, rescue

    try:
        if not find_damage(path) and not has_unreadable(path):
            forget_index(path)
            asyncio.run(reopen())
            return []
    except DamagedError:
        pass
    refuse_open(path)
    return asyncio.run(rescue(path))


async def read_thread(settings: Settings, thread_id: str) -> "list[MessageShown]":
    """Return the questions and answers of the stored thread `thread_id`; needs no model.

    Raises:
        StoreError: The store can't be used.

    """
    from chatcli.sessions.history import as_shown

    if (server := choose_server(settings)) is not None:
        from chatcli.graphs.server.messages import revive_messages
        from chatcli.graphs.server.threads import ServerThreads

        return as_shown(revive_messages(ServerThreads(server).values(thread_id)))
    from chatcli.graphs.chat.ask_node import MODEL_NODE
    from chatcli.graphs.chat.graph import build_graph
    from chatcli.sessions.repair import recover_unless_running
    from chatcli.sessions.thread import GraphThread
    from chatcli.store.open import open_store

    async with open_store(choose_store(settings)) as store:
        thread = GraphThread(build_graph(store.checkpointer), store.threads, thread_id, MODEL_NODE)
        unstored = await recover_unless_running(thread)
        return as_shown([*await thread.history(), *unstored])


async def read_thread_setup(settings: Settings, thread_id: str) -> "Setup | None":
    """Return how the stored thread `thread_id` is answered, None where nothing is stored of it.

    Raises:
        StoreError: The store can't be used.

    """
    from chatcli.graphs.chat.graph import build_graph
    from chatcli.graphs.chat.stored_setup import read_setup
    from chatcli.store.open import open_store

    async with open_store(choose_store(settings)) as store:
        return await read_setup(build_graph(store.checkpointer), thread_id)


async def read_whole_thread(settings: Settings, summary: "ThreadSummary") -> "tuple[ThreadDocument, str]":
    """Return all that is stored of the thread that `summary` is of, or that can be read, and what is missing.

    Raises:
        StoreError: The store can't be used.

    """
    if (server := choose_server(settings)) is not None:
        from chatcli.conversation.server_engine import server_document
        from chatcli.graphs.server.threads import ServerThreads

        return server_document(ServerThreads(server), summary), ""
    from chatcli.graphs.chat.ask_node import MODEL_NODE
    from chatcli.graphs.chat.graph import build_graph
    from chatcli.sessions.repair import recover_unless_running
    from chatcli.sessions.thread import GraphThread
    from chatcli.store.errors import DamagedError
    from chatcli.store.open import open_store
    from chatcli.transfer.store_documents import read_document

    location = choose_store(settings)
    try:
        async with open_store(location) as store:
            graph = build_graph(store.checkpointer)
            thread = GraphThread(graph, store.threads, summary.thread_id, MODEL_NODE)
            unstored = await recover_unless_running(thread)
            document = await read_document(store, summary)
            return replace(document, messages=[*document.messages, *unstored]), ""
    except DamagedError as error:
        if location.path is None:
            raise
        from chatcli.transfer.rescue import read_damaged

        document, lost = read_damaged(location.path, summary.thread_id)
        return document, f"{error.message}; {lost} of its rows are missing here"


async def import_file(settings: Settings, path: Path) -> tuple[dict[str, str], str]:
    """Store the threads of the file at `path`.

    Returns:
        The ID of each by the one that it has in the file, and a line that names what was left out, "" for nothing.

    Raises:
        UsageError: Something is wrong with the file; nothing was stored.
        StoreError: The store can't be used; nothing was stored.

    """
    if choose_server(settings) is not None:
        raise UsageError(
            "threads are not imported into a LangGraph server: only its app knows how its states are made",
            remedy="Import them into a store here: --store sqlite:///PATH.",
        )
    from chatcli.store.open import open_store
    from chatcli.transfer.document import left_out_line
    from chatcli.transfer.read_file import read_documents
    from chatcli.transfer.store_documents import import_documents

    documents = read_documents(path)
    async with open_store(choose_store(settings)) as store:
        ids = await import_documents(store, documents)
    for new_id in ids.values():  # of a thread that is long gone, perhaps
        granted(settings, new_id).forget()
    return ids, left_out_line(documents)


def pull_local_model(name: ModelName, settings: Settings, renderer: Renderer) -> None:
    """Fetch the weights of the local model `name`, unless the cache has them.

    Raises:
        ChatcliError: No source could be reached, or the disk is full.

    """
    from chatcli.models.local.fetch import fetch
    from chatcli.models.local.weights import find_weights

    fetch(find_weights(name.model), override=settings.local_model, on_progress=renderer.render)
