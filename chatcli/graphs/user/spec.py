"""The graph that `--graph` names, found and checked before any of its code runs; and the variables of its project."""

import importlib.util
import os
import re
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chatcli.config.files import DOTENV, parse_dotenv
from chatcli.config.settings import is_ours
from chatcli.config.trust import PROJECT_FILE, FolderFile, UnsafeFileError, is_trusted, read_folder_file
from chatcli.errors import AuthError, UsageError
from chatcli.models.names import GRAPH, ModelName
from chatcli.runtime.files import read_file
from chatcli.runtime.parse import read_json
from chatcli.sanitize import sanitize_line

_FORMS = "Give path/to/file.py:name, package.module:name, or a name from ./langgraph.json."
_SHOWN_NAMES = 20


@dataclass(frozen=True, slots=True)
class GraphSpec:
    """A graph that may be loaded: `name` of the module at `path`, or of the importable `module`."""

    # `project` is the content of the langgraph.json in `folder`, if the graph was found there or it lists its file.
    # `target` is the object itself, where a program gives it to the library.
    label: str
    name: str
    path: Path | None = None
    module: str = ""
    folder: Path = field(default_factory=Path.cwd)
    project: Mapping[str, Any] = field(default_factory=dict)
    target: object = field(default=None, repr=False, compare=False)

    @property
    def title(self) -> str:
        """The name for messages: that in langgraph.json where the graph was named by it."""
        return self.label.rpartition(":")[2] if self.target is None else self.name

    @property
    def model_name(self) -> ModelName:
        """The name in turns and in the index of threads, from which the graph can be found again in any folder."""
        return ModelName(GRAPH, self.label)


def dependencies_of(project: Mapping[str, Any]) -> list[str]:
    """Return the dependencies that `project`, the content of a langgraph.json, lists."""
    listed = project.get("dependencies")
    return [each for each in listed if isinstance(each, str)] if isinstance(listed, list) else []


def find_graph(spec: str) -> GraphSpec:
    """Return the graph that `spec` names."""
    try:
        return _find(spec)
    except (OSError, RuntimeError, ValueError) as error:  # a name that is too long, ~ of an unknown user, a zero byte
        raise UsageError(f"{spec[:200]!r} does not name a graph: {error}", remedy=_FORMS) from None


def _find(spec: str) -> GraphSpec:
    source, colon, name = spec.strip().rpartition(":")
    if not colon:
        return _in_project(Path.cwd() / PROJECT_FILE, spec.strip())
    if not source or not name:
        raise UsageError(f"{spec!r} does not name a graph", remedy=_FORMS)
    if Path(source).name == PROJECT_FILE:
        return _in_project(Path(source).expanduser().resolve(), name)
    if source.endswith((".ts", ".js", ".mts", ".mjs")):
        raise UsageError(f"{source} is JavaScript, which can't be run here", remedy="Serve it, and give --url.")
    if source.endswith(".py") or "/" in source:
        path = Path(source).expanduser().resolve()
        if not path.is_file():
            raise UsageError(f"there is no file {source}", remedy=_FORMS)
        folder, project = _project_of(path)
        return GraphSpec(f"{path}:{name}", name, path=path, folder=folder, project=project)
    return GraphSpec(spec.strip(), name, module=_find_module(source))


def _project_of(path: Path) -> tuple[Path, Mapping[str, Any]]:
    """Return the folder and the content of the nearest langgraph.json above `path` that lists this file."""
    # Where there is none, it is the current folder, and nothing. One of another user, as in a shared folder, is none.
    for folder in path.parents:
        try:
            file = read_folder_file(PROJECT_FILE, folder)
            project = read_json(file.content.decode()) if file is not None else None
        except (OSError, ValueError):
            continue
        if isinstance(project, dict) and isinstance(project.get("graphs"), dict) and _lists(project, folder, path):
            return folder, project
    return Path.cwd(), {}


def _lists(project: Mapping[str, Any], folder: Path, path: Path) -> bool:
    """Return whether a graph of the `project` in `folder` is in the file `path`, named by its path or as a module."""
    for entry in project["graphs"].values():
        source = str(_target(entry)).rpartition(":")[0]
        if _is_path(source):
            if (folder / source).resolve() == path:
                return True
        elif source and path.with_suffix("").parts[-len(parts := source.split(".")) :] == tuple(parts):
            return True
    return False


def _target(entry: Any) -> Any:
    return entry.get("path", "") if isinstance(entry, Mapping) else entry


def _is_path(source: str) -> bool:
    return re.search(r"[/\\]|\.py$", source) is not None


def _find_module(module: str) -> str:
    if not all(part.isidentifier() for part in module.split(".")):
        raise UsageError(f"{module!r} is not a module name", remedy=_FORMS)
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    # Only the outermost package: to look deeper would run its code.
    if importlib.util.find_spec(module.partition(".")[0]) is None:
        raise UsageError(f"there is no module {module}", remedy=_FORMS)
    return module


def _in_project(file: Path, name: str) -> GraphSpec:
    project = _read_project(file, name)
    graphs = project["graphs"]
    if name not in graphs:
        known = ", ".join(sorted(graphs)) or "none"
        raise UsageError(f"{file.name} has no graph {name!r}", remedy=f"It has: {known}.")
    entry = graphs[name]
    target = _target(entry)
    source, colon, variable = str(target).rpartition(":")
    if not colon or not source or not variable:
        raise UsageError(f"{file.name}: the graph {name!r} is {target!r}, not path/to/file.py:name")
    label = f"{file}:{name}"
    if source.endswith((".ts", ".js", ".mts", ".mjs")):
        raise UsageError(f"the graph {name!r} is JavaScript, which can't be run here", remedy="Serve it: --url.")
    if _is_path(source):
        path = (file.parent / source).resolve()
        if not path.is_file():
            raise UsageError(f"{file.name}: the graph {name!r} is in {source}, which does not exist")
        return GraphSpec(label, variable, path=path, folder=file.parent, project=project)
    return GraphSpec(label, variable, module=source, folder=file.parent, project=project)


def _read_project(file: Path, name: str) -> dict[str, Any]:
    try:
        project = read_json(read_file(file).decode())
    except FileNotFoundError:
        raise UsageError(
            f"{name!r} does not name a graph: there is no {PROJECT_FILE} in {file.parent}", remedy=_FORMS
        ) from None
    except (OSError, ValueError) as error:
        raise UsageError(f"{file} can't be read: {error}") from None
    if not isinstance(project, dict) or not isinstance(project.get("graphs"), dict):
        raise UsageError(f"{file} lists no graphs", remedy='It should hold {"graphs": {"NAME": "./file.py:variable"}}.')
    return project


def environment_of(spec: GraphSpec) -> tuple[Mapping[str, str], str]:
    """Return the variables that `env` of the project of `spec` gives, and a line on what is left out."""
    folder, env = spec.folder, spec.project.get("env")
    if isinstance(env, dict):
        return {str(name): str(value) for name, value in env.items()}, ""
    if not isinstance(env, str) or not env:
        return {}, ""
    try:
        file = _env_file(folder, env)
        variables = parse_dotenv(file.content) if file is not None else {}
    except UnsafeFileError as error:
        return {}, f"{PROJECT_FILE}: {env} is left out: {error}"
    except (OSError, ValueError) as error:
        raise UsageError(f"{PROJECT_FILE}: {env} can't be read: {error}") from None
    if file is None:
        example = (folder / f"{env}.example").is_file()
        hint = f"; see {env}.example" if example else ""
        return {}, f"{PROJECT_FILE}: there is no file {env}, which `env` names{hint}"
    if _trusts(file):
        return variables, ""
    # The .env of the current folder is reported where the settings are read, as far as chatcli knows its variables.
    is_reported = file.name == DOTENV and file.folder == Path.cwd().resolve()
    names = [name for name in variables if not (is_reported and is_ours(name))]
    if not names:
        return {}, ""
    shown = ", ".join(map(sanitize_line, names[:_SHOWN_NAMES]))
    more = f" and {len(names) - _SHOWN_NAMES} more" if len(names) > _SHOWN_NAMES else ""
    left_out = f"{PROJECT_FILE}: {sanitize_line(env)} is not trusted and sets nothing: {shown}{more}."
    return {}, f"{left_out} Read it, then trust it: {_command(file)}"


def _env_file(folder: Path, env: str) -> FolderFile | None:
    """Return the file that `env` names; one outside of the project belongs to the folder that it is in."""
    target = folder / env
    if target.resolve().is_relative_to(folder.resolve()):
        return read_folder_file(os.path.normpath(env), folder)
    return read_folder_file(target.name, target.parent)


def _trusts(file: FolderFile) -> bool:
    try:
        return is_trusted(file)
    except (OSError, ValueError):
        return False


def _command(file: FolderFile) -> str:
    here = file.folder == Path.cwd().resolve()
    return "chat trust" if here else f"chat trust {shlex.quote(sanitize_line(str(file.folder)))}"


def explain_missing_key(error: AuthError, variable: str, spec: GraphSpec) -> AuthError:
    """Return `error`, of a key that is missing; if an untrusted env file of the project sets it, with that as hint."""
    env = spec.project.get("env")
    try:
        file = _env_file(spec.folder, env) if isinstance(env, str) and env else None
        if file is None or variable not in parse_dotenv(file.content) or _trusts(file):
            return error
    except (OSError, ValueError):
        return error
    reason = f"{sanitize_line(str(env))} of this project sets it, but is not trusted"
    return AuthError(f"{error.message}; {reason}", remedy=f"Look at what it sets and trust it: {_command(file)}")
