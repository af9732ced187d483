"""The files of settings: a `.env` in the current folder, which is read, and config.toml, which is read and changed."""

import io
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from chatcli import paths
from chatcli.config.trust import FolderFile, is_trusted, read_folder_file, state_path
from chatcli.errors import UsageError
from chatcli.runtime.files import replace_privately
from chatcli.runtime.parse import read_toml
from chatcli.runtime.program import command

DOTENV = ".env"
_MAX_BLANKS = 1000
"""The longest run of blanks: python-dotenv needs time by the square of its length."""
_BLANKS = re.compile(r"[^\S\r\n]+")


@dataclass(frozen=True, slots=True)
class Dotenv:
    """The `.env` of the current folder; `Settings` decides which of its variables it uses.

    Attributes:
        variables: The variables that it sets, trusted or not; nothing in them is expanded.
        file: The file as it was read; None if there is none that can be used.
        trusted: Whether the user has trusted this content.
        problem: The reason why the file, or the file of trust, can't be used.

    """

    variables: Mapping[str, str] = field(default_factory=dict, repr=False)
    file: FolderFile | None = None
    trusted: bool = False
    problem: str = ""


def read_dotenv() -> Dotenv:
    """Return the `.env` of the current folder; one that can't be used has a `problem` and no effect."""
    if not os.path.lexists(DOTENV):
        return Dotenv()
    try:
        file = read_folder_file(DOTENV)
        if file is None:
            return Dotenv()
        variables = parse_dotenv(file.content)
    except OSError as error:
        return Dotenv(problem=f"it can't be read: {error.strerror}")
    except ValueError as error:
        return Dotenv(problem=str(error))
    try:
        return Dotenv(variables, file, trusted=is_trusted(file))
    except (OSError, ValueError) as error:
        return Dotenv(variables, file, problem=f"what you trust can't be read from {state_path()}: {error}")


def parse_dotenv(content: bytes) -> dict[str, str]:
    """Return the variables that a `.env` with `content` sets to something. Values are literal: nothing is expanded.

    Raises:
        ValueError: It can't be read as one.

    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8 text") from None
    if any(len(blanks) > _MAX_BLANKS for blanks in _BLANKS.findall(text)):
        raise ValueError(f"it has more than {_MAX_BLANKS} blanks in a row")
    from dotenv.parser import parse_stream

    return {line.key: line.value for line in parse_stream(io.StringIO(text)) if line.key and line.value}


def read_config_file() -> dict[str, Any]:
    """Return what config.toml holds; nothing when there is no such file.

    Raises:
        UsageError: It is a folder.
        OSError: It can't be read.
        ValueError: It is not TOML.

    """
    file = paths.config_file()
    if file.is_dir():
        raise UsageError(f"{file} is a folder", remedy="It should be a file.")
    if not file.exists():
        return {}
    return read_toml(file.read_text(encoding="utf-8-sig"))


def set_value(key: str, value: str, *, table: str | None = None) -> None:
    """Write `key = value` to config.toml, in `table` if one is named; comments and order stay as they are.

    Raises:
        UsageError: The file is not TOML, or can't be written.

    """
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    path = paths.config_file()
    try:
        document = tomlkit.parse(path.read_text(encoding="utf-8") if path.exists() else "")
        section = document if table is None else document.setdefault(table, tomlkit.table())
        section[key] = value
        paths.private_dir(path.parent)
        replace_privately(path, [tomlkit.dumps(document)], keep_mode=True)
    except OSError as error:
        raise UsageError(f"{path} can't be changed: {error.strerror}", remedy="The file is unchanged.") from None
    except (ValueError, TOMLKitError) as error:  # not UTF-8, not TOML
        raise UsageError(f"{path} can't be changed: {error}", remedy=f"Fix it: `{command('config edit')}`.") from None
