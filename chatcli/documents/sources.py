"""Sources that were named before, found again by what the user types, also when nothing is left at their place."""

import os
from collections.abc import Iterable

from chatcli.errors import UsageError


def absolute_path(text: str) -> str:
    """Return the path that `text` stands for, `..` removed as the shell does, whether or not anything is there.

    Raises:
        UsageError: `text` is empty, as an unset variable in a shell is; it would stand for the current folder.

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
