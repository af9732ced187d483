"""The rules of Git that leave files out: `.gitignore` and `.git/info/exclude`."""

import os
import re
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from pathspec.patterns.gitignore.base import GitIgnorePatternError
from pathspec.patterns.gitignore.spec import GitIgnoreSpecPattern

from chatcli.config.secret_files import open_regular

_MAX_BYTES = 1024 * 1024
"""The most that is read of a file of rules."""
_MAX_RULE = 1000
"""Characters of the longest rule that is followed."""
_STAR = "[^/]*"
_ANY_FOLDER = "(?P<ps_d>/)"
_ANY_FOLDERS = "(?:/.+)?"
_MAX_ANY_FOLDERS = 2
"""The most `/**/` in a rule that is followed: the time to match grows with the power of their number."""

State = tuple[int, int, int]
"""What changes with a file: its inode, size and time of change in nanoseconds."""


class _Pattern(GitIgnoreSpecPattern):
    """A rule of Git for one file or folder, whose parents are known not to be left out.

    It takes linear time: with many `*`, the expressions of the library take exponential time.
    """

    __slots__ = ()

    def matches(self, name: str, *, folder: bool) -> bool:
        """Return whether the rule is about the file, or the `folder`, `name` itself, not only about a parent."""
        assert self.regex is not None
        # The only group of an expression matches the slash after a folder.
        if (match := self.regex.search(name)) and match.lastgroup is None:
            return True
        match = self.regex.search(f"{name}/") if folder else None
        return match is not None and match.lastgroup is not None and match.end() == len(name) + 1

    @classmethod
    def pattern_to_regex(cls, pattern: str) -> tuple[str | None, bool | None]:  # type: ignore[override]
        if pattern.endswith("**/"):
            pattern = f"{pattern}*/"  # the library takes it for a rule about the folder itself
        regex, include = super().pattern_to_regex(pattern)
        if regex == _ANY_FOLDER:
            return f"{regex}$", include
        if regex is None or len(pattern) > _MAX_RULE or regex.count(_ANY_FOLDERS) > _MAX_ANY_FOLDERS:
            return None, None
        first, *others = regex.split(_STAR)
        if not others:
            return regex, include
        # The first place where the text after a `*` matches is as good as any later one, if another `*` follows.
        middle = (
            f"{_STAR}{part}" if _ANY_FOLDERS in part else f"(?>{_STAR}?{part})" if part else "" for part in others[:-1]
        )
        return f"{first}{''.join(middle)}{_STAR}{others[-1]}", include


@dataclass(frozen=True, slots=True)
class IgnoreRules:
    """The rules that hold in a folder: of its repository and of all folders on the way, the nearest last."""

    specs: tuple[tuple[str, tuple[_Pattern, ...]], ...] = ()
    """Folders, each ending with a slash, and their rules."""

    def ignore(self, path: str, *, folder: bool = False) -> bool:
        """Return whether the rules leave out the file, or the `folder`, `path`."""
        for base, patterns in reversed(self.specs):
            name = path[len(base) :]
            for pattern in reversed(patterns):
                if pattern.matches(name, folder=folder):
                    return pattern.include is True
        return False

    def with_file(self, folder: str, file: str) -> Self:
        """Return these rules and those in `file`, which hold in `folder`."""
        try:
            data = _read(file, _MAX_BYTES)
        except OSError:
            return self
        with warnings.catch_warnings():  # `re` warns of odd sets of letters
            warnings.simplefilter("ignore")
            patterns = tuple(found for line in data.decode("utf-8", "replace").split("\n") if (found := _pattern(line)))
        return type(self)((*self.specs, (_slashed(folder), patterns))) if patterns else self


def rules_files(folder: str, *, repository: bool) -> list[str]:
    """Return the files that may hold rules for `folder`, by increasing weight."""
    files = [os.path.join(folder, ".gitignore")]  # noqa: PTH118
    return [_exclude(folder), *files] if repository else files


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


def _pattern(line: str) -> _Pattern | None:
    try:
        pattern = _Pattern(line.removesuffix("\r"))
    except (GitIgnorePatternError, re.error):  # of no use to Git either
        return None
    return pattern if pattern.include is not None else None


def _slashed(folder: str) -> str:
    return folder if folder.endswith("/") else f"{folder}/"


def _exclude(folder: str) -> str:
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
    return str(git / "info" / "exclude")
