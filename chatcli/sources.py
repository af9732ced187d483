"""The files that settings are read from: a `.env` in the current folder, and config.toml."""

from pathlib import Path
from typing import Any

from chatcli import paths
from chatcli.errors import UsageError
from chatcli.nested import read_toml

DOTENV = ".env"


def read_dotenv() -> dict[str, str]:
    """Return the variables that the `.env` sets to something; none when there is no such file.

    Raises:
        OSError: It can't be read.
        ValueError: It is no UTF-8.

    """
    if not Path(DOTENV).exists():
        return {}
    from dotenv import dotenv_values

    return {name: value for name, value in dotenv_values(DOTENV).items() if value}


def read_config_file() -> dict[str, Any]:
    """Return what config.toml holds; nothing when there is no such file.

    Raises:
        UsageError: It is a folder.
        OSError: It can't be read.
        ValueError: It is no TOML.

    """
    file = paths.config_file()
    if file.is_dir():
        raise UsageError(f"{file} is a folder", remedy="It should be a file.")
    if not file.exists():
        return {}
    return read_toml(file.read_text(encoding="utf-8-sig"))
