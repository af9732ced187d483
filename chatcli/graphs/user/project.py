"""What a langgraph.json asks of the environment beside its graphs, as far as running in this one allows."""

import importlib.metadata
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dotenv import dotenv_values
from packaging.requirements import InvalidRequirement, Requirement

from chatcli.config.installation import add_command
from chatcli.errors import UsageError
from chatcli.graphs.user.spec import PROJECT_FILE, GraphSpec

_HONOURED = {"graphs", "env", "dependencies", "python_version", "$schema"}


def enter_project(spec: GraphSpec) -> list[str]:
    """Set the environment and the module path of the project that `spec` is of.

    Returns:
        What the project asks for and does not get here, each as one line for the user.

    Raises:
        UsageError: Its env file can't be read.

    """
    folder = spec.folder
    roots = [folder, *([spec.path.parent] if spec.path is not None else [])]
    project = spec.project
    told: list[str] = []
    for dependency in _texts(project.get("dependencies")):
        local = folder / dependency
        if dependency.startswith(".") or local.is_dir():
            roots += [local.resolve(), *([local.resolve() / "src"] if (local / "src").is_dir() else [])]
            if not local.is_dir():
                told.append(f"{PROJECT_FILE}: there is no folder {dependency}")
        elif problem := _missing(dependency):
            told.append(f"{PROJECT_FILE} depends on {dependency}: {problem}")
    for root in roots:
        if str(root) not in sys.path:
            sys.path.insert(0, str(root))
    for name, value in _environment(folder, project.get("env")):
        os.environ.setdefault(name, value)  # what the user's shell says goes before
    running = ".".join(map(str, sys.version_info[:2]))
    if (wanted := project.get("python_version")) and str(wanted) != running:
        told.append(f"{PROJECT_FILE} asks for Python {wanted}; this is {running}")
    if rest := sorted(key for key, value in project.items() if key not in _HONOURED and value):
        told.append(f"{PROJECT_FILE}: not used here: {', '.join(rest)}")
    return told


def _missing(dependency: str) -> str:
    """Return what is wrong with an installed package, empty for nothing."""
    try:
        wanted = Requirement(dependency)
    except InvalidRequirement:
        return "not a package's name; install what it stands for yourself"
    if wanted.marker is not None and not wanted.marker.evaluate():
        return ""
    try:
        version = importlib.metadata.version(wanted.name)
    except importlib.metadata.PackageNotFoundError:
        return f"not installed here; {add_command(dependency)}"
    return "" if wanted.specifier.contains(version, prereleases=True) else f"{version} is installed here"


def _environment(folder: Path, env: Any) -> Iterator[tuple[str, str]]:
    if isinstance(env, dict):
        yield from ((str(name), str(value)) for name, value in env.items())
    elif isinstance(env, str) and env:
        file = folder / env
        try:
            text = dotenv_values(file) if file.is_file() else None
        except (OSError, ValueError) as error:
            raise UsageError(f"{PROJECT_FILE}: {env} can't be read: {error}") from None
        if text is None:
            raise UsageError(f"{PROJECT_FILE}: there is no file {env}, which `env` names")
        yield from ((name, value) for name, value in text.items() if value is not None)


def _texts(value: Any) -> list[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []
