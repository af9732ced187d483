"""What a user graph takes and gives: read off its schemas, or the function of an entrypoint."""

import inspect
from collections.abc import Collection
from dataclasses import MISSING, fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any, cast

from langgraph.constants import END, START
from langgraph.pregel import Pregel
from pydantic import BaseModel

from chatcli.errors import UsageError
from chatcli.graphs.answers import MESSAGES
from chatcli.graphs.shape import GraphShape, listed, shape_of_entrypoint, shape_of_state
from chatcli.graphs.user.schemas import Fields
from chatcli.graphs.values import GraphValues
from chatcli.runtime.type_hints import type_hints

if TYPE_CHECKING:
    from langgraph.channels.base import BaseChannel

AnyPregel = Pregel[Any, Any, Any, Any]


def find_shape(graph: AnyPregel, name: str, values: GraphValues) -> GraphShape | None:
    """Return the shape of `graph`, with the user's choice in `values`; None for one of messages alone."""
    builder = getattr(graph, "builder", None)
    if builder is not None:
        taken, given = builder.input_schema, builder.output_schema
        return shape_of_state(name, Fields(taken).known, Fields(given).known, values, _required(taken))
    if START in graph.channels and END in graph.channels:
        return _of_entrypoint(graph, name, values)
    if MESSAGES not in graph.channels:
        raise UsageError(f"the graph {name!r} holds no `messages`; it holds: {listed(graph.channels)}")
    return None


def _of_entrypoint(graph: AnyPregel, name: str, values: GraphValues) -> GraphShape:
    function = entrypoint_function(graph)
    hint, returned = _entrypoint_types(graph, function)
    shape = shape_of_entrypoint(name, hint, Fields(hint).known, Fields(returned).known, values, _required(hint))
    # Of the messages of a thread, one with `previous` remembers what it wants.
    forgets = function is None or "previous" not in inspect.signature(function).parameters
    is_object = isinstance(hint, type) and (is_dataclass(hint) or issubclass(hint, BaseModel))
    return replace(shape, whole=hint if is_object else None, whole_thread=forgets)


def entrypoint_function(graph: AnyPregel) -> Any:
    """Return the function of a functional entrypoint, None if it can't be found."""
    for node in graph.nodes.values():
        bound = getattr(node, "bound", None)
        function = getattr(bound, "func", None) or getattr(bound, "afunc", None)
        if function is not None:
            return inspect.unwrap(getattr(function, "func", function))
    return None


def _entrypoint_types(graph: AnyPregel, function: Any) -> tuple[Any, Any]:
    """Return the types of what an entrypoint takes and returns; Any where it does not say."""
    hints = None if function is None else type_hints(function)
    if hints is None:
        taken = cast("BaseChannel[Any, Any, Any]", graph.channels[START]).UpdateType
        return (Any if isinstance(taken, str) else taken), Any
    first = next(iter(inspect.signature(function).parameters), "")
    return hints.get(first, Any), hints.get("return", Any)


def _required(schema: Any) -> Collection[str]:
    if is_dataclass(schema):
        return [one.name for one in fields(schema) if one.default is MISSING and one.default_factory is MISSING]
    if isinstance(schema, type) and issubclass(schema, BaseModel):
        return [name for name, field in schema.model_fields.items() if field.is_required()]
    return getattr(schema, "__required_keys__", ())
