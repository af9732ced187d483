"""Where chatcli keeps what on this machine: the XDG folders, through platformdirs."""

import os
import warnings
from pathlib import Path

from platformdirs import PlatformDirs

_DIRS = PlatformDirs("chatcli", appauthor=False)


def data_dir() -> Path:
    """Conversations: the default store."""
    return Path(_DIRS.user_data_dir)


def config_dir() -> Path:
    """What the user sets: config.toml."""
    return Path(_DIRS.user_config_dir)


def cache_dir() -> Path:
    """What can be fetched again: model weights."""
    return Path(_DIRS.user_cache_dir)


def state_dir() -> Path:
    """What this machine remembers: input history, the local model server's lock, state and log."""
    return Path(_DIRS.user_state_dir)


def runtime_dir(*, create: bool = False) -> Path:
    """Sockets; private (0700), and gone when the user has logged out or the machine starts anew.

    Raises:
        OSError: No folder can be had that is this user's alone.

    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of an unset XDG_RUNTIME_DIR: there is a folder that stands in for it
        return Path(PlatformDirs("chatcli", appauthor=False, ensure_exists=create).user_runtime_dir)


def config_file() -> Path:
    """The TOML file that `Settings` reads."""
    return config_dir() / "config.toml"


def rules_file() -> Path:
    """Which tool calls the user allowed for good, a rule a line."""
    return config_dir() / "allowed.txt"


def server_log(name: str) -> Path:
    """What the MCP server `name` wrote to its standard error when it was started last."""
    from urllib.parse import quote

    return state_dir() / "mcp" / f"{quote(name, safe='')}.log"


def private_dir(path: Path) -> Path:
    """Create `path` with its parents, readable by the user alone (0700), and return it.

    A folder that exists keeps its mode: it may be the user's own choice.
    """
    if not path.is_dir():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir(mode=0o700, exist_ok=True)
    return path


def private_opener(path: str, flags: int) -> int:
    """Use as an `opener` for `open`: creates the file with mode 0600, whatever the umask."""
    return os.open(path, flags, 0o600)
