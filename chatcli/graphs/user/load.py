"""Loads a user graph: its module is run, its failures are named by the line of the user's code."""

import importlib
import importlib.util
import os
import sys
import sysconfig
import traceback
from collections.abc import Collection
from contextlib import AsyncExitStack
from pathlib import Path
from types import ModuleType
from typing import Any, get_type_hints

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.errors import GraphRecursionError, is_invalid_resume
from langgraph.graph import StateGraph
from langgraph.pregel import Pregel
from langgraph.store.base import BaseStore

import chatcli
from chatcli.config.secrets import redact, secrets_of
from chatcli.errors import AuthError, ChatcliError, GraphError, UsageError
from chatcli.graphs.user.env_file import explain_missing_key
from chatcli.graphs.user.factory import call_factory
from chatcli.graphs.user.spec import GraphSpec
from chatcli.models.errors import shorten, translate_foreign
from chatcli.models.sdk_errors import missing_key
from chatcli.store.errors import as_store_error
from chatcli.text_lines import one_line

MAX_REASON = 300
"""Characters of an exception's message that are shown."""
_OURS = str(Path(chatcli.__file__).parent)
_LIBRARIES = (_OURS, *(sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")))

AnyPregel = Pregel[Any, Any, Any, Any]
MESSAGES = "messages"


def loading_failure(error: BaseException, spec: GraphSpec) -> ChatcliError:
    """Return why the graph of `spec` can't be loaded."""
    if isinstance(error, ChatcliError):
        return error
    if (missing := _missing_key(error, spec)) is not None:
        return missing
    return UsageError(f"the graph {spec.name!r} can't be loaded: {describe(error)}")


def running_failure(error: BaseException, spec: GraphSpec) -> ChatcliError:
    """Return the error that ended a turn of the graph of `spec`: a provider's, the store's, or the graph's own."""
    if isinstance(error, ChatcliError):
        failure = error
    elif isinstance(error, GraphRecursionError):
        failure = GraphError(
            f"the graph {spec.name!r} was stopped: it took too many steps without reaching its end",
            remedy="Look for a loop in it, or give it a larger recursion_limit by graph.with_config().",
        )
    elif is_invalid_resume(error):
        failure = UsageError(f"the answer is not what the graph expects: {_line(error)}", remedy="Answer it again.")
    elif (missing := _missing_key(error, spec)) is not None:
        failure = missing
    elif (known := as_store_error(error) or translate_foreign(error, f"the graph {spec.name!r}")) is not None:
        failure = type(known)(shorten(_redact(known.message)), remedy=known.remedy)
    else:
        failure = GraphError(f"the graph {spec.name!r} failed: {describe(error)}")
    if failure is not error:
        failure.__cause__ = error
    return failure


def _missing_key(error: BaseException, spec: GraphSpec) -> AuthError | None:
    variable = missing_key(error)
    if not variable:
        return None
    message = f"the graph {spec.name!r} needs a key that is not set: {variable}"
    failure = AuthError(message, remedy=f"Set it in the environment: export {variable}=...")
    return explain_missing_key(failure, variable, spec)


def describe(error: BaseException) -> str:
    """Return `error` in one line, with the file and line of the user's code, without any key."""
    place = find_place(error)
    where = f" ({_shown(place[0])}, line {place[1]})" if place is not None else ""
    return f"{_line(error)}{where}"


def find_place(error: BaseException) -> tuple[str, int] | None:
    """Return the file and line of the innermost frame of `error` in the user's code, not in a library."""
    if isinstance(error, SyntaxError) and error.filename:
        return error.filename, error.lineno or 0
    frames = [(frame.filename, frame.lineno or 0) for frame in traceback.extract_tb(error.__traceback__)]
    frames = [frame for frame in frames if not frame[0].startswith("<") and not _in(frame[0], (_OURS,))]
    own = [frame for frame in frames if not is_in_library(frame[0])]
    # The user graph may be an installed package.
    return next((found[-1] for found in (own, frames) if found), None)


def is_in_library(file: str) -> bool:
    """Return whether `file` belongs to an installed package, to Python, or to chatcli."""
    return _in(file, _LIBRARIES)


def _redact(text: str) -> str:
    """Return `text` without the keys, tokens and passwords in the environment."""
    return redact(text, secrets_of(os.environ))


def _line(error: BaseException) -> str:
    message = error.msg if isinstance(error, SyntaxError) else str(error)
    return one_line(_redact(one_line(f"{type(error).__name__}: {message}")).rstrip(": "), MAX_REASON)


def _in(file: str, folders: tuple[str, ...]) -> bool:
    return any(Path(file).is_relative_to(folder) for folder in folders)


def _shown(file: str) -> str:
    path = Path(file)
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else file


def import_graph(spec: GraphSpec) -> object:
    """Run the module of `spec` and return the object with the graph's name, for `make_graph`.

    Raises:
        UsageError: The module fails (the message names the line of the user's code), or it has no such name.

    """
    try:
        module = _import_file(spec.path) if spec.path is not None else importlib.import_module(spec.module)
    except Exception as error:
        raise loading_failure(error, spec) from error
    try:
        return getattr(module, spec.name)
    except AttributeError:
        held = sorted(name for name, value in vars(module).items() if isinstance(value, Pregel | StateGraph))
        where = spec.path.name if spec.path is not None else spec.module
        hint = (
            f"Its graphs: {', '.join(held)}."
            if held
            else "It has no graph; name a graph, or a function that returns one."
        )
        raise UsageError(f"{where} has no {spec.name!r}", remedy=hint) from None


async def make_graph(
    found: object,
    spec: GraphSpec,
    checkpointer: Any,
    resources: AsyncExitStack,
    store: BaseStore | None = None,
) -> AnyPregel:
    """Return `found` as a compiled graph: it is a graph, a builder, or a function that returns one.

    Args:
        found: The object in the user's module. A function may take the run's config, be asynchronous, or return
            a context manager, which is closed with `resources`.
        spec: The place where it was found.
        checkpointer: Holds the threads if the graph has no checkpointer itself.
        resources: Closed when the graph is no longer needed.
        store: What a factory that asks for the server's runtime gets as its store.

    Raises:
        UsageError: It is not a graph, can't be created, or has no messages in its state.

    """
    if not isinstance(found, Pregel | StateGraph) and callable(found):
        try:
            found = await call_factory(found, resources, store)
        except Exception as error:
            raise loading_failure(error, spec) from error
    if isinstance(found, StateGraph):
        try:
            found = found.compile(checkpointer=checkpointer)
        except ValueError as error:  # the builder is not complete
            raise UsageError(f"the graph {spec.name!r} can't be compiled: {error}") from error
    if not isinstance(found, Pregel):
        raise UsageError(
            f"{spec.name!r} is a {type(found).__name__}, not a graph",
            remedy="Name a compiled graph, a StateGraph, or a function that returns one.",
        )
    if not isinstance(found.checkpointer, BaseCheckpointSaver):
        found = found.copy(update={"checkpointer": checkpointer})
    _check_state(found, spec)
    return found


def _check_state(graph: AnyPregel, spec: GraphSpec) -> None:
    builder = getattr(graph, "builder", None)
    state: Collection[str]
    taken: Collection[str]
    if builder is not None:
        state, taken = _fields(builder.state_schema), _fields(builder.input_schema)
    else:
        state, taken = graph.channels, graph.channels
    held = ", ".join(sorted(name for name in state if not name.startswith("__"))) or "nothing"
    if MESSAGES not in state:
        raise UsageError(
            f"the state of the graph {spec.name!r} holds no `messages`; it holds: {held}",
            remedy="A conversation needs them: build the state on langgraph.graph.MessagesState.",
        )
    if MESSAGES not in taken:
        raise UsageError(
            f"the input of the graph {spec.name!r} holds no `messages`; it holds: {', '.join(sorted(taken))}",
            remedy="A conversation begins with them: let the input schema hold them too.",
        )


def _fields(schema: Any) -> Collection[str]:
    """Return the names of the fields of a graph's schema; a type without fields, such as a list, has none."""
    return get_type_hints(schema) if hasattr(schema, "__annotations__") else ()


def _import_file(path: Path) -> ModuleType:
    """Import the file at `path`; a file in a package gets its name there, so that its relative imports work."""
    parts, folder = [path.stem], path.parent
    while (folder / "__init__.py").is_file():
        parts.insert(0, folder.name)
        folder = folder.parent
    name = ".".join(parts)
    if len(parts) > 1:
        if sys.path[:1] != [str(folder)]:  # first: an installed package may have the same name
            sys.path.insert(0, str(folder))
        return importlib.import_module(name.removesuffix(".__init__"))
    if name in sys.modules or not name.isidentifier() or name in sys.stdlib_module_names:
        name = f"chatcli_graph_{path.stem}"  # the file has the name of another module
    found = importlib.util.spec_from_file_location(name, path)
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    sys.modules[name] = module  # before it runs: dataclasses and pickle look it up
    try:
        found.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
