"""Watches LangSmith's tracing, if its variables switch it on, and else leaves its package out of the process."""

import os
import sys
from collections import defaultdict
from collections.abc import Callable
from importlib.machinery import SourceFileLoader
from threading import RLock, Thread
from types import ModuleType
from typing import Any

from chatcli.runtime.deferred_packages import LOADERS
from chatcli.text import one_line

SEND_TRACES_SECONDS = 2.0
"""Maximum number of seconds that a trace may delay the end of the program."""
_failures: list[Exception] = []
_VARIABLES = ("LANGSMITH_TRACING_V2", "LANGCHAIN_TRACING_V2", "LANGSMITH_TRACING", "LANGCHAIN_TRACING")


def watch_tracing() -> None:
    """Note the failures of LangSmith's tracing from now on, if its variables switch it on."""
    # Call it after langchain-core is imported, which imports LangSmith's package too.
    from langsmith.utils import tracing_is_enabled

    if not tracing_is_enabled():
        return
    import logging

    from langsmith.run_trees import get_cached_client
    from langsmith.utils import LangSmithError

    # It also logs what `trace_failure` returns; without a handler, that would go to stderr.
    logging.getLogger("langsmith").addHandler(logging.NullHandler())
    try:
        get_cached_client(tracing_error_callback=_failures.append)  # the client that langchain's tracer will use
    except LangSmithError as error:
        _failures.append(error)


def trace_failure() -> str:
    """Return why LangSmith refused a trace, empty where it did not; the text may hold a key."""
    if not _failures:
        return ""
    reason, _, _ids = str(_failures[-1]).partition("trace=")
    return one_line(reason)


def finish_tracing() -> bool:
    """Send the rest of the traces; return whether that is done, or was given up after SEND_TRACES_SECONDS."""
    # LangSmith's own threads would retry an unreachable server for many seconds, and wait for a hanging one for
    # minutes. After giving up, only `os._exit` ends without them.
    # The client that all tracers share; LangSmith's package may be imported in part only: see `_UNUSED`.
    trees = sys.modules.get("langsmith.run_trees")
    client = trees and vars(trees).get("_CLIENT")
    if client is None:  # nothing was traced
        return True
    sending = Thread(target=client.flush, daemon=True)
    try:
        sending.start()
        sending.join(SEND_TRACES_SECONDS)
    except (RuntimeError, KeyboardInterrupt):  # no thread can be started, or the user does not wait
        return False
    return not sending.is_alive()


class _Unused:
    """A name of a module that has not run: its use runs that, but until then, a call returns `untraced`'s result."""

    def __init__(self, module: str, name: str, untraced: Callable[[], object] | None = None) -> None:
        self._module, self._name, self._untraced = module, name, untraced

    def _real(self) -> Any:
        module = sys.modules[self._module]
        _run(module)
        return getattr(module, self._name)

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        if self._untraced is not None and not _has_run:
            return self._untraced()
        return self._real()(*arguments, **named)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real(), name)

    def __mro_entries__(self, bases: tuple[object, ...]) -> tuple[Any, ...]:
        return (self._real(),)

    def __instancecheck__(self, instance: object) -> bool:
        return isinstance(instance, self._real())

    def model_dump(self, run: Any, **named: Any) -> Any:  # langchain-core asks early whether the class `Run` has it
        return self._real().model_dump(run, **named)


# langchain-core imports these modules for annotations, for the base class of tracers, and at each step of a graph.
_UNUSED: dict[str, dict[str, Callable[[], object] | None]] = {
    "langsmith.address": {},
    "langsmith.client": {"Client": None},
    "langsmith.run_helpers": {
        "_set_tracing_context": lambda: None,
        "get_tracing_context": lambda: defaultdict[str, None](lambda: None),
    },
    "langsmith.run_trees": {"RunTree": None},
    "langsmith.utils": {"tracing_is_enabled": lambda: False},
    "requests": {"HTTPError": None, "Response": None},
}
"""The names that a process asks of them that traces nothing, with what such a call returns."""
_has_run: set[str] = set()
_lock = RLock()


def _run(module: ModuleType) -> None:
    """Run the code of `module` in it, and put its names in place of those that others have imported."""
    with _lock:  # another thread waits for the whole module
        name = module.__name__
        if name in _has_run:
            return
        _has_run.add(name)
        unused = {id(vars(module)[wanted]): wanted for wanted in _UNUSED[name]}
        SourceFileLoader.exec_module(module.__spec__.loader, module)  # type: ignore[union-attr,arg-type]
        for other in list(sys.modules.values()):
            names = getattr(other, "__dict__", {})  # a module that must not be imported is None there
            for key, value in list(names.items()):
                if id(value) in unused:
                    names[key] = vars(module)[unused[id(value)]]


class _Loader(SourceFileLoader):
    """Loads a module with its names in `_UNUSED` alone; the first other name that is asked for runs it."""

    def exec_module(self, module: ModuleType) -> None:
        def find(name: str) -> Any:
            if not name.startswith("__"):
                _run(module)
                if name in vars(module):
                    return vars(module)[name]
            raise AttributeError(f"module {module.__name__!r} has no attribute {name!r}")

        unused = {name: _Unused(module.__name__, name, result) for name, result in _UNUSED[module.__name__].items()}
        vars(module).update(unused, __getattr__=find)


def leave_out_tracing() -> None:
    """Import LangSmith's package and requests only when they are used, unless the environment switches tracing on.

    aiohttp is never imported: where it is installed, OpenAI's SDK derives a client from it, which nobody uses here.
    """
    # Importing them takes 13 % of the CPU of a one-shot, and 10 MB; aiohttp takes 8 %.
    modules: dict[str, Any] = sys.modules
    modules.setdefault("openai._vendor.httpx_aiohttp", None)  # then its import fails
    if not any(os.environ.get(name) for name in _VARIABLES):
        LOADERS.update(dict.fromkeys(_UNUSED, _Loader))
