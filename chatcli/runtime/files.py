"""Files that are replaced in one step: whoever reads one, or kills its writer, finds the old one or the new one."""

import errno
import os
import stat
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path


def replace_privately(path: Path, parts: Iterable[str], *, keep_mode: bool = False) -> None:
    """Write `parts`, one after the other, to `path` in place of what is there; on failure that stays.

    A symbolic link stays one: the file that it leads to is replaced. A pipe or a device is written to. The owner of
    an older file stays where this process may give files away.

    Args:
        path: Its folder has to exist.
        parts: The text, in UTF-8.
        keep_mode: Whether the mode of an older file stays; else, and for a new file, it is 0600.

    Raises:
        OSError: The disk is full, or the folder does not exist or may not be written to.

    """
    old = path.stat() if path.exists() else None
    if old is not None and not stat.S_ISREG(old.st_mode):
        with path.open("w", encoding="utf-8") as stream:  # a folder raises; of a pipe or a device nothing is replaced
            stream.writelines(parts)
        return
    target = Path(os.path.realpath(path))
    if target.is_symlink():
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
    descriptor, name = tempfile.mkstemp(prefix=f".{target.name[:50]}-", dir=target.parent)  # its mode is 0600
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.writelines(parts)
            if old is not None:
                with suppress(PermissionError):
                    os.fchown(descriptor, old.st_uid, old.st_gid)
                if keep_mode:
                    os.fchmod(descriptor, stat.S_IMODE(old.st_mode))
            file.flush()
            os.fsync(descriptor)
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink()
        raise
