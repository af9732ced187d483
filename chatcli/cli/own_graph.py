"""Which graph of the user's answers: the one that `--graph` names, or that the thread was begun with."""

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from chatcli.errors import StoreError, UsageError
from chatcli.models.names import GRAPH
from chatcli.settings import PLAIN_CHAT, Settings
from chatcli.store.location import choose_store, open_threads

if TYPE_CHECKING:
    from chatcli.graph.spec import GraphSpec


def chosen_graph(settings: Settings, thread_id: str | None, recorded: Callable[[], str]) -> "GraphSpec | None":
    """Return the graph that answers, None for the plain chat.

    The thread `thread_id`, None for a new one, goes on with the graph that it was begun with, unless a model or
    something else that is the plain chat's is asked for. `recorded` returns its model in the index.

    Raises:
        UsageError: There is no such graph, or an option has no effect on one.

    """
    options = [name for name in PLAIN_CHAT if settings.is_option(name)]
    if settings.graph is not None:
        if options:
            option = options[0].removesuffix("_file").replace("_", "-")
            raise UsageError(f"--{option} has no effect on a graph, which has its own", remedy="Leave it out.")
        spec: str | None = settings.graph
    else:
        spec = (None if options or thread_id is None else recorded_graph(settings, thread_id, recorded())) or None
        if spec is not None and not settings.quiet:
            print(f"this thread goes on with its graph: --graph {spec}", file=sys.stderr)
    if spec is None:
        return None
    from chatcli.graph.spec import find_graph

    return find_graph(spec)


def recorded_model(settings: Settings, thread_id: str) -> str:
    """Return who answered last on the stored thread `thread_id`, as the index has it; empty where it has nothing."""
    location = choose_store(settings)
    if location.in_memory:
        return ""
    try:
        models = {thread.thread_id: thread.model for thread in open_threads(location).recent()}
    except StoreError:
        return ""  # the turn tells
    return models.get(thread_id, "")


def recorded_graph(settings: Settings, thread_id: str, model: str) -> str:
    """Return the graph that the thread `thread_id` ran last, empty for none; `model` is what `recorded_model` returns.

    Raises:
        UsageError: A `.env` names the store, and so would choose the code that is run.

    """
    provider, _, recorded = model.partition(":")
    if provider != GRAPH:
        return ""
    if settings.is_dotenv("store"):
        raise UsageError(
            f"the thread {thread_id} ran the graph {recorded}, says a store that this folder's .env names",
            remedy="To run that code, say so with --graph.",
        )
    return recorded
