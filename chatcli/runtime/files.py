"""Files that are replaced in one step, and the JSON files in the state folder, which are changed that way.

A process that reads such a file, or a kill of its writer, finds either the old content or the new one.
"""

import errno
import fcntl
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from chatcli import paths
from chatcli.runtime.parse import read_json

FULL_SYNC: int | None = getattr(fcntl, "F_FULLFSYNC", None)
"""The command of fcntl(2) that empties the drive's cache too, which fsync(2) does not on macOS; None elsewhere."""
MAX_SETTINGS_BYTES = 16_000_000
"""More than anybody writes by hand."""


def replace_privately(path: Path, parts: Iterable[str], *, keep_mode: bool = False) -> None:
    """Write `parts`, one after the other, to `path` in place of the old content, which stays on failure.

    A symbolic link stays a link: the file that it leads to is replaced. A pipe or a device is written to. The owner
    of an older file stays where this process may give files away.

    Args:
        path: The file; its folder has to exist.
        parts: The text, in UTF-8.
        keep_mode: Whether the mode of an older file stays. Otherwise, and for a new file, it is 0600.

    Raises:
        OSError: The disk is full, or the folder does not exist or is not writable.

    """
    old = path.stat() if path.exists() else None
    if old is not None and not stat.S_ISREG(old.st_mode):
        with path.open("w", encoding="utf-8") as stream:  # a folder raises; a pipe or a device is not replaced
            stream.writelines(parts)
        return
    target = Path(os.path.realpath(path))
    if target.is_symlink():
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
    # Not by `tempfile`, which imports much. A kill may leave a draft: the next one has another name.
    draft = target.with_name(f".{target.name[:50]}-{os.urandom(8).hex()}")
    file = open(draft, "x", encoding="utf-8", opener=paths.private_opener)  # noqa: SIM115 - nothing to remove before
    try:
        with file:
            file.writelines(parts)
            if old is not None:
                with suppress(PermissionError):
                    os.fchown(file.fileno(), old.st_uid, old.st_gid)
                if keep_mode:
                    os.fchmod(file.fileno(), stat.S_IMODE(old.st_mode))
            file.flush()
            write_to_disk(file.fileno())
        draft.replace(target)
    except BaseException:
        draft.unlink()
        raise


def write_to_disk(descriptor: int, full_sync: int | None = FULL_SYNC) -> None:
    """Wait until a file is on the disk, so that a loss of power does not undo it; raise OSError if that fails."""
    if full_sync is not None:
        with suppress(OSError):  # the file system, for example one of a network, does not have it
            fcntl.fcntl(descriptor, full_sync)
            return
    os.fsync(descriptor)


def read_file(path: Path, *, pipe: bool = False) -> bytes:
    """Return the content of `path`, a file of settings.

    Args:
        path: The file.
        pipe: Whether it may be a pipe, such as `<(command)`; any other pipe would be waited for without end.

    Raises:
        OSError: It can't be read, or it is a pipe or a socket.
        ValueError: It is larger than `MAX_SETTINGS_BYTES`.

    """
    with open(path, "rb", opener=None if pipe else _without_waiting) as file:
        content = file.read(MAX_SETTINGS_BYTES + 1)
    if len(content) > MAX_SETTINGS_BYTES:
        raise ValueError(f"it is larger than {MAX_SETTINGS_BYTES // 1_000_000} MB")
    return content


def _without_waiting(path: str, flags: int) -> int:
    descriptor = os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY)
    if stat.S_ISFIFO(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is a pipe, not a file", path)
    return descriptor


def read_state(path: Path) -> dict[str, Any]:
    """Return the JSON object in the file at `path`, or an empty one when there is no such file.

    Raises:
        OSError: The file can't be read.
        ValueError: The file is damaged: it holds no JSON object.

    """
    try:
        data = read_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    if not isinstance(data, dict):
        raise ValueError("it holds no JSON object")
    return data


def change_state(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Let `change` alter the JSON object in the file at `path`; a damaged file counts as empty.

    One process at a time does this, since another one would lose what this one adds.

    Raises:
        OSError: The file can't be written; it stays as it was.

    """
    import json  # for the few runs that write

    with only_writer(path.parent):
        try:
            data = read_state(path)
        except ValueError:
            data = {}
        change(data)
        replace_privately(path, [json.dumps(data, indent=2)])


@contextmanager
def only_writer(folder: Path) -> Iterator[None]:
    """Wait until no other process holds the lock on the private `folder`, which is made if there is none; hold it.

    Raises:
        OSError: There is no such folder, and it can't be made.

    """
    opened = os.open(paths.private_dir(folder), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(opened, fcntl.LOCK_EX)
        yield
    finally:
        os.close(opened)
