"""Calls a factory: a function that makes a user graph, or something else that a project names, such as its store."""

import inspect
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from typing import Any, get_args, get_origin

from langgraph.store.base import BaseStore

from chatcli.runtime.type_hints import type_hints

_CONFIG: Mapping[str, Any] = {"configurable": {}, "metadata": {}}


async def call_factory(factory: Callable[..., Any], resources: AsyncExitStack, store: BaseStore | None = None) -> Any:
    """Return the object that `factory` makes; a context manager is entered, and closed with `resources`."""
    # As on LangGraph's server, it may take the run's config, the server's runtime with the `store`, or both.
    made = factory(**_arguments(factory, store))
    if inspect.isawaitable(made):
        made = await made
    if hasattr(made, "__aenter__"):
        made = await resources.enter_async_context(made)
    elif hasattr(made, "__enter__"):
        made = resources.enter_context(made)
    return made


def _arguments(factory: Callable[..., Any], store: BaseStore | None) -> dict[str, Any]:
    parameters = [
        one
        for one in inspect.signature(factory).parameters.values()
        if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)
    ]
    given: dict[str, Any] = {}
    for parameter in parameters:
        if store is not None and _takes_runtime(parameter, factory):
            given[parameter.name] = _runtime(store)
        elif parameter.default is parameter.empty or parameter.name == "config":
            given[parameter.name] = dict(_CONFIG)
    return given


def _takes_runtime(parameter: inspect.Parameter, factory: Callable[..., Any]) -> bool:
    """Return whether the annotation of `parameter` is the server's runtime; where there is none, its name decides."""
    if parameter.annotation is parameter.empty:
        return parameter.name == "runtime"
    from langgraph_sdk.runtime import ServerRuntime

    hints = type_hints(factory, extras=False, names={"ServerRuntime": ServerRuntime})
    annotation = parameter.annotation if hints is None else hints.get(parameter.name)
    if isinstance(annotation, str):
        return "ServerRuntime" in annotation
    kinds = {ServerRuntime, *map(get_origin, get_args(ServerRuntime.__value__))}
    return any(kind in kinds for one in (annotation, *get_args(annotation)) for kind in (one, get_origin(one)))


def _runtime(store: BaseStore) -> Any:
    """Return the runtime that LangGraph's server gives for a run; its class has no public name of its own."""
    from langgraph_sdk.runtime import ServerRuntime

    of_a_run = get_origin(get_args(ServerRuntime.__value__)[0])
    return of_a_run(access_context="threads.create_run", store=store)
