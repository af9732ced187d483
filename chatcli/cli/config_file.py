"""Changes config.toml where a command is to be remembered; comments and order in it stay."""

import os

import tomlkit
from tomlkit.exceptions import TOMLKitError

from chatcli import paths
from chatcli.errors import UsageError


def set_value(key: str, value: str, *, table: str | None = None) -> None:
    """Write `key = value` into config.toml, in `table` if one is named.

    Raises:
        UsageError: The file is no TOML, or can't be written.

    """
    path = paths.config_file()
    try:
        document = tomlkit.parse(path.read_text(encoding="utf-8") if path.exists() else "")
        section = document if table is None else document.setdefault(table, tomlkit.table())
        section[key] = value
        paths.private_dir(path.parent)
        draft = path.with_suffix(f".{os.getpid()}.new")
        draft.write_text(tomlkit.dumps(document), encoding="utf-8")
        draft.replace(path)
    except (OSError, TOMLKitError) as error:
        raise UsageError(f"{path} can't be changed: {error}", remedy="Mend it by hand: `chat config edit`.") from None
