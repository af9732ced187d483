"""Writes a value to config.toml, and leaves comments and order as they are."""

import tomlkit
from tomlkit.exceptions import TOMLKitError

from chatcli import paths
from chatcli.errors import UsageError
from chatcli.runtime.files import replace_privately


def set_value(key: str, value: str, *, table: str | None = None) -> None:
    """Write `key = value` into config.toml, in `table` if one is named.

    Raises:
        UsageError: The file is not TOML, or can't be written.

    """
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
        raise UsageError(f"{path} can't be changed: {error}", remedy="Fix it: `chat config edit`.") from None
