"""The classes whose instances a user graph keeps in its state, and that a checkpoint may therefore name."""

import dataclasses
import sys
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from types import ModuleType
from typing import Any, get_args

from pydantic import BaseModel

from chatcli.graphs.user.load import AnyPregel, is_in_library
from chatcli.graphs.user.spec import GraphSpec
from chatcli.runtime.type_hints import type_hints


def stored_types(graph: AnyPregel, spec: GraphSpec) -> set[tuple[str, str]]:
    """Return module and name of the classes that `graph` may keep: those of its project, and of its state's fields."""
    # The graph's own code has loaded every one of them, so a store that names one runs nothing new. What the store says
    # counts for nothing here.
    found: set[type] = set()
    for module in [*sys.modules.values()]:
        if _is_of_project(module, spec):
            found |= {one for one in vars(module).values() if _is_data(one) and one.__module__ == module.__name__}
    builder = getattr(graph, "builder", None)
    schemas = [getattr(builder, name, None) for name in ("state_schema", "input_schema", "output_schema")]
    for schema in (*schemas, *found.copy()):
        _add_fields(schema, found)
    return {(one.__module__, one.__name__) for one in found}


def _is_of_project(module: ModuleType, spec: GraphSpec) -> bool:
    name, file = getattr(module, "__name__", ""), getattr(module, "__file__", None)
    if spec.module and name.partition(".")[0] == spec.module.partition(".")[0]:
        return True
    if not isinstance(file, str) or is_in_library(file):
        return False
    folders = [spec.folder, *([spec.path.parent] if spec.path is not None else [])]
    return any(Path(file).is_relative_to(folder) for folder in folders)


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
