"""The folders and files of chatcli on this machine, through platformdirs.

Where an XDG variable is set, it names the folder on every system; else they are those of the XDG specification on
Linux, and those in ~/Library on macOS, where settings, data and state share one folder.
"""

import os
import warnings
from pathlib import Path

from platformdirs import PlatformDirs

_DIRS = PlatformDirs("chatcli", appauthor=False)


def data_dir() -> Path:
    """Return the folder of the default store."""
    return Path(_DIRS.user_data_dir)


def config_dir() -> Path:
    """Return the folder of what the user writes, such as config.toml."""
    return Path(_DIRS.user_config_dir)


def cache_dir() -> Path:
    """Return the folder of what can be fetched or made again: model weights, vectors."""
    return Path(_DIRS.user_cache_dir)


def state_dir() -> Path:
    """Return the folder of what this machine remembers, such as the input history and the local server's log."""
    return Path(_DIRS.user_state_dir)


def runtime_dir(*, create: bool = False) -> Path:
    """Return the private (0700) folder of sockets. Raises `OSError` if there is none that only this user can use."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # XDG_RUNTIME_DIR may be unset: platformdirs uses another folder
        return Path(PlatformDirs("chatcli", appauthor=False, ensure_exists=create).user_runtime_dir)


def own_folders() -> list[Path]:
    """Return chatcli's own folders, whether they exist or not."""
    return [config_dir(), data_dir(), state_dir(), cache_dir(), runtime_dir()]


def is_own(path: Path) -> bool:
    """Return whether the resolved `path` is one of chatcli's own folders or in one, by whatever name."""
    own = [folder.resolve() for folder in own_folders()]
    plain = Path(str(path).casefold())  # some file systems ignore case
    if any(plain.is_relative_to(str(folder).casefold()) for folder in own):
        return True
    parents = [parent for parent in (path, *path.parents) if parent.exists()]
    return any(folder.samefile(parent) for folder in own if folder.exists() for parent in parents)


def config_file() -> Path:
    """Return the TOML file that `Settings` reads."""
    return config_dir() / "config.toml"


def local_mark() -> Path:
    """Return the file that says that the user has the local model, or chose it: the first run is over."""
    return state_dir() / "local-chosen"


def rules_file() -> Path:
    """Return the file of the tool calls that the user always allows, one rule a line."""
    return config_dir() / "allowed.txt"


def server_log(name: str) -> Path:
    """Return the file with the standard error of the MCP server `name` since its last start."""
    from urllib.parse import quote

    return state_dir() / "mcp" / f"{quote(name, safe='')}.log"


def private_dir(path: Path) -> Path:
    """Create `path` with its parents, readable by the user alone (0700), and return it.

    A folder that exists keeps its mode, which the user may have chosen.
    """
    if not path.is_dir():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir(mode=0o700, exist_ok=True)
    return path


def private_opener(path: str, flags: int) -> int:
    """Use as an `opener` for `open`: creates the file with mode 0600, whatever the umask."""
    return os.open(path, flags, 0o600)
