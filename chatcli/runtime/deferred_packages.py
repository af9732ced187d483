"""Makes imports cheaper: they leave out what a turn does not need, and no garbage is collected meanwhile."""

import gc
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from importlib.util import find_spec
from types import ModuleType
from typing import Any

DEFERRED = frozenset(
    (
        "acp",
        "distro",
        "idna",
        "langchain_openai",
        "langchain_openai.chat_models",
        "langgraph.stream",
        "langgraph_sdk",
        "langgraph_sdk.auth",
        "langsmith.types",
        "mcp",
        "mcp.server",
        "mcp.server.lowlevel",
        "openai.types",
        "openai.types.beta",
        "openai.types.graders",
        "openai.types.responses",
        "openai.types.shared",
        "psutil",
        "tiktoken",
    )
)
"""Packages whose `__init__` imports much that a turn does not need."""
_BUILT_LATE = ("langchain_core.", "langsmith.", "mcp.", "mcp_types.")
"""Prefixes of modules with many pydantic models, of which a turn needs few."""
_LAZY = frozenset(
    ("langchain_core", "langchain_openai", "langgraph", "langgraph_sdk", "langsmith", "openai", "requests")
)
"""Packages whose own imports wait, from Python 3.15 on, until a name is used: the large ones of a turn."""
_OBJECTS_WHILE_IMPORTING = 1_000_000
_OBJECTS_AFTER_IMPORTS = 50_000


class _DeferringLoader(SourceFileLoader):
    """Loads a package without running its `__init__`, which runs when a name is missing in the package."""

    def exec_module(self, module: ModuleType) -> None:
        def from_init(name: str) -> Any:
            path = f"{module.__name__}.{name}"
            if find_spec(path) is not None:  # a module needs no `__init__`, which may be what imports it just now
                return import_module(path)
            # As a module of its own, `__init__` has Python's own lock, and its relative imports stay the package's.
            init = import_module(f"{module.__name__}.__init__")
            for found, value in vars(init).items():
                vars(module).setdefault(found, value)
            return getattr(init, name)

        def names() -> list[str]:
            from_init("__doc__")
            return sorted(vars(module))

        vars(module).update(__getattr__=from_init, __dir__=names)


class _LateBuildingLoader(SourceFileLoader):
    """Loads a module whose pydantic models are built at their first use; pydantic then holds a lock."""

    def exec_module(self, module: ModuleType) -> None:
        from pydantic import BaseModel  # late: quick commands need no pydantic

        config = BaseModel.model_config
        before = config.get("defer_build", False)
        config["defer_build"] = True  # classes that are made now inherit it
        try:
            super().exec_module(module)
        finally:
            config["defer_build"] = before


LOADERS: dict[str, type[SourceFileLoader]] = dict.fromkeys(DEFERRED, _DeferringLoader)
"""What loads single modules; `tracing` adds some."""


class _Finder:
    """Finds the modules that are loaded in another way; Python's own finders find everything else."""

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        loader = LOADERS.get(name) or (_LateBuildingLoader if name.startswith(_BUILT_LATE) else None)
        spec = PathFinder.find_spec(name, path, target) if loader is not None else None
        if loader is not None and spec is not None and type(spec.loader) is SourceFileLoader:
            spec.loader = loader(spec.loader.name, spec.loader.path)
        return spec  # anything else is imported as usual


def defer_packages() -> None:
    """Let an import of a module in one of the packages `DEFERRED` import that module alone, and build models late."""
    # `from openai.types.chat import ...` runs `openai.types` first, which imports 475 modules of other parts of the
    # service: a third of the time to the first request. The packages stay whole: whoever asks one for a name gets it.
    # Python 3.15 can import lazily (https://peps.python.org/pep-0810/). It does so here for the packages `_LAZY` alone,
    # unless the user has chosen a mode: for all packages, httpcore2 and truststore fail.
    sys.meta_path.insert(0, _Finder)
    if sys.version_info >= (3, 15) and sys.get_lazy_imports() == "normal":
        sys.set_lazy_imports_filter(lambda importer, *_: importer.partition(".")[0] in _LAZY)
        sys.set_lazy_imports("all")


def put_off_collections() -> None:
    """Make Python collect garbage only after a million new objects, which no import creates."""
    # With Python's own threshold of 700, hundreds of collections examine all imported objects and find nothing: a
    # quarter of the time to the first request, for the same peak of memory. With 50,000, each takes 16 ms, which delays
    # a key.
    gc.set_threshold(_OBJECTS_WHILE_IMPORTING)


def resume_collections() -> None:
    """Allow collections again where they were put off, but leave out the objects that exist now."""
    if gc.get_threshold()[0] == _OBJECTS_WHILE_IMPORTING:
        gc.freeze()
        gc.set_threshold(_OBJECTS_AFTER_IMPORTS)
