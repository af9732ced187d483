"""The project of a user graph: what its langgraph.json asks for, and the classes that its code lets a store restore."""

import dataclasses
import importlib.metadata
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from enum import Enum
from inspect import iscoroutinefunction
from pathlib import Path
from types import ModuleType
from typing import Any, cast, get_args

from langgraph.store.base import BaseStore, IndexConfig, TTLConfig
from langgraph.store.base.embed import ensure_embeddings
from packaging.requirements import InvalidRequirement, Requirement
from pydantic import BaseModel

from chatcli.config.installation import add_command
from chatcli.config.trust import PROJECT_FILE
from chatcli.errors import UsageError
from chatcli.graphs.user.load import AnyPregel, call_factory, describe, import_graph, is_in_library, loading
from chatcli.graphs.user.spec import GraphSpec, dependencies_of, environment_of
from chatcli.ranking import semantic
from chatcli.runtime.exits import exits_contained
from chatcli.runtime.type_hints import type_hints
from chatcli.sanitize import sanitize_line
from chatcli.store.items import ItemOptions
from chatcli.store.location import StoreLocation
from chatcli.text import one_line

_KNOWN = {
    *("graphs", "env", "dependencies", "python_version", "store", "$schema"),
    # The image that LangGraph builds, which says nothing to a program that runs the graph itself:
    *("image_distro", "dockerfile_lines", "base_image", "api_version", "pip_installer", "pip_config_file"),
    *("keep_pkg_tools", "node_version", "_INTERNAL_docker_tag"),
}


def enter_project(spec: GraphSpec) -> list[str]:
    """Set the environment and the module path of the project; return a line for each thing that it does not get."""
    project = spec.project
    roots, missing = _module_path(spec)
    for root in roots:
        if str(root) not in sys.path:
            sys.path.insert(0, str(root))
    variables, remark = environment_of(spec)
    for name, value in variables.items():
        if not name.startswith("CHATCLI_"):  # they are read by chatcli's own rules alone
            os.environ.setdefault(name, value)  # the user's shell takes precedence
    if remark:
        missing.append(remark)
    running = ".".join(map(str, sys.version_info[:2]))
    if (wanted := project.get("python_version")) and str(wanted) != running:
        missing.append(f"{PROJECT_FILE} asks for Python {wanted}; this is {running}")
    if rest := sorted(key for key, value in project.items() if key not in _KNOWN and value):
        missing.append(f"{PROJECT_FILE}: not used here: {', '.join(rest)}")
    return missing


def _module_path(spec: GraphSpec) -> tuple[list[Path], list[str]]:
    """Return the folders that modules are imported from, and a line for each dependency that is missing."""
    roots = [spec.folder]
    if spec.path is not None:  # and the nearest folder `src` above it
        roots += [spec.path.parent, *[folder for folder in spec.path.parents if folder.name == "src"][:1]]
    missing: list[str] = []
    for dependency in dependencies_of(spec.project):
        local = spec.folder / dependency
        if dependency.startswith(".") or local.is_dir():
            if (local / "__init__.py").is_file():  # it is the package itself, not a folder of packages
                roots.insert(0, local.resolve().parent)  # the last to be searched
            roots += [local.resolve(), *([local.resolve() / "src"] if (local / "src").is_dir() else [])]
            if not local.is_dir():
                missing.append(f"{PROJECT_FILE}: there is no folder {dependency}")
        elif problem := _missing(dependency):
            missing.append(f"{PROJECT_FILE} depends on {dependency}: {problem}")
    return roots, missing


def _missing(dependency: str) -> str:
    """Return the problem of a dependency, empty if it is installed."""
    try:
        wanted = Requirement(dependency)
    except InvalidRequirement:
        return "not the name of a package; install it yourself"
    if wanted.marker is not None and not wanted.marker.evaluate():
        return ""
    try:
        version = importlib.metadata.version(wanted.name)
    except importlib.metadata.PackageNotFoundError:
        return f"not installed here; {add_command(dependency)}"
    return "" if wanted.specifier.contains(version, prereleases=True) else f"{version} is installed here"


async def own_store(spec: GraphSpec, resources: AsyncExitStack) -> BaseStore | None:
    """Return the store that the project of `spec` brings along (`store.path`), closed with `resources`."""
    file, colon, name = str(_asked(spec).get("path", "")).rpartition(":")
    if not colon:
        return None
    of_store = GraphSpec(f"{PROJECT_FILE}:store", name, path=(spec.folder / file).resolve(), folder=spec.folder)
    found = import_graph(of_store)
    if not isinstance(found, BaseStore) and callable(found):
        with loading(of_store):
            found = await call_factory(found, resources)
    if not isinstance(found, BaseStore):
        raise UsageError(f"{PROJECT_FILE}: store.path gives a {type(found).__name__}, not a LangGraph store")
    return found


def item_options(spec: GraphSpec, location: StoreLocation, report: Callable[[str], None]) -> ItemOptions:
    """Return the project's wishes for a store at `location`; `report` takes a line on each that it can't have."""
    asked = _asked(spec)
    ttl = asked.get("ttl")
    if ttl and location.in_memory:
        report(f"{PROJECT_FILE}: store.ttl is not used: the store is in memory")
    return ItemOptions(
        index=_index(spec, asked["index"], location, report) if asked.get("index") else None,
        ttl=cast("TTLConfig", ttl) if isinstance(ttl, Mapping) and ttl else None,
        report=report,
    )


def _asked(spec: GraphSpec) -> Mapping[str, Any]:
    asked = spec.project.get("store")
    return asked if isinstance(asked, Mapping) else {}


def _index(
    spec: GraphSpec, index: Any, location: StoreLocation, report: Callable[[str], None]
) -> Callable[[], IndexConfig | None] | None:
    if not isinstance(index, Mapping) or not isinstance(index.get("dims"), int) or not index.get("embed"):
        report(f"{PROJECT_FILE}: store.index is not used: it needs `dims` and `embed`")
        return None
    embed = one_line(sanitize_line(str(index["embed"])), 80)
    without = f"{PROJECT_FILE}: store.index ({embed}) is not used, so the graph's store does not search by meaning"

    def make() -> IndexConfig | None:
        dims = index["dims"]
        try:
            with exits_contained():
                embeddings = ensure_embeddings(_embedding(spec, str(index["embed"])))
        except Exception as error:  # noqa: BLE001 - of a package, a provider's client, or the project's own code
            # A table of PostgreSQL holds vectors of one length, which the project says.
            if location.uri is not None or not semantic.is_usable():
                report(f"{without}: {describe(error)}")
                return None
            instead = "the extra `semantic` does its work"
            report(f"{PROJECT_FILE}: store.index ({embed}) can't be used, and {instead}: {describe(error)}")
            dims, embeddings = semantic.DIMENSIONS, ensure_embeddings(semantic.embed)
        made = IndexConfig(dims=dims, embed=embeddings)
        if isinstance(fields := index.get("fields"), list):
            made["fields"] = fields
        return made

    return make


def _embedding(spec: GraphSpec, embed: str) -> Any:
    """Return the embedding that `embed` names: `provider:model` as it is, or the function of a file."""
    file, _, name = embed.rpartition(":")
    if not file.endswith(".py"):
        return embed
    found: Any = import_graph(GraphSpec(embed, name, path=(spec.folder / file).resolve(), folder=spec.folder))
    if not iscoroutinefunction(found):
        return found

    def wait(texts: Iterable[str]) -> Any:
        import asyncio

        with ThreadPoolExecutor(1) as thread:  # whichever thread asks may run a loop already
            return thread.submit(asyncio.run, found(texts)).result()

    return wait


def stored_types(graph: AnyPregel, spec: GraphSpec) -> set[tuple[str, str]]:
    """Return module and name of the classes that `graph` may keep: those of its project, and of its state's fields."""
    # The graph's own code has loaded every one of them, so a store that names one runs nothing new. What the store says
    # counts for nothing here.
    found: set[type] = set()
    folders = [spec.folder, *([spec.path.parent] if spec.path is not None else [])]
    starts = tuple(str(folder).rstrip(os.sep) + os.sep for folder in folders)
    for module in [*sys.modules.values()]:
        if _is_of_project(module, spec.module.partition(".")[0], starts):
            found |= {one for one in vars(module).values() if _is_data(one) and one.__module__ == module.__name__}
    builder = getattr(graph, "builder", None)
    schemas = [getattr(builder, name, None) for name in ("state_schema", "input_schema", "output_schema")]
    for schema in (*schemas, *found.copy()):
        _add_fields(schema, found)
    return {(one.__module__, one.__name__) for one in found}


def _is_of_project(module: ModuleType, package: str, starts: tuple[str, ...]) -> bool:
    # As text: this is asked of every loaded module.
    name, file = getattr(module, "__name__", ""), getattr(module, "__file__", None)
    if package and name.partition(".")[0] == package:
        return True
    return isinstance(file, str) and not is_in_library(file) and os.path.normpath(file).startswith(starts)


def _is_data(one: object) -> bool:
    """Return whether `one` is a class that LangGraph writes with its name."""
    return isinstance(one, type) and (
        issubclass(one, BaseModel | Enum)
        or dataclasses.is_dataclass(one)
        or (issubclass(one, tuple) and hasattr(one, "_fields"))
    )


def _add_fields(schema: Any, found: set[type]) -> None:
    """Add to `found` the classes that the fields of `schema` name, and the fields of these."""
    if not hasattr(schema, "__annotations__"):
        return
    for hint in (type_hints(schema, extras=False) or {}).values():
        for one in _parts(hint):
            if _is_data(one) and one not in found:
                found.add(one)
                _add_fields(one, found)


def _parts(hint: Any) -> Iterator[Any]:
    yield hint
    for part in get_args(hint):
        yield from _parts(part)
