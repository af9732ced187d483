"""Which roles there are: the user's own, in the config folder, go before the shipped ones of the same name."""

from pathlib import Path

from chatcli import paths
from chatcli.errors import UsageError
from chatcli.roles.role import SUFFIXES, Role, read_role

SHIPPED = Path(__file__).parent / "shipped"
MAX_NAME = 64
"""The longest name of a role, in characters."""


def folder() -> Path:
    """Where the user's own role files lie."""
    return paths.config_dir() / "roles"


def role_files() -> dict[str, Path]:
    """Return the file of each role, by its name in lower case, sorted by name; none is read."""
    found: dict[str, Path] = {}
    for place in (SHIPPED, folder()):
        if place.is_dir():
            found |= {path.stem.lower(): path for path in sorted(place.iterdir()) if path.suffix in SUFFIXES}
    return dict(sorted(found.items()))


def find_role(name: str) -> Role:
    """Return the role `name`; capitals do not matter.

    Raises:
        UsageError: There is none, or its file can't be used.

    """
    files = role_files()
    path = files.get(name.strip().lower())
    if path is None:
        import difflib

        near = difflib.get_close_matches(name.strip().lower(), files, n=1)
        hint = f"Did you mean {near[0]}? " if near else ""
        raise UsageError(f"there is no role {name!r}", remedy=f"{hint}See `chat roles list`.")
    return read_role(path, shipped=path.parent == SHIPPED)


def own_file(name: str) -> Path:
    """Return the user's own file for the role `name`, which need not exist.

    Raises:
        UsageError: The name can't be a file's name.

    """
    plain = name.strip().lower()
    if not plain or len(plain) > MAX_NAME or not all(letter.isalnum() or letter in "-_" for letter in plain):
        raise UsageError(
            f"{name!r} can't name a role", remedy=f"Use letters, digits, - and _, {MAX_NAME} of them at most."
        )
    path = role_files().get(plain)
    return path if path is not None and path.parent != SHIPPED else folder() / f"{plain}.toml"
