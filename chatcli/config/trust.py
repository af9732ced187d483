"""The files of a folder that the user trusts, by the folder's resolved path and the SHA-256 of the file's content.

A folder may come from somebody else, so its files are used only after the user has seen and trusted them. To use such
a file, read it once with `read_folder_file`, pass the result to `is_trusted`, and use the bytes that were read.
"""

import os
import shlex
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chatcli import paths
from chatcli.config.booleans import TRUE
from chatcli.runtime.files import change_state, read_state
from chatcli.runtime.parse import read_json
from chatcli.runtime.program import command
from chatcli.sanitize import sanitize_line

INSTRUCTIONS = ("AGENTS.md", "CLAUDE.md")
"""The files of a project's instructions; in each folder the first that is there is read."""
MCP_FILE = ".mcp.json"
"""The name of the file of a project's MCP servers, as other clients have it."""
FILES = (".env", *INSTRUCTIONS, MCP_FILE)
"""The names of the files that `chat trust` looks at, beside the one that a project's langgraph.json names as `env`."""
PROJECT_FILE = "langgraph.json"
MAX_FILE_BYTES = 1_000_000
RUN_VARIABLE = "CHATCLI_TRUST"
"""In the real environment, it trusts the current folder for one run."""


class UnsafeFileError(ValueError):
    """A file that can't be trusted; the message is the reason."""


@dataclass(frozen=True, slots=True)
class FolderFile:
    """The content of the file `name` in the resolved `folder`."""

    folder: Path
    name: str
    content: bytes = field(repr=False)

    @property
    def digest(self) -> str:
        """The SHA-256 of the content, in hexadecimal."""
        import hashlib

        return hashlib.sha256(self.content).hexdigest()


def state_path() -> Path:
    """Return the file that remembers what is trusted."""
    return paths.state_dir() / "trust.json"


def read_folder_file(name: str, folder: Path | None = None) -> FolderFile | None:
    """Return the file `name` of `folder`, by default the current one; None when there is no such file.

    Raises `UnsafeFileError` if it is a link out of the folder, not a regular file, another user's, or too large, and
    `OSError` if it can't be read.
    """
    folder = (folder or Path()).resolve()
    target = Path(os.path.realpath(folder / name))  # `Path.resolve` raises for a circle of links before Python 3.13
    if not target.is_relative_to(folder):
        raise UnsafeFileError("it is a link that leaves the folder")
    try:
        found = target.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    if stat.S_ISDIR(found.st_mode):
        return None  # a virtual environment of that name, for example
    if stat.S_ISLNK(found.st_mode):
        raise UnsafeFileError("it is a link to itself")
    _check(found)  # before it is opened, which may wait (a FIFO) or do something (a device)
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    with open(target, "rb", opener=lambda path, _: os.open(path, flags)) as file:
        _check(os.fstat(file.fileno()))  # it may be another one by now
        content = file.read(MAX_FILE_BYTES + 1)
    if len(content) > MAX_FILE_BYTES:
        raise UnsafeFileError(f"it is larger than {MAX_FILE_BYTES // 1_000_000} MB")
    return FolderFile(folder, name, content)


def env_of_project(folder: Path) -> str:
    """Return the name in `folder` of the file that its langgraph.json gives its graphs as `env`; empty if none."""
    try:
        file = read_folder_file(PROJECT_FILE, folder)
        project = read_json(file.content.decode()) if file is not None else None
    except (OSError, ValueError):
        return ""
    env = project.get("env") if isinstance(project, dict) else None
    name = os.path.normpath(env) if isinstance(env, str) and env else ""
    return "" if name.startswith("..") or os.path.isabs(name) else name  # noqa: PTH117 - a name, not yet a path


def read_folder(folder: Path, names: Sequence[str] = FILES) -> list[FolderFile]:
    """Return the files of `folder` that can be trusted. Raises what `read_folder_file` raises."""
    return [file for name in names if (file := read_folder_file(name, folder)) is not None]


def is_trusted(file: FolderFile) -> bool:
    """Return whether the user has trusted this content in this folder, or trusts the current folder in this run.

    Raises `OSError` if the file of trust can't be read, and `ValueError` if it is damaged.
    """
    if os.environ.get(RUN_VARIABLE, "").strip().lower() in TRUE and file.folder == Path.cwd().resolve():
        return True
    return _is_recorded("trusted", file)


def is_declined(file: FolderFile) -> bool:
    """Return whether the user refused to trust this content. Raises what `is_trusted` raises."""
    return _is_recorded("declined", file)


def trusted_folders() -> dict[str, dict[str, str]]:
    """Return the SHA-256 of each trusted file, by folder and name. Raises what `is_trusted` raises."""
    return _section(read_state(state_path()), "trusted")


def trust(files: Iterable[FolderFile]) -> None:
    """Remember that the user trusts `files`. Raises `OSError` if it can't be written."""
    _record(files, "trusted", "declined")


def decline(files: Iterable[FolderFile]) -> None:
    """Remember that the user refused to trust `files`. Raises what `trust` raises."""
    _record(files, "declined", "trusted")


def forget(folder: Path) -> bool:
    """Forget the answers about the files of `folder`; return whether there were any. Raises what `trust` raises."""
    found = False

    def remove(data: dict[str, Any]) -> None:
        nonlocal found
        for name in ("trusted", "declined"):
            data[name] = _section_or_none(data, name)
            found |= data[name].pop(str(folder), None) is not None

    change_state(state_path(), remove)
    return found


def trust_command(folder: Path) -> str:
    """Return the command that trusts the resolved `folder`, as it is typed in the current one."""
    here = Path.cwd().resolve()
    if folder == here:
        return command("trust")
    typed = os.path.relpath(folder, here) if here.is_relative_to(folder) else str(folder)
    return command("trust", shlex.quote(sanitize_line(typed)))


def _check(found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise UnsafeFileError("it is not a regular file")
    if found.st_uid not in (0, os.geteuid()):
        raise UnsafeFileError("it belongs to another user")
    if found.st_size > MAX_FILE_BYTES:
        raise UnsafeFileError(f"it is larger than {MAX_FILE_BYTES // 1_000_000} MB")


def _is_recorded(section: str, file: FolderFile) -> bool:
    return _section(read_state(state_path()), section).get(str(file.folder), {}).get(file.name) == file.digest


def _record(files: Iterable[FolderFile], section: str, other: str) -> None:
    files = tuple(files)

    def add(data: dict[str, Any]) -> None:
        for name in (section, other):
            data[name] = _section_or_none(data, name)
        for file in files:
            data[section].setdefault(str(file.folder), {})[file.name] = file.digest
            data[other].get(str(file.folder), {}).pop(file.name, None)
        data[other] = {folder: names for folder, names in data[other].items() if names}

    change_state(state_path(), add)


def _section(data: dict[str, Any], name: str) -> dict[str, dict[str, str]]:
    """Return the table `name` of the file; raise ValueError if it is not a table of folders."""
    section = data.get(name, {})
    if not isinstance(section, dict) or not all(isinstance(files, dict) for files in section.values()):
        raise ValueError(f'"{name}" is not a table of folders')
    return section


def _section_or_none(data: dict[str, Any], name: str) -> dict[str, dict[str, str]]:
    try:
        return _section(data, name)
    except ValueError:
        return {}
