"""What a user graph may be, decided before any of its code runs and without importing LangGraph."""

import inspect
import sys
from collections.abc import Mapping, Sequence
from enum import Enum, auto
from inspect import Parameter
from typing import Any, get_origin

from chatcli.errors import UsageError
from chatcli.runtime.type_hints import needed_parameters, parameters_of, type_hints

WANTED = (
    "a compiled graph, a StateGraph, an @entrypoint, a Runnable over messages, a function without parameters that"
    " returns one of them, or a function (message, history) that returns text"
)
"""What a user graph may be, for messages."""
_MESSAGE = ("message", "question", "prompt", "text", "query", "user_input")
_RUN = ("config", "runtime")


class Kind(Enum):
    """A kind of user graph."""

    GRAPH = auto()
    """A compiled graph, an entrypoint, or a StateGraph."""
    RUNNABLE = auto()
    """Any other Runnable: a model, a chain, an agent of another framework."""
    FACTORY = auto()
    """A function that makes one: sync, async, or a context manager; it may take the run's config."""
    FUNCTION = auto()
    """A function that answers a message itself with text, at once or in pieces."""


class NotAGraphError(UsageError):
    """An object, or a function, is of no kind of user graph."""


def kind_of(found: object, name: str) -> Kind:
    """Return the kind of user graph that `found`, called `name`, is; raise NotAGraphError if it is none."""
    if _is_a(found, "langgraph.pregel", "Pregel") or _is_a(found, "langgraph.graph", "StateGraph"):
        return Kind.GRAPH
    if _is_a(found, "langchain_core.runnables", "Runnable"):
        return Kind.RUNNABLE
    if inspect.isclass(found) or not callable(found):
        kind = type(found).__name__
        article = "an" if kind[:1].lower() in "aeiou" else "a"
        what = f"the class {found.__name__}" if inspect.isclass(found) else f"{article} {kind}"
        raise NotAGraphError(f"{name} is {what}, not a graph", remedy=f"Give {WANTED}.")
    parameters, needed, hints = parameters_of(found), needed_parameters(found), _hints(found)
    if _answers(parameters, needed, hints):
        return Kind.FUNCTION
    if _makes(needed, hints) and not (inspect.isgeneratorfunction(found) or inspect.isasyncgenfunction(found)):
        return Kind.FACTORY
    # With the `*` before those that are keyword-only: that may be what is wrong.
    bare = [one.replace(annotation=Parameter.empty, default=Parameter.empty) for one in parameters]
    raise NotAGraphError(
        f"{name} is a function with the parameters {inspect.Signature(bare)}, which is not a graph",
        remedy="A function that answers takes (message, history); one that makes a graph takes nothing, or config.",
    )


def takes_history(function: object) -> bool:
    """Return whether a function of the kind FUNCTION takes the history beside the message."""
    parameters = parameters_of(function)
    positional = [one for one in parameters if one.kind in (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)]
    return len(positional) > 1 or any(one.kind is Parameter.VAR_POSITIONAL for one in parameters)


def name_of(found: object) -> str:
    """Return the own name of the graph, or the function; `graph` where it has none."""
    nodes = getattr(found, "nodes", {})
    if _is_a(found, "langgraph.pregel", "Pregel") and not hasattr(found, "builder") and len(nodes) == 1:
        return str(next(iter(nodes)))  # the function of an entrypoint
    name = getattr(found, "name", None) or getattr(found, "__name__", None) or getattr(found, "func", None)
    name = name if isinstance(name, str) else getattr(name, "__name__", None)
    # LangGraph and langchain name what has no name after their own classes.
    return name if name and name not in ("LangGraph", "<lambda>", type(found).__name__) else "graph"


def _answers(parameters: list[Parameter], needed: list[Parameter], hints: Mapping[str, Any]) -> bool:
    """Return whether these are the parameters of a function that answers: (message, history), or (message)."""
    if not parameters or len(needed) > 2 or any(one.kind is Parameter.KEYWORD_ONLY for one in needed):
        return False
    first, *others = needed or parameters[:1]
    # An optional text may be anything: the name of a model, say.
    if first.name not in _MESSAGE[: None if needed else 1] and (not needed or hints.get(first.name) is not str):
        return False
    kinds = {one.name: hints.get(one.name) for one in others}
    return all(name == "history" or (get_origin(kind) or kind) in (list, Sequence) for name, kind in kinds.items())


def _makes(needed: list[Parameter], hints: Mapping[str, Any]) -> bool:
    """Return whether these are the needed parameters of a factory: none, the config, the runtime, or both."""
    if any(one.kind is Parameter.KEYWORD_ONLY for one in needed):
        return False
    # As on LangGraph's server, where the only parameter is the config, whatever it is called.
    return len(needed) <= 1 or (len(needed) == 2 and all(_of_run(one, hints) for one in needed))


def _of_run(parameter: Parameter, hints: Mapping[str, Any]) -> bool:
    kind = str(getattr(hints.get(parameter.name), "__name__", hints.get(parameter.name, "")))
    return parameter.name in _RUN or kind.endswith(("RunnableConfig", "Runtime"))


def _hints(found: object) -> Mapping[str, Any]:
    """Return the annotations of a function; those that can't be resolved as they are written."""
    function = found if inspect.isroutine(found) else getattr(type(found), "__call__", found)  # noqa: B004 - its code
    hints = type_hints(function, extras=False)
    return getattr(function, "__annotations__", {}) if hints is None else hints


def _is_a(found: object, module: str, name: str) -> bool:
    """Return whether `found` is an instance of a class of a library; of one that is not imported, nothing is."""
    kind = getattr(sys.modules.get(module), name, None)
    return isinstance(kind, type) and isinstance(found, kind)
