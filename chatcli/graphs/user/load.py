"""Loads a user graph: runs its module, and names the line of its code in each failure."""

import importlib
import importlib.util
import inspect
import os
import re
import sys
import sysconfig
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, get_args, get_origin

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.errors import GraphRecursionError, is_invalid_resume
from langgraph.graph import StateGraph
from langgraph.pregel import Pregel
from langgraph.store.base import BaseStore

import chatcli
from chatcli.config.installation import add_command, requirement_of
from chatcli.config.secrets import redact, secrets_of
from chatcli.errors import AuthError, ChatcliError, ExitCallError, GraphError, UsageError, limit_of
from chatcli.graphs.user.kinds import WANTED, Kind, NotAGraphError, kind_of
from chatcli.graphs.user.spec import GraphSpec, dependencies_of, explain_missing_key
from chatcli.graphs.user.wrap import wrap_function, wrap_runnable
from chatcli.models.errors import MAX_MESSAGE, translate_foreign
from chatcli.models.sdk_errors import chain, missing_key
from chatcli.runtime.exits import exits_contained
from chatcli.runtime.type_hints import parameters_of, type_hints
from chatcli.store.errors import as_store_error
from chatcli.text import one_line

MAX_REASON = 300
"""Characters of an exception's message that are shown."""
MAX_NODE = 80
_TASK = re.compile(r"During task with name '(.+)' and id '")
"""The note that LangGraph adds to an exception, for each task that it leaves."""
_STORES = ("chatcli.store.", "langgraph.checkpoint.", "langgraph.store.")
"""The packages that keep threads, and what graphs remember."""
_OF_CHAT = re.compile(r"(?<!\S)`?(-m\b|--(?!store|debug)\w|chat (keys|models|-m))")
_OURS = f"{Path(chatcli.__file__).parent}{os.sep}"
_CALLERS = (
    _OURS,
    *(f"{sysconfig.get_path('purelib')}{os.sep}{name}{os.sep}" for name in ("langgraph", "langchain_core")),
)
"""The folders of what calls a graph's code, as their files' names begin."""
_LIBRARIES = (_OURS, *(sysconfig.get_path(name) + os.sep for name in ("stdlib", "platstdlib", "purelib", "platlib")))

AnyPregel = Pregel[Any, Any, Any, Any]

_importing = threading.RLock()
_imported: dict[Path, tuple[tuple[int, int], ModuleType]] = {}
"""The files that were run, each with its time and size then."""
_CONFIG: Mapping[str, Any] = {"configurable": {}, "metadata": {}}
"""What a factory gets as the config of a run."""


@contextmanager
def loading(spec: GraphSpec) -> Iterator[None]:
    """Raise what the code of `spec` raises while it is loaded as the reason why the graph can't be loaded."""
    try:
        with exits_contained():
            yield
    except Exception as error:
        if isinstance(error, ChatcliError) and not isinstance(error, ExitCallError):
            raise
        if (known := _missing_key(error, spec) or limit_of(error)) is not None:
            raise known from error
        message = f"the graph {spec.title!r} can't be loaded: {describe(error)}"
        raise UsageError(message, remedy=_install(error, spec)) from error


def running_failure(error: BaseException, spec: GraphSpec) -> ChatcliError:
    """Return the error that ended a turn of the graph of `spec`: a provider's, the store's, or the graph's own."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:  # an asyncio.TaskGroup's
        error.exceptions[0].__notes__ = [*getattr(error.exceptions[0], "__notes__", ()), *_notes(error)]
        error = error.exceptions[0]
    failure: ChatcliError
    owner = f"the graph {spec.title!r}"
    if isinstance(error, ExitCallError):
        failure = GraphError(f"{owner} failed{_in_node(error)}: {describe(error)}", remedy=error.remedy)
    elif isinstance(error, ChatcliError):
        failure = error
    elif isinstance(error, GraphRecursionError):
        failure = GraphError(
            f"{owner} was stopped: it took too many steps without reaching its end",
            remedy="Look for a loop in it, or give it a larger recursion_limit by graph.with_config().",
        )
    elif is_invalid_resume(error):
        failure = UsageError(f"the answer is not what the graph expects: {_line(error)}", remedy="Answer it again.")
    elif (missing := _missing_key(error, spec)) is not None:
        failure = missing
    elif (known := limit_of(error) or _store_failure(error) or _model_failure(error, owner)) is not None:
        # A graph has its own models: options and commands for those of `chat` are no remedy.
        remedy = "" if _OF_CHAT.search(known.remedy) else known.remedy
        failure = type(known)(one_line(_redact(known.message), MAX_MESSAGE), remedy=remedy)
    else:
        failure = GraphError(f"{owner} failed{_in_node(error)}: {describe(error)}", remedy=_install(error, spec))
    if failure is not error:
        failure.__cause__ = error
    return failure


def _notes(error: BaseException) -> list[str]:
    return [note for note in getattr(error, "__notes__", ()) if isinstance(note, str)]


def _in_node(error: BaseException) -> str:
    """Return the words for the node that raised `error`, with the nodes around it; empty where LangGraph names none."""
    names = [found.group(1) for note in _notes(error) if (found := _TASK.match(note))]
    return f" in the node {one_line(_redact('/'.join(reversed(names))), MAX_NODE)}" if names else ""


def _store_failure(error: BaseException) -> ChatcliError | None:
    """Return `error` as a failure of the store, unless it is that of a node that uses a database or files itself."""
    modules = [str(frame.f_globals.get("__name__")) for frame, _ in traceback.walk_tb(error.__traceback__)]
    by_node = _in_node(error) and not any(module.startswith(_STORES) for module in modules)
    return None if by_node else as_store_error(error)


def _model_failure(error: BaseException, owner: str) -> ChatcliError | None:
    """Return the failure of a model that `error` is, or that a library raised it for; None if it is the graph's own."""
    seen: BaseException | None = error
    while seen is not None:
        if (failure := translate_foreign(seen, owner)) is not None:
            return failure
        frames = traceback.extract_tb(seen.__traceback__)
        seen = None if frames and not is_in_library(frames[-1].filename) else seen.__cause__  # the user's own is final
    return None


def _install(error: BaseException, spec: GraphSpec) -> str:
    """Return how to install the package whose lack `error` reports; empty if it reports something else."""
    absent = next((each.name for each in chain(error) if isinstance(each, ModuleNotFoundError) and each.name), "")
    requirement = requirement_of(absent, dependencies_of(spec.project)) if absent else ""
    return f"Install it: {add_command(requirement)}" if requirement else ""


def _missing_key(error: BaseException, spec: GraphSpec) -> AuthError | None:
    variable = missing_key(error)
    if not variable:
        return None
    message = f"the graph {spec.title!r} needs a key that is not set: {variable}"
    failure = AuthError(message, remedy=f"Set it in the environment: export {variable}=...")
    return explain_missing_key(failure, variable, spec)


def describe(error: BaseException) -> str:
    """Return `error` in one line, with the file and line in the graph's code, without any key."""
    place = find_place(error)
    if place is None:
        return _line(error)
    file = Path(place[0])
    shown = file.relative_to(Path.cwd()) if file.is_relative_to(Path.cwd()) else file
    return f"{_line(error)} ({shown}, line {place[1]})"


def find_place(error: BaseException) -> tuple[str, int] | None:
    """Return the file and line of the innermost frame of `error` in the user's code, not in a library."""
    if isinstance(error, SyntaxError) and error.filename:
        return error.filename, error.lineno or 0
    frames = [(frame.filename, frame.lineno or 0) for frame in traceback.extract_tb(error.__traceback__)]
    frames = [frame for frame in frames if not frame[0].startswith("<") and not frame[0].startswith(_CALLERS)]
    own = [frame for frame in frames if not is_in_library(frame[0])]
    # The user graph may be an installed package.
    return next((found[-1] for found in (own, frames) if found), None)


def is_in_library(file: str) -> bool:
    """Return whether `file` belongs to an installed package, to Python, or to chatcli."""
    return file.startswith(_LIBRARIES)


def _redact(text: str) -> str:
    return redact(text, secrets_of(os.environ))


def _line(error: BaseException) -> str:
    if isinstance(error, ExitCallError):
        return f"it {error.ended}"
    message = error.msg if isinstance(error, SyntaxError) else str(error)
    return one_line(_redact(one_line(f"{type(error).__name__}: {message}")).rstrip(": "), MAX_REASON)


def import_graph(spec: GraphSpec) -> object:
    """Run the module of `spec` and return the object with the graph's name, for `make_graph`."""
    if spec.target is not None:
        return spec.target
    with loading(spec):
        module = _import_file(spec.path) if spec.path is not None else importlib.import_module(spec.module)
    try:
        return getattr(module, spec.name)
    except AttributeError:
        held = sorted(name for name, value in vars(module).items() if isinstance(value, Pregel | StateGraph))
        where = spec.path.name if spec.path is not None else spec.module
        hint = "It has no graph; name a graph, or a function that returns one."
        if held:
            hint = f"Its graphs: {', '.join(held)}."
        raise UsageError(f"{where} has no {spec.name!r}", remedy=hint) from None


async def make_graph(
    found: object,
    spec: GraphSpec,
    checkpointer: Any,
    resources: AsyncExitStack,
    store: BaseStore | None = None,
) -> AnyPregel:
    """Return `found`, of the module of `spec`, as a compiled graph: whatever of `kinds.Kind` it is.

    A factory may take the run's config, be asynchronous, or return a context manager, which is closed with `resources`;
    if it asks for the server's runtime, that has `store`. `checkpointer` is for a graph that has none itself.
    """
    kind = kind_of(found, repr(spec.title))
    if kind is Kind.FACTORY:
        assert callable(found)
        with loading(spec):
            found = await call_factory(found, resources, store)
        kind = kind_of(found, f"what {spec.title!r} returned")
    graph = as_graph(found, kind, spec)
    if not isinstance(graph.checkpointer, BaseCheckpointSaver):
        graph = graph.copy(update={"checkpointer": checkpointer})
    return graph


def as_graph(found: Any, kind: Kind, spec: GraphSpec) -> AnyPregel:
    """Return `found`, of a `kind` that is no factory, as a compiled graph."""
    if kind is Kind.FACTORY:
        raise NotAGraphError(f"{spec.title!r} returns a function, not a graph", remedy=f"Return {WANTED}.")
    if kind is not Kind.GRAPH:
        found = wrap_function(found) if kind is Kind.FUNCTION else wrap_runnable(found)
    if isinstance(found, StateGraph):
        try:
            found = found.compile()
        except ValueError as error:  # the builder is not complete
            raise UsageError(f"the graph {spec.title!r} can't be compiled: {error}") from error
    assert isinstance(found, Pregel)
    return found


def _import_file(path: Path) -> ModuleType:
    """Import the file at `path`; a file in a package gets its name there, so that its relative imports work."""
    # Several conversations in one process share the module, and so its classes, until the file changes.
    parts, folder = [path.stem], path.parent
    while (folder / "__init__.py").is_file():
        parts.insert(0, folder.name)
        folder = folder.parent
    name = ".".join(parts)
    if len(parts) > 1:
        if sys.path[:1] != [str(folder)]:  # first: an installed package may have the same name
            sys.path.insert(0, str(folder))
        return importlib.import_module(name.removesuffix(".__init__"))
    with _importing:
        status = path.stat()
        version = status.st_mtime_ns, status.st_size
        known = _imported.get(path)
        if known is None or known[0] != version:
            known = _imported[path] = version, _run_file(path, name if known is None else known[1].__name__)
        return known[1]


def _run_file(path: Path, name: str) -> ModuleType:
    """Run the file at `path` as the module `name`, or under another name if that is taken."""
    ours = name in sys.modules and getattr(sys.modules[name], "__file__", None) == str(path)
    if (name in sys.modules and not ours) or not name.isidentifier() or name in sys.stdlib_module_names:
        name = f"chatcli_graph_{path.stem}"  # the file has the name of another module
    before = sys.modules.get(name)
    found = importlib.util.spec_from_file_location(name, path)
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    sys.modules[name] = module  # before it runs: dataclasses and pickle look it up
    try:
        found.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        if before is not None:
            sys.modules[name] = before
        raise
    return module


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
    given: dict[str, Any] = {}
    for parameter in parameters_of(factory):
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
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
