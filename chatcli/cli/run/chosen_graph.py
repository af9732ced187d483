"""Chooses the user graph: the one that `--graph` names, or the one that the thread began with."""

import shlex
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

from chatcli.config.settings import GRAPH_VALUES, PLAIN_CHAT, Settings
from chatcli.conversation.place import Place, granted, keeps_threads, open_threads
from chatcli.errors import StoreError, UsageError
from chatcli.models.names import GRAPH
from chatcli.runtime.program import current_program

if TYPE_CHECKING:
    from chatcli.graphs.user.spec import GraphSpec


def chosen_graph(
    settings: Settings, place: Place, thread_id: str | None, recorded: Callable[[], str]
) -> "GraphSpec | None":
    """Return the graph that answers, None for the plain chat.

    The thread `thread_id`, None for a new one, continues with the graph that it began with, unless an option of the
    plain chat is given. `recorded` returns its model in the index.

    Raises:
        UsageError: There is no such graph, or an option has no effect on one.

    """
    if (own := current_program().graph) is not None:
        return cast("GraphSpec", own)
    spec = settings.graph
    chooses_model = any(map(settings.is_option, PLAIN_CHAT))
    if spec is not None:
        settings.refuse_options(PLAIN_CHAT, "a graph, which has its own")
    elif thread_id is not None and not chooses_model and (spec := recorded_graph(recorded()) or None):
        _refuse_foreign(place, thread_id, spec)
        if not settings.quiet:
            print(f"this thread goes on with its graph: --graph {spec}", file=sys.stderr)
    if spec is None:
        settings.refuse_options(GRAPH_VALUES, "a model: it is for a graph", "Give --graph or --url.")
        return None
    from chatcli.graphs.user.spec import find_graph

    return find_graph(spec)


def recorded_model(place: Place, thread_id: str) -> str:
    """Return the model of the last answer on the stored thread `thread_id`, from the index; empty if it has none."""
    if not keeps_threads(place):
        return ""
    try:
        thread = open_threads(place).find(thread_id)
    except StoreError:
        return ""  # the turn reports it
    return thread.model if thread else ""


def recorded_graph(model: str) -> str:
    """Return the graph that a thread ran last, empty for none; `model` comes from `recorded_model`."""
    provider, _, recorded = model.partition(":")
    return recorded if provider == GRAPH else ""


def _refuse_foreign(place: Place, thread_id: str, graph: str) -> None:
    """Refuse to run `graph` unless the user named it for this thread before: a store may come from somewhere else."""
    if ":" not in graph:
        raise UsageError(
            f"the thread {thread_id} is of the graph {graph}, which a program gave to chatcli itself",
            remedy="Go on in that program, or with a graph that has a file: --graph SPEC.",
        )
    if granted(place, thread_id).graph != graph:
        raise UsageError(
            f"the store says that the thread {thread_id} goes on with the graph {graph}, which you did not name for it",
            remedy=f"To run that code, name it: --graph {shlex.quote(graph)}",
        )
