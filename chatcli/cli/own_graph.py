"""Which graph of the user's answers: the one that `--graph` names, or that the thread was begun with."""

import sys
from typing import TYPE_CHECKING

from chatcli.errors import StoreError, UsageError
from chatcli.models.names import GRAPH
from chatcli.settings import PLAIN_CHAT, Settings
from chatcli.store.location import choose_store, open_threads

if TYPE_CHECKING:
    from chatcli.graph.spec import GraphSpec


def chosen_graph(settings: Settings, thread_id: str | None) -> "GraphSpec | None":
    """Return the graph that answers, None for the plain chat.

    The thread `thread_id`, None for a new one, goes on with the graph that it was begun with, unless a model or
    something else that is the plain chat's is asked for.

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
        spec = (None if options or thread_id is None else recorded_graph(settings, thread_id)) or None
        if spec is not None and not settings.quiet:
            print(f"this thread goes on with its graph: --graph {spec}", file=sys.stderr)
    if spec is None:
        return None
    from chatcli.graph.spec import find_graph

    return find_graph(spec)


def recorded_graph(settings: Settings, thread_id: str) -> str:
    """Return the graph that the stored thread `thread_id` ran last, empty for none.

    Raises:
        UsageError: A `.env` names the store, and so would choose the code that is run.

    """
    location = choose_store(settings)
    if location.in_memory:
        return ""
    try:
        models = {thread.thread_id: thread.model for thread in open_threads(location).recent()}
    except StoreError:
        return ""  # the turn tells
    provider, _, recorded = models.get(thread_id, "").partition(":")
    if provider != GRAPH:
        return ""
    if settings.is_dotenv("store"):
        raise UsageError(
            f"the thread {thread_id} ran the graph {recorded}, says a store that this folder's .env names",
            remedy="To run that code, say so with --graph.",
        )
    return recorded
