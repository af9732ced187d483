"""The rules of Git that leave files out: `.gitignore` and `.git/info/exclude`."""

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Self

from chatcli.config.secret_files import open_regular

if TYPE_CHECKING:
    from chatcli.documents.ignore_rule import Rule

_MAX_BYTES = 1024 * 1024
"""The most that is read of a file of rules."""
State = tuple[int, int, int]
"""What changes with a file: its inode, size and time of change in nanoseconds."""
NO_STATE: State = (0, 0, 0)


@dataclass(frozen=True, slots=True)
class IgnoreRules:
    """The rules that hold in a folder: of its repository and of all folders on the way, the nearest last."""

    files: tuple["_RulesFile", ...] = ()

    def ignore(self, path: str, *, folder: bool = False) -> bool:
        """Return whether the rules leave out the file, or the `folder`, `path`."""
        for file in reversed(self.files):
            name = path[len(file.folder) :]
            for rule in file.rules:
                if rule.matches(name, folder=folder):
                    return rule.include is True
        return False

    def with_file(self, folder: str, file: str) -> Self:
        """Return these rules and those in `file`, which hold in `folder`."""
        try:
            data = _read(file, _MAX_BYTES)
        except OSError:
            return self
        return type(self)((*self.files, _RulesFile(folder if folder.endswith("/") else f"{folder}/", data)))


class _RulesFile:
    """A file of rules that hold in `folder`, which ends with a slash; they are parsed when a name is first decided."""

    def __init__(self, folder: str, data: bytes) -> None:
        self.folder = folder
        self._data = data

    @cached_property
    def rules(self) -> "list[Rule]":
        """The rules, those that count most first."""
        from chatcli.documents.ignore_rule import parse_rules  # imported late: mostly, all names are known

        return parse_rules(self._data.decode("utf-8", "replace"))


def exclude_file(folder: str) -> str:
    """Return the file `info/exclude` of the repository at `folder`, also if it is a worktree or a submodule."""
    git = Path(folder, ".git")
    try:
        if not git.is_dir():
            line = _read(git, 4096).decode("utf-8", "replace")
            git = Path(folder, line.removeprefix("gitdir:").strip())
            common = _read(git / "commondir", 4096).decode("utf-8", "replace").strip()
            git = Path(git, common)
    except (OSError, ValueError):  # no worktree, or a path with a zero byte
        pass
    return str(git / "info" / "exclude").replace("\0", "")  # no call takes one


def state_of(file: str) -> State | None:
    """Return the state of `file`, None if it does not exist."""
    try:
        status = os.lstat(file)
    except OSError:
        return None
    return status.st_ino, status.st_size, max(status.st_mtime_ns, status.st_ctime_ns)


def _read(file: str | Path, limit: int) -> bytes:
    with open(file, "rb", opener=open_regular) as stream:
        return stream.read(limit)
