"""Sources that were named before, found again by what the user types, also when nothing is left at their place."""

import os
from collections.abc import Iterable


def match_sources(text: str, sources: Iterable[str]) -> list[str]:
    """Return those of `sources`, absolute paths and globs, that `text` names: the same, or those below that folder."""
    typed = os.path.abspath(os.path.expanduser(text))  # noqa: PTH100, PTH111  # `..` as the shell does
    names = {typed, os.path.realpath(typed)} if "\0" not in typed else {typed}
    above = tuple(f"{name.rstrip('/')}/" for name in names)
    known = list(sources)
    return [one for one in known if one in names] or [one for one in known if one.startswith(above)]
