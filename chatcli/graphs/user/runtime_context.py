"""The runtime context of a user graph: an instance of its `context_schema`."""

import inspect
from collections.abc import Mapping
from typing import Any, is_typeddict

import typing_extensions
from pydantic import BaseModel, ValidationError

from chatcli.errors import MissingFieldError, UsageError
from chatcli.graphs.user.load import describe
from chatcli.runtime.exits import exits_contained


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
    if is_typeddict(schema) or typing_extensions.is_typeddict(schema):
        return _TypedContext(schema, given)
    is_model = issubclass(schema, BaseModel)  # its fields may have sources of their own, as in pydantic-settings
    if not is_model and (missing := [name for name in _required(schema) if name not in given]):
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


def _required(schema: type) -> list[str]:
    try:
        parameters = inspect.signature(schema).parameters.values()
    except ValueError:  # a class like `dict`, which takes anything
        return []
    return [
        parameter.name
        for parameter in parameters
        if parameter.default is parameter.empty
        and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    ]
