"""The files that documents are read from: sources as the user names them, and the walk that finds their files."""

import glob
import json
import os
import re
import stat
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from fnmatch import translate
from functools import lru_cache
from itertools import chain
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Self

from chatcli.config.secret_files import is_in_private_folder, is_secret_path
from chatcli.errors import UsageError

if TYPE_CHECKING:
    from chatcli.documents.ignore import IgnoreRules, State

_SYSTEM_FOLDERS = frozenset(("/proc", "/sys", "/dev", "/run", "/System/Volumes"))
"""Folders of the system whose files are no files on a disk or, on macOS, the same files once more."""
UNSETTLED = 2_000_000_000
"""Nanoseconds within which a file system may give two changes the same time; FAT counts in two seconds."""
_FORMAT = 1
"""The version of the rules of this module; decisions of another one are not used."""


class FoundFile(NamedTuple):
    """A file of a source: its absolute path with symbolic links resolved, and its state."""

    path: str
    status: os.stat_result


@dataclass(slots=True)
class WalkCache:
    """What a walk of one source decided by names and ignore rules, so that the next one need not decide again.

    A walk uses them as long as no file of rules has changed, and then replaces them. `kept` is not part of the JSON:
    the caller knows these files.
    """

    kept: set[str] = field(default_factory=set)
    """The paths of the files that the walk has found."""
    folders: set[str] = field(default_factory=set)
    """The folders that it went into."""
    left_out: set[str] = field(default_factory=set)
    rules: dict[str, "State"] = field(default_factory=dict)
    """The files of rules, and the state in which they were read; `.git` stands for the rules in it."""

    def to_json(self) -> str:
        """Return the text that `from_json` reads."""
        return json.dumps([_FORMAT, sorted(self.folders), sorted(self.left_out), self.rules], separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str, kept: Iterable[str]) -> Self:
        """Return the decisions of `to_json`, with the files of the source that were `kept`; none if `text` is bad."""
        with suppress(ValueError, TypeError, AttributeError):  # written by another version
            version, folders, left_out, rules = json.loads(text)
            if version == _FORMAT:
                states = {path: tuple(state) for path, state in rules.items()}
                return cls(set(kept), set(folders), set(left_out), states)
        return cls()


def shown_path(path: str | Path) -> str:
    """Return `path` as it is shown: relative to the current folder if it is below it, else absolute."""
    with suppress(ValueError, OSError):  # it is elsewhere, or the current folder was removed
        return str(Path(path).relative_to(Path.cwd()))
    return str(path)


def absolute_path(text: str) -> str:
    """Return the path that `text` stands for, `..` removed as the shell does, whether or not anything is there.

    Raises `UsageError` if `text` is empty, as an unset variable in a shell is; it would stand for the current folder.
    """
    if not text:
        raise UsageError("the path of a document is empty", remedy="Name a file, a folder or a pattern.")
    return os.path.abspath(os.path.expanduser(text))  # noqa: PTH100, PTH111


def match_sources(text: str, sources: Iterable[str]) -> list[str]:
    """Return those of `sources`, absolute paths and globs, that `text` names: the same, or those below that folder."""
    typed = absolute_path(text)
    names = {typed, os.path.realpath(typed)} if "\0" not in typed else {typed}
    above = tuple(f"{name.rstrip('/')}/" for name in names)
    known = list(sources)
    return [one for one in known if one in names] or [one for one in known if one.startswith(above)]


def resolve_source(text: str) -> str:
    """Return the source that the user named as `text`: an absolute file, folder or glob, links resolved.

    Raises `UsageError` if nothing is there, or it must not be read.
    """
    if "://" in text:
        raise UsageError(f"{text} can't be a document", remedy="Name a local file, a folder or a pattern.")
    try:
        typed = absolute_path(text)
        found = _resolve(typed)
        problem = _problem(typed, found)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no path"
        raise UsageError(f"{text} can't be read: {(reason or str(error)).lower()}", remedy="Check the path.") from None
    if found is None:
        raise UsageError(f"no file or folder matches {text}", remedy="Check the path.")
    if problem:
        raise UsageError(f"{text} can't be a document: {problem}", remedy="Name another file or folder.")
    return found


def _resolve(typed: str) -> str | None:
    if os.path.lexists(typed):
        return os.path.realpath(typed, strict=True)
    if not text_is_glob(typed):
        return None
    base, segments = _split_glob(typed)
    if not os.path.isdir(base):  # noqa: PTH112
        return None
    found = os.path.join(os.path.realpath(base, strict=True), *segments)  # noqa: PTH118
    return found if any(find_files([found])) else None


def _problem(typed: str, found: str | None) -> str:
    """Return why the source `found`, which was `typed`, is not read; empty if it may be read."""
    for path in filter(None, (typed, found)):
        # The folders on the way to the current one are the user's choice; so are those of what is elsewhere.
        parts, shown = Path(path).parts, Path(shown_path(path))
        if is_secret_path(parts[-1:] if shown.is_absolute() else shown.parts) or is_in_private_folder(parts):
            return "its name says that it holds secrets"
    if found is not None and not text_is_glob(found):
        mode = os.stat(found).st_mode  # noqa: PTH116
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
            return "it is neither a file nor a folder"
        if not os.access(found, os.R_OK):
            return "permission denied"
    return ""


def text_is_glob(source: str) -> bool:
    """Return whether `source` is a pattern and no file or folder has this very name."""
    return glob.has_magic(source) and not os.path.lexists(source)


def find_files(sources: Sequence[str], decisions: WalkCache | None = None) -> Iterator[FoundFile]:
    """Yield the files of `sources`, each once, those of a folder sorted by name.

    Left out are hidden files and folders, what Git ignores, what has the name of a secret, and everything that is no
    regular file. So are links: what they lead to in the same source is found there, and the rest is not the user's
    choice. A source that is a file is left out only if its name is that of a secret. A source that has vanished, or has
    become a link, yields nothing.

    `sources` are as `resolve_source` returns them. `decisions` are those of an earlier walk of the same sources; they
    are brought up to date when all was yielded.
    """
    earlier = decisions or WalkCache()
    walk = _Walk(earlier)
    for source in sources:
        yield from walk.files(source)
    if decisions is not None:
        decisions.kept, decisions.folders = walk.now.kept, walk.now.folders
        decisions.left_out, decisions.rules = walk.now.left_out, walk.now.rules


class _Folder(NamedTuple):
    """A folder to walk through."""

    path: str
    rules: "IgnoreRules"
    known: bool
    """Whether the earlier decisions hold in it."""
    positions: frozenset[int] | None
    """The parts of the pattern that may come next; None without a pattern."""


class _Walk:
    """The walk through some sources, which remembers what it decides in `now`."""

    def __init__(self, earlier: WalkCache) -> None:
        self._earlier = earlier
        self.now = WalkCache()
        self._segments: tuple[str, ...] = ()
        self._settled = time.time_ns() - UNSETTLED

    def files(self, source: str) -> Iterator[FoundFile]:
        """Yield the files of `source` that were not yielded before."""
        pattern = text_is_glob(source)
        root, self._segments = _split_glob(source) if pattern else (source, ())
        try:
            if os.path.realpath(root) != root or is_in_private_folder(Path(root).parts):
                return
            status = os.stat(root)  # noqa: PTH116
        except (OSError, ValueError):
            return
        if stat.S_ISREG(status.st_mode):
            if not is_secret_path((os.path.basename(root),)) and root not in self.now.kept:  # noqa: PTH119
                self.now.kept.add(root)
                yield FoundFile(root, status)
        elif stat.S_ISDIR(status.st_mode):
            rules, known = self._rules_above(root)
            yield from self._walk(_Folder(root, rules, known, _closure(self._segments, (0,)) if pattern else None))

    def _walk(self, start: _Folder) -> Iterator[FoundFile]:
        waiting, kept = [start], self.now.kept
        while waiting:
            folder = waiting.pop()
            entries = _entries(folder.path)
            rules, known = self._rules_in(folder, {entry.name for entry in entries if entry.name[0] == "."})
            inner, end = [], len(self._segments)
            for entry in entries:
                if entry.name[0] == ".":
                    continue
                positions = None if folder.positions is None else _step(self._segments, folder.positions, entry.name)
                if entry.is_file(follow_symlinks=False):
                    is_wanted = (positions is None or end in positions) and entry.path not in kept
                    if is_wanted and not self._leaves_out(entry, rules, known):
                        try:
                            status = entry.stat(follow_symlinks=False)
                        except OSError:
                            continue  # it was removed in the meantime
                        kept.add(entry.path)
                        yield FoundFile(entry.path, status)
                elif entry.is_dir(follow_symlinks=False):
                    is_wanted = (
                        positions is None or min(positions, default=end) < end
                    ) and entry.path not in _SYSTEM_FOLDERS
                    if is_wanted and not self._leaves_out(entry, rules, known, folder=True):
                        self.now.folders.add(entry.path)
                        inner.append(_Folder(entry.path, rules, known, positions))
            waiting.extend(reversed(inner))

    def _leaves_out(self, entry: os.DirEntry[str], rules: "IgnoreRules", known: bool, *, folder: bool = False) -> bool:
        """Return whether a file or folder is left out; by what was decided earlier, if it is `known`."""
        path, taken = entry.path, self._earlier.folders if folder else self._earlier.kept
        if known and (path in taken or path in self._earlier.left_out):
            left_out = path not in taken
        else:
            left_out = is_secret_path((entry.name,)) or rules.ignore(path, folder=folder)
        if left_out:
            self.now.left_out.add(path)
        return left_out

    def _rules_above(self, root: str) -> tuple["IgnoreRules", bool]:
        """Return the rules of the parents of `root` up to its repository's root, and whether they are as they were."""
        from chatcli.documents.ignore import IgnoreRules

        parents: list[str] = []
        for parent in map(str, Path(root).parents):
            parents.append(parent)
            if os.path.lexists(os.path.join(parent, ".git")):  # noqa: PTH118
                break
        else:
            return IgnoreRules(), all(Path(file).is_relative_to(root) for file in self._earlier.rules)
        rules, known = IgnoreRules(), True
        parents.reverse()
        for position, parent in enumerate(parents):
            rules, same = self._read_rules(parent, rules, repository=position == 0)
            known &= same
            if rules.ignore([*parents, root][position + 1], folder=True):
                return IgnoreRules(), known  # the user named what is ignored
        return rules, known

    def _rules_in(self, folder: _Folder, hidden: set[str]) -> tuple["IgnoreRules", bool]:
        """Return the rules that hold in `folder` with these `hidden` names, and whether the earlier decisions do."""
        if hidden.isdisjoint((".git", ".gitignore")):
            known = folder.known and not any(
                f"{folder.path}/{name}" in self._earlier.rules for name in (".git", ".gitignore")
            )
            return folder.rules, known
        rules, same = self._read_rules(folder.path, folder.rules, repository=".git" in hidden)
        return rules, folder.known and same

    def _read_rules(self, folder: str, outer: "IgnoreRules", *, repository: bool) -> tuple["IgnoreRules", bool]:
        """Return the `outer` rules and those of `folder`, and whether the files that they stand in are as they were."""
        # Outer rules do not hold in a repository.
        from chatcli.documents.ignore import NO_STATE, IgnoreRules, exclude_file, state_of

        rules = IgnoreRules() if repository else outer
        git, ignore = os.path.join(folder, ".git"), os.path.join(folder, ".gitignore")  # noqa: PTH118
        files = {git: exclude_file(folder), ignore: ignore} if repository else {ignore: ignore}
        same = repository or git not in self._earlier.rules
        for name, file in files.items():
            state = state_of(file) or (NO_STATE if name == git else None)
            same &= self._earlier.rules.get(name) == state
            if state is not None:
                rules = rules.with_file(folder, file)
                if state[-1] < self._settled:
                    self.now.rules[name] = state
        return rules, same


def _entries(folder: str) -> list[os.DirEntry[str]]:
    with suppress(OSError), os.scandir(folder) as entries:
        return sorted(entries, key=attrgetter("name"))
    return []


def _split_glob(source: str) -> tuple[str, tuple[str, ...]]:
    """Return the folder before the first wildcard of `source`, and the parts of the pattern."""
    parts = source.split("/")
    first = next(position for position, part in enumerate(parts) if glob.has_magic(part))
    return "/".join(parts[:first]) or "/", tuple(part for part in parts[first:] if part)


def _closure(segments: Sequence[str], positions: Iterable[int]) -> frozenset[int]:
    """Return `positions` and those that are reached from them because `**` also matches no folder at all."""
    reached = set()
    for position in positions:
        reached.add(position)
        while position < len(segments) and segments[position] == "**":
            position += 1
            reached.add(position)
    return frozenset(reached)


def _step(segments: tuple[str, ...], positions: frozenset[int], name: str) -> frozenset[int]:
    """Return the parts of the pattern that may follow, after a part has matched `name`."""
    following = (
        (position,)
        if segments[position] == "**"
        else (position + 1,)
        if _segment(segments[position]).match(name)
        else ()
        for position in positions
        if position < len(segments)
    )
    return _closure(segments, chain.from_iterable(following))


@lru_cache(maxsize=128)
def _segment(pattern: str) -> re.Pattern[str]:
    return re.compile(translate(pattern))
