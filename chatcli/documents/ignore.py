"""The rules of Git that leave files out: `.gitignore` and `.git/info/exclude`."""

import os
import re
import warnings
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Self

from pathspec.patterns.gitignore.base import GitIgnorePatternError
from pathspec.patterns.gitignore.spec import GitIgnoreSpecPattern

from chatcli.config.secret_files import open_regular

_MAX_BYTES = 1024 * 1024
"""The most that is read of a file of rules."""
State = tuple[int, int, int]
"""What changes with a file: its inode, size and time of change in nanoseconds."""
NO_STATE: State = (0, 0, 0)
_MAX_RULES = 2000
"""The most rules of one file that are followed: each is tried on each name."""
_MAX_RULE = 1000
"""Characters of the longest rule that is followed."""
_STAR = "[^/]*"
_ANY_FOLDER = "(?P<ps_d>/)"
_ANY_FOLDERS = "(?:/.+)?"
_MAX_ANY_FOLDERS = 2
"""The most `/**/` in a rule that is followed: the time to match grows with the power of their number."""


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
        from chatcli.documents.ignore import parse_rules  # imported late: mostly, all names are known

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


def parse_rules(text: str) -> list["Rule"]:
    """Return the rules in `text`, those that count most first."""
    rules: list[Rule] = []
    with warnings.catch_warnings():  # `re` warns of odd sets of letters
        warnings.simplefilter("ignore")
        for line in text.split("\n", _MAX_RULES)[:_MAX_RULES]:
            with suppress(GitIgnorePatternError, re.error):  # of no use to Git either
                rules.append(Rule(line.removesuffix("\r")))
    return [rule for rule in reversed(rules) if rule.include is not None]


class Rule(GitIgnoreSpecPattern):
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
        """Return the expression for `pattern`, and whether it leaves out what it matches; None for no rule."""
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
