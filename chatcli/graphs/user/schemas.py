"""The schemas of a user graph: how it is asked, which values it takes beside the question, and its runtime context."""

import dataclasses
import inspect
import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, get_origin

from langgraph.constants import END, START
from langgraph.graph import StateGraph
from langgraph.pregel import Pregel
from pydantic import BaseModel, ValidationError
from typing_extensions import is_typeddict

from chatcli.errors import MissingFieldError, UsageError
from chatcli.graphs.shape import GraphShape, listed, shape_of_entrypoint, shape_of_state
from chatcli.graphs.user.load import AnyPregel, describe
from chatcli.graphs.values import KINDS, GraphValues
from chatcli.graphs.values_session import Schemas
from chatcli.runtime.exits import exits_contained
from chatcli.runtime.type_hints import (
    needed_parameters,
    parameters_of,
    type_adapter,
    type_hints,
    type_name,
    without_qualifier,
)
from chatcli.sessions.state import MESSAGES

AnyGraph = AnyPregel | StateGraph[Any, Any, Any, Any]


class Fields:
    """The fields of a schema of any kind, or None: `known` has the type of each; if `is_open`, there may be others."""

    def __init__(self, schema: Any, without: Collection[str] = ()) -> None:
        self.schema = schema
        self.known: Mapping[str, Any] = {name: kind for name, kind in _types(schema).items() if name not in without}
        self.is_open = _takes_more(schema) if self.known else not _is_one_value(schema)

    def problems(self, name: str, readings: Sequence[Any]) -> list[str | None]:
        """Return why the field `name` can't have each of `readings`, None for one that it can have."""
        strict = [self._problem(name, reading, strict=True) for reading in readings]
        if None in strict or not _is_model(self.schema):
            return strict
        return [self._problem(name, reading, strict=False) for reading in readings]  # after the model's conversions

    def _problem(self, name: str, value: Any, *, strict: bool) -> str | None:
        try:
            if not _is_model(self.schema):
                self._converted(name, value)
            elif strict:
                self.schema.model_validate_json(json.dumps({name: value}), strict=True)
            else:
                self.schema.model_validate({name: value})
        except ValidationError as error:
            return _reason(error, name if _is_model(self.schema) else "")
        return None

    def convert(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return `values` as objects of the fields' types: a date, say, for its text."""
        if _is_model(self.schema):  # it converts them itself
            return dict(values)
        return {name: self._converted(name, value) for name, value in values.items()}

    def type_name(self, name: str) -> str:
        """Return the type of the field `name` for people."""
        return type_name(self.known[name])

    def _converted(self, name: str, value: Any) -> Any:
        """Return `value` as an object of the type of the field `name`, as it is if that can't be checked."""
        adapter = type_adapter(self.known.get(name, Any))
        return value if adapter is None else adapter.validate_json(json.dumps(value), strict=True)


class GraphSchemas(Schemas):
    """The values that `graph` takes beside the question, which is under `question_key` in its input."""

    _context: Fields
    _input: Fields

    def __init__(self, graph: AnyGraph, question_key: str = MESSAGES) -> None:
        self._builder = graph if isinstance(graph, StateGraph) else getattr(graph, "builder", None)
        # What no StateGraph made, an entrypoint say, has only the type of its input.
        taken = getattr(graph, "InputType", None) if self._builder is None else self._builder.input_schema
        managed = () if self._builder is None else self._builder.managed  # LangGraph sets these itself
        super().__init__(Fields(graph.context_schema), Fields(taken, without=managed), question_key)

    def run(self, values: GraphValues) -> tuple[Any, Mapping[str, Any]]:
        """Return the part of the settled `values` that a run gets: the runtime context, and what is configurable."""
        # A LangGraph server copies the context to `configurable`, and the reverse; so is it here, as far as the schema
        # names the keys.
        fields = self._context
        copied = {key: value for key, value in values.configurable.items() if key in fields.known}
        context = build_context(fields.schema, fields.convert({**copied, **values.context}))
        return context, {**values.context, **values.configurable}

    def input(self, given: Mapping[str, Any], state: Mapping[str, Any]) -> dict[str, Any]:
        """Return the values `given` for the input, on a thread with this `state`; refuse it if one is missing."""
        missing = [
            name
            for name in self._needed()
            if name not in given and name not in state and name != self._question_key and name in self._input.known
        ]
        if missing:
            raise MissingFieldError(missing, of="input")
        return self._input.convert(given)

    def missing_in(self, error: BaseException, lacking: Iterable[str]) -> MissingFieldError | None:
        """Return the error to show if the graph failed for want of fields of its input that were `lacking`."""
        # A TypedDict has no defaults, and many graphs read a key with `get`: so only the failure says that it is
        # needed.
        if not isinstance(error, KeyError) or isinstance(error, MissingFieldError) or not error.args:
            return None
        prompt = re.search(r"missing variables \{([^}]*)\}", str(error.args[0]))
        named = re.findall(r"'([^']*)'", prompt[1]) if prompt else [error.args[0]]
        found = [name for name in lacking if name in named]
        return MissingFieldError(found, of="input") if found else None

    def _needed(self) -> set[str]:
        """Return the fields without which the graph's first step fails, whatever its nodes do."""
        builder = self._builder
        if builder is None:
            return _required(self._input.schema)
        nodes, branches = builder.nodes, builder.branches.get(START, {}).values()
        first = [nodes[end].input_schema for start, end in builder.edges if start == START and end in nodes]
        first += [branch.input_schema or builder.state_schema for branch in branches]
        needed = {name for schema in first for name in _required(schema)}
        # What has a reducer begins with an empty value.
        return {name for name in needed if name not in builder.channels or not builder.channels[name].is_available()}


def check_values(graph: object, values: GraphValues, question: str | None = None) -> GraphValues:
    """Return `values` in the types of the schemas of `graph`, as far as it has any; raise ValueError for others."""
    if not isinstance(graph, Pregel | StateGraph):
        return values
    schemas = GraphSchemas(graph, question or MESSAGES)
    try:
        for kind in KINDS:
            for key, value in values.of(kind).items():
                values = values.with_value(kind, key, schemas.settle(kind, key, value))
    except UsageError as error:
        raise ValueError(error.message) from None
    return values


def _types(schema: Any) -> dict[str, Any]:
    """Return the types of the fields of `schema` by name; none if it does not name its fields."""
    if _is_model(schema):
        return {_alias(name, field): field.annotation for name, field in schema.model_fields.items()}
    if is_typeddict(schema) or dataclasses.is_dataclass(schema):
        hints = type_hints(schema)
        if hints is None:
            hints = dict.fromkeys(inspect.get_annotations(schema), Any)
        if dataclasses.is_dataclass(schema):
            return {field.name: hints.get(field.name, Any) for field in dataclasses.fields(schema) if field.init}
        return {name: without_qualifier(hint) for name, hint in hints.items()}
    if not isinstance(schema, type) or schema.__module__ == "builtins":
        return {}
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return {one.name: Any for one in parameters_of(schema) if one.kind in kinds}


def _takes_more(schema: Any) -> bool:
    if _is_model(schema):
        return bool(schema.model_config.get("extra") == "allow")
    if is_typeddict(schema) or dataclasses.is_dataclass(schema):
        return False
    return any(one.kind is one.VAR_KEYWORD for one in parameters_of(schema))


def _is_one_value(schema: Any) -> bool:
    """Return whether `schema` is the type of a value without keys: an entrypoint may take a text alone."""
    kind = get_origin(schema) or schema
    return isinstance(kind, type) and issubclass(kind, str | int | float | bytes | list | tuple | set)


def _required(schema: Any) -> set[str]:
    """Return the fields without which an object of `schema` can't be made; none for a TypedDict, which is a dict."""
    if _is_model(schema):
        return {_alias(name, field) for name, field in schema.model_fields.items() if field.is_required()}
    return {one.name for one in needed_parameters(schema)} if dataclasses.is_dataclass(schema) else set()


def _without_default(schema: Any) -> Collection[str]:
    """Return the fields that have no default, those of a TypedDict too."""
    return getattr(schema, "__required_keys__", None) or _required(schema)


def _alias(name: str, field: Any) -> str:
    alias = field.validation_alias or field.alias
    return alias if isinstance(alias, str) else name


def _is_model(schema: Any) -> bool:
    return isinstance(schema, type) and issubclass(schema, BaseModel)


def _reason(error: ValidationError, name: str) -> str | None:
    """Return the problem of the field `name`, without the value; None if other fields are wrong only."""
    for problem in error.errors(include_url=False, include_input=False, include_context=False):
        if not name or problem["loc"][:1] == (name,):
            inner = ".".join(map(str, problem["loc"][1 if name else 0 :]))
            message = problem["msg"][:1].lower() + problem["msg"][1:]
            return f"{inner}: {message}" if inner else message
    return None


class _TypedContext(dict[str, Any]):
    """The context of a graph whose schema is a TypedDict."""

    # A TypedDict has no defaults, and LangGraph does not check one: many graphs declare fields that they read with
    # `get`. So the only error is to read a declared field that is missing.
    def __init__(self, schema: type, given: Mapping[str, Any]) -> None:
        super().__init__(given)
        self._schema = schema

    def __bool__(self) -> bool:
        return True  # LangGraph replaces a false context with None

    def __missing__(self, name: str) -> Any:
        if name in inspect.get_annotations(self._schema):
            raise MissingFieldError([name])
        raise KeyError(name)


def build_context(schema: Any, given: Mapping[str, Any]) -> Any:
    """Return the context for a graph with this context_schema: the values `given`, and defaults for the rest."""
    # The schema's own constructor builds it, which may have other sources: LangGraph's templates read the environment.
    # Raises MissingFieldError if a required field is not given, UsageError if the constructor rejects a value.
    if not isinstance(schema, type):
        return dict(given) or None
    if is_typeddict(schema):
        return _TypedContext(schema, given)
    is_model = issubclass(schema, BaseModel)  # its fields may have sources of their own, as in pydantic-settings
    if not is_model and (missing := [one.name for one in needed_parameters(schema) if one.name not in given]):
        raise MissingFieldError(missing)
    try:
        with exits_contained():
            return schema(**given)
    except ValidationError as error:  # its own message repeats the values
        problems = error.errors(include_url=False, include_input=False, include_context=False)
        found = [".".join(map(str, problem["loc"])) for problem in problems if problem["type"] == "missing"]
        if is_model and found:
            raise MissingFieldError(found) from None
        where, reason = ".".join(map(str, problems[0]["loc"])), problems[0]["msg"]
        raise UsageError(
            f"the graph's context ({schema.__name__}) can't be built: {f'{where}: ' if where else ''}{reason}"
        ) from None
    except Exception as error:
        raise UsageError(f"the graph's context ({schema.__name__}) can't be built: {describe(error)}") from error


def find_shape(graph: AnyPregel, name: str, values: GraphValues) -> GraphShape | None:
    """Return the shape of `graph`, with the user's choice in `values`; None for one of messages alone."""
    builder = getattr(graph, "builder", None)
    if builder is not None:
        taken, given = builder.input_schema, builder.output_schema
        return shape_of_state(name, Fields(taken).known, Fields(given).known, values, _without_default(taken))
    if START in graph.channels and END in graph.channels:
        return _of_entrypoint(graph, name, values)
    if MESSAGES not in graph.channels:
        raise UsageError(f"the graph {name!r} holds no `messages`; it holds: {listed(graph.channels)}")
    return None


def _of_entrypoint(graph: AnyPregel, name: str, values: GraphValues) -> GraphShape:
    function = _entrypoint_function(graph)
    hints = None if function is None else type_hints(function)
    if hints is None:
        channel: Any = graph.channels[START]
        hint, returned = Any if isinstance(channel.UpdateType, str) else channel.UpdateType, Any
    else:
        first = next((one.name for one in parameters_of(function)), "")
        hint, returned = hints.get(first, Any), hints.get("return", Any)
    shape = shape_of_entrypoint(name, hint, Fields(hint).known, Fields(returned).known, values, _without_default(hint))
    # Of the messages of a thread, one with `previous` remembers what it wants.
    forgets = "previous" not in [one.name for one in parameters_of(function)]
    is_object = isinstance(hint, type) and (dataclasses.is_dataclass(hint) or issubclass(hint, BaseModel))
    return dataclasses.replace(shape, whole=hint if is_object else None, whole_thread=forgets)


def _entrypoint_function(graph: AnyPregel) -> Any:
    for node in graph.nodes.values():
        bound = getattr(node, "bound", None)
        function = getattr(bound, "func", None) or getattr(bound, "afunc", None)
        if function is not None:
            return inspect.unwrap(getattr(function, "func", function))
    return None
