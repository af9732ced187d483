"""JSON files in the user's state folder: private, replaced in one step, changed by one process at a time."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from chatcli import paths
from chatcli.runtime.parse import read_json


def read_state(path: Path) -> dict[str, Any]:
    """Return the object in the file at `path`, empty when there is no such file.

    Raises:
        OSError: It can't be read.
        ValueError: It is damaged: no JSON object.

    """
    try:
        data = read_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    if not isinstance(data, dict):
        raise ValueError("it holds no JSON object")
    return data


def change_state(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Let `change` alter the object in the file at `path`; of a damaged file nothing is kept.

    Raises:
        OSError: It can't be written; it stays as it was.

    """
    import fcntl

    folder = os.open(paths.private_dir(path.parent), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)  # another process would lose what this one adds
        try:
            data = read_state(path)
        except ValueError:
            data = {}
        change(data)
        draft = path.with_name(f"{path.name}.new")  # a killed process may have left one
        with open(draft, "w", encoding="utf-8", opener=paths.private_opener) as file:
            json.dump(data, file, indent=2)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        os.close(folder)
