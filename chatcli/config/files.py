"""The files of settings: a `.env` in the current folder, which is read, and config.toml, which is read and changed."""

import io
import os
import re
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from chatcli import paths
from chatcli.config.trust import FolderFile, is_trusted, read_folder_file, state_path
from chatcli.errors import UsageError
from chatcli.runtime.files import lock_folder, read_file, replace_privately
from chatcli.runtime.parse import read_toml
from chatcli.runtime.program import command

DOTENV = ".env"
_MAX_BLANKS = 1000
"""The longest run of blanks: python-dotenv needs time by the square of its length."""
_BOM = "\ufeff"
Content = MutableMapping[str, Any]
"""What config.toml holds, or a table in it."""
Check = Callable[[Content], None]
Value = TypeVar("Value")
_BLANKS = re.compile(r"[^\S\r\n]+")


@dataclass(frozen=True, slots=True)
class FolderSettings(Generic[Value]):
    """What a file of a folder sets, trusted or not: a `.env` variables, `.mcp.json` servers."""

    values: Mapping[str, Value] = field(default_factory=dict, repr=False)
    """What the file sets, by name; nothing in it is expanded."""
    file: FolderFile | None = None
    """The file as it was read; None if there is none that can be used."""
    trusted: bool = False
    problem: str = ""
    """The reason why the file, or the file of trust, can't be used: then it has no effect."""


def read_folder_settings(
    name: str, folder: Path, parse: Callable[[FolderFile], Mapping[str, Value]]
) -> FolderSettings[Value]:
    """Return the settings of the file `name` in `folder`. `parse` raises ValueError or UsageError for a wrong file."""
    if not os.path.lexists(folder / name):
        return FolderSettings()
    try:
        file = read_folder_file(name, folder)
        if file is None:
            return FolderSettings()
        values = parse(file)
    except OSError as error:
        return FolderSettings(problem=f"it can't be read: {error.strerror}")
    except (UsageError, ValueError) as error:
        return FolderSettings(problem=str(error))
    try:
        return FolderSettings(values, file, trusted=is_trusted(file))
    except (OSError, ValueError) as error:
        return FolderSettings(values, file, problem=f"what you trust can't be read from {state_path()}: {error}")


def read_dotenv(folder: Path | None = None) -> FolderSettings[str]:
    """Return the settings of the `.env` in `folder`, by default the current one."""
    return read_folder_settings(DOTENV, folder or Path(), lambda file: parse_dotenv(file.content))


def parse_dotenv(content: bytes) -> dict[str, str]:
    """Return the variables of a `.env`; nothing is expanded. Raises `ValueError` if `content` can't be read."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8 text") from None
    if any(len(blanks) > _MAX_BLANKS for blanks in _BLANKS.findall(text)):
        raise ValueError(f"it has more than {_MAX_BLANKS} blanks in a row")
    from dotenv.parser import parse_stream

    return {line.key: line.value for line in parse_stream(io.StringIO(text)) if line.key and line.value}


def read_config_file() -> dict[str, Any]:
    """Return the content of config.toml, or nothing. Raises `UsageError` if it can't be read."""
    file = paths.config_file()
    if file.is_dir():
        raise UsageError(f"{file} is a folder", remedy="It should be a file.")
    try:
        return read_toml(read_file(file).decode("utf-8-sig")) if file.exists() else {}
    except (OSError, ValueError) as error:
        raise UsageError(f"the settings in {file} can't be read: {error}") from None


def set_value(path: tuple[str, ...], value: Any, check: Check | None = None) -> None:
    """Write `value` to config.toml under the keys of `path`; comments, order and line ends stay as they are.

    `check` refuses the new content of the file before it is written.
    """

    def change(root: Content) -> None:
        for number, name in enumerate(path[:-1], 1):
            root = root.setdefault(name, {})
            if not isinstance(root, MutableMapping):
                raise ValueError(f"{'.'.join(path[:number])} is not a table")
        root[path[-1]] = value

    _change(change, check)


def remove_value(path: tuple[str, ...], check: Check | None = None) -> None:
    """Remove the key of `path` from config.toml, and a table that is empty then. Raises what `set_value` raises."""
    _change(lambda root: _remove(root, path), check)


def _change(change: Callable[[Content], None], check: Check | None) -> None:
    """Let `change` alter the content of config.toml, one process at a time."""
    path = paths.config_file()
    try:
        with lock_folder(paths.private_dir(path.parent)):
            _rewrite(path, change, check)
    except OSError as error:
        raise UsageError(f"{path} can't be changed: {error.strerror}", remedy="The file is unchanged.") from None
    except ValueError as error:  # not UTF-8, not TOML
        raise UsageError(f"{path} can't be changed: {error}", remedy=f"Fix it: `{command('config edit')}`.") from None


def _rewrite(path: Path, change: Callable[[Content], None], check: Check | None) -> None:
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    # As bytes: reading as text would turn the line ends of Windows into others.
    written = read_file(path).decode() if path.exists() else ""
    text = written.removeprefix(_BOM)
    windows = text.count("\n") == text.count("\r\n") > 0
    text = text.replace("\r\n", "\n") if windows else text
    wanted = read_toml(text)
    change(wanted)
    if check is not None:
        check(wanted)
    try:
        document = tomlkit.parse(text)
        change(document)
        changed = tomlkit.dumps(document)
        changed += "" if changed.endswith("\n") or not changed else "\n"
        # A fault of the library must not cost a setting.
        if repr(_filled(read_toml(changed))) != repr(_filled(wanted)):
            raise ValueError("its form is not understood")
    except TOMLKitError as error:
        raise ValueError(str(error)) from None
    bom = _BOM if written.startswith(_BOM) else ""
    replace_privately(path, [bom, changed.replace("\n", "\r\n") if windows else changed], keep_mode=True)


def _remove(root: Content, path: tuple[str, ...]) -> None:
    name, *rest = path
    if rest:
        _remove(root[name], tuple(rest))
        has_comment = hasattr(root[name], "as_string") and "#" in root[name].as_string()
    if not rest or (not root[name] and not has_comment):
        del root[name]


def _filled(table: dict[str, Any]) -> dict[str, Any]:
    """Return `table` without the empty tables in it, sorted."""
    found = {name: _filled(value) if isinstance(value, dict) else value for name, value in sorted(table.items())}
    return {name: value for name, value in found.items() if value != {}}
