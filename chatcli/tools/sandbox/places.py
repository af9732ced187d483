"""Which places a confined command may read, and which are kept from it."""

import os
import sys
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path

from chatcli import paths
from chatcli.config.secret_files import is_in_private_folder, is_secret_path

_OF_SETTINGS = (
    ".",
    ".config",
    ".local",
    ".local/share",
    ".local/state",
    ".cache",
    "Library",
    "Library/Application Support",
)
"""The folders of a home in which programs keep their secrets, under names that say so."""
_OF_SYSTEM = (
    *("/etc/shadow", "/etc/shadow-", "/etc/gshadow", "/etc/gshadow-", "/etc/ssl/private", "/etc/sudoers", "/dev"),
    *("/run/user", "/run/secrets", "/run/credentials", "/var/lib/private", "/lost+found"),
)
"""What only root or one session may read; and devices, which are also the disk."""
DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty")
_PACKAGES = (".git", ".venv", "venv", ".tox", "node_modules", "site-packages", "__pycache__")
"""Folders of many files that others wrote."""
_MOST_SEEN = 3000
GUARDED = ("hooks", "config", "commondir")
"""What a command may read but not write in git's folders: what git runs, or names, or where such things are."""


def withheld() -> frozenset[str]:
    """Return the places that no confined command reads: the secrets of the user, the system and `chat`."""
    entries = (entry for folder in _OF_SETTINGS for entry in _entries(str(Path.home() / folder)))
    secret = [entry.path for entry in entries if _is_secret(entry.name)]
    return frozenset(map(os.path.realpath, [*map(str, paths.own_folders()), *secret, *_OF_SYSTEM]))


def is_writable(folder: Path, kept: Iterable[str]) -> bool:
    """Return whether a command may write in `folder`: not if a path `kept` from it is in there, or around."""
    if is_in_private_folder(folder.parts):
        return False
    return not any(str(folder) in (path, *_around(path)) or path in _around(str(folder)) for path in kept)


def readable(kept: frozenset[str]) -> Iterator[str]:
    """Return files and folders that hold, together, everything but what is `kept` from the command."""
    return _beside("/", kept, {parent for path in kept for parent in _around(path)})


def secrets_in(folder: Path) -> list[str]:
    """Return the files in `folder` whose names say that they hold secrets; below its top, only hidden ones like `.env`.

    Programs and tests need what is called `server.pem` or `credentials.py` there. The folders nearest to the top are
    looked through, up to `_MOST_SEEN` names: more would take too long for the start of a command.
    """
    found, pending, seen = [], deque([str(folder)]), 0
    while pending and seen < _MOST_SEEN:
        at = pending.popleft()
        for entry in _entries(at):
            seen += 1
            if entry.is_dir(follow_symlinks=False):
                pending += [entry.path] if entry.name not in _PACKAGES else []
            elif (at == str(folder) or entry.name.startswith(".")) and _is_secret(entry.name) and entry.is_file():
                found.append(entry.path)
    return found


def git_folders(folders: Iterable[Path]) -> list[Path]:
    """Return git's folders in `folders`; a command can't move them away where they are mounts."""
    found = (folder / ".git" for folder in folders)
    return [git for git in found if git.is_dir() and not git.is_symlink()]


def guarded_in(folders: Sequence[Path]) -> list[Path]:
    """Return the paths in `folders` that a command may read but not write, though it may write beside them."""
    links = [folder / ".git" for folder in folders if (folder / ".git").is_file()]  # it says where git's folder is
    return [*links, *(git / name for git in git_folders(folders) for name in GUARDED if (git / name).exists())]


@contextmanager
def complete_git(folders: Sequence[Path]) -> Iterator[None]:
    """Let no command bring what git has not: it gets a folder of hooks before, and loses a new `commondir` after."""
    git = git_folders(folders)
    new = [folder / "commondir" for folder in git if not (folder / "commondir").exists()]
    for folder in git:
        with suppress(OSError):
            (folder / "hooks").mkdir()
    try:
        yield
    finally:
        for path in new:
            with suppress(OSError):
                path.unlink()


def _around(path: str) -> list[str]:
    """Return the folders that the absolute `path` is in; `Path.parents` takes ten times as long."""
    return ["/", *(path[:end] for end, each in enumerate(path) if each == "/" and end)]


@lru_cache(maxsize=4096)
def _is_secret(name: str) -> bool:
    return is_secret_path((name,))


def _entries(folder: str) -> list[os.DirEntry[str]]:
    try:
        return list(os.scandir(folder))
    except OSError:
        return []


def _beside(folder: str, kept: frozenset[str], around: set[str]) -> Iterator[str]:
    for entry in _entries(folder):
        if entry.path in kept or entry.is_symlink():  # a link is judged by where it leads
            continue
        if entry.path in around:
            yield from _beside(entry.path, kept, around)
        else:
            yield entry.path


def machine() -> str:
    """Return the machine's name, as the kernel has it; empty if this Python has the numbers of another one."""
    return os.uname().machine if sys.maxsize > 2**32 else ""
