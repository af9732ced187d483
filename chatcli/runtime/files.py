"""Files that are replaced in one step, and the JSON files in the state folder, which are changed that way."""

# A process that reads such a file, or a kill of its writer, finds either the old content or the new one.

import errno
import fcntl
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

from chatcli import paths
from chatcli.runtime.parse import read_json

FULL_SYNC: int | None = getattr(fcntl, "F_FULLFSYNC", None)
"""The command of fcntl(2) that empties the drive's cache too, which fsync(2) does not on macOS; None elsewhere."""
_DRAFT = re.compile("[0-9a-f]{16}")
MAX_SETTINGS_BYTES = 16_000_000
"""More than anybody writes by hand."""


def replace_privately(path: Path, parts: Iterable[str], *, keep_mode: bool = False) -> None:
    """Write `parts`, UTF-8 text, to `path` in place of the old content, which stays on failure.

    A symbolic link stays a link: the file that it leads to is replaced. A pipe or a device is written to. The owner
    of an older file stays where this process may give files away, its mode with `keep_mode`; otherwise that is 0600.
    """
    old = path.stat() if path.exists() else None
    if old is not None and not stat.S_ISREG(old.st_mode):
        with path.open("w", encoding="utf-8") as stream:  # a folder raises; a pipe or a device is not replaced
            stream.writelines(parts)
        return
    target = Path(os.path.realpath(path))
    if target.is_symlink():
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
    beginning = f".{target.name[:50]}-"
    _remove_drafts(target.parent, beginning)
    draft, file = _new_draft(target.parent, beginning)
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
            put_in_place(draft, target)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def _new_draft(folder: Path, beginning: str) -> tuple[Path, TextIO]:
    """Return the path of a new file, and the file, which is locked; not by `tempfile`, which imports much."""
    while True:
        draft = folder / f"{beginning}{os.urandom(8).hex()}"
        file = open(draft, "x", encoding="utf-8", opener=paths.private_opener)  # noqa: SIM115 - the caller closes it
        with suppress(OSError):  # the file system may have no locks
            fcntl.flock(file, fcntl.LOCK_EX)
        if draft.exists():  # else another process took it for one that was left behind
            return draft, file
        file.close()


def _remove_drafts(folder: Path, beginning: str) -> None:
    """Remove the drafts whose names have this `beginning` and whose writers were killed: nobody holds their locks."""
    with suppress(OSError):  # it may be a folder where files can be written, not listed
        for name in os.listdir(folder):  # noqa: PTH208 - Path.iterdir takes twice as long
            if not (name.startswith(beginning) and _DRAFT.fullmatch(name, len(beginning))):
                continue
            with suppress(OSError):
                left = os.open(folder / name, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
                try:
                    fcntl.flock(left, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    (folder / name).unlink()
                finally:
                    os.close(left)


def put_in_place(draft: Path, target: Path) -> None:
    """Rename `draft`, which is on the disk, to `target` in the same folder, and wait until the name is there, too."""
    draft.replace(target)
    folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with suppress(OSError):  # the file system can't; what has its new name must not be reported as unwritten
            write_to_disk(folder)
    finally:
        os.close(folder)


def write_to_disk(descriptor: int, full_sync: int | None = FULL_SYNC) -> None:
    """Wait until a file is on the disk, so that a loss of power does not undo it; raise OSError if that fails."""
    if full_sync is not None:
        with suppress(OSError):  # the file system, for example one of a network, does not have it
            fcntl.fcntl(descriptor, full_sync)
            return
    os.fsync(descriptor)


def read_file(path: Path, *, pipe: bool = False) -> bytes:
    """Return the content of `path`, a file of settings; raise ValueError beyond `MAX_SETTINGS_BYTES`."""
    # With `pipe`, it may be one such as `<(command)`. Any other pipe would be waited for without end: OSError.
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
    """Return the JSON object in the file at `path`, an empty one without a file; raise ValueError if it holds none."""
    try:
        data = read_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    if not isinstance(data, dict):
        raise ValueError("it holds no JSON object")
    return data


def change_state(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Let `change` alter the JSON object in the file at `path`; a damaged file counts as empty."""
    # One process at a time does this, since another one would lose what this one adds.
    import json  # for the few runs that write

    with lock_folder(paths.private_dir(path.parent)):
        try:
            data = read_state(path)
        except ValueError:
            data = {}
        change(data)
        replace_privately(path, [json.dumps(data, indent=2)])


@contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
    """Wait until no other process holds the lock on `folder`, which has to exist; hold it."""
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(opened, fcntl.LOCK_EX)
        yield
    finally:
        os.close(opened)
