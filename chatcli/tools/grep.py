"""Searches files for a pattern, as a program of its own: a pattern that takes for ever can then be stopped.

Of chatcli it imports the rule of secret names alone, so that it starts in some 30 ms.
"""

import json
import os
import re
import stat
import sys
from collections.abc import Iterator
from fnmatch import fnmatchcase

from chatcli.config.secret_files import is_secret_path

MAX_MATCHES = 200
MAX_LINE = 300
"""Characters that are shown of a line."""
MAX_FILE = 2_000_000
"""Bytes; larger files are no texts that anybody wrote."""


def main(argument: str) -> None:
    """Print the matches; `argument` is a JSON object: root, folder, pattern and names."""
    sys.stdout.reconfigure(encoding="utf-8", errors="replace")  # type: ignore[union-attr]
    wanted = json.loads(argument)
    pattern = re.compile(wanted["pattern"])
    count = 0
    for path in _files(wanted["folder"], wanted["names"]):
        shown = os.path.relpath(path, wanted["root"])
        for number, line in enumerate(_lines(path), 1):
            if not pattern.search(line):
                continue
            if count == MAX_MATCHES:
                _print(f"[only the first {MAX_MATCHES} matches are shown]")
                return
            count += 1
            _print(f"{shown}:{number}: {line.strip()[:MAX_LINE]}")
    if count == 0:
        _print("no matches")


def _files(folder: str, names: str) -> Iterator[str]:
    """Yield the files below `folder`; hidden ones, links and those with a secret name are left out."""
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not _is_left_out(name))
        for name in sorted(files):
            if fnmatchcase(name, names) and not _is_left_out(name):
                yield os.path.join(parent, name)  # noqa: PTH118 - no pathlib here, which takes its time to import


def _is_left_out(name: str) -> bool:
    return name.startswith(".") or is_secret_path([name])


def _lines(path: str) -> list[str]:
    try:
        with open(path, "rb", opener=open_regular) as file:
            data = file.read(MAX_FILE + 1)
    except OSError:
        return []
    if len(data) > MAX_FILE or b"\0" in data[:1024]:
        return []
    return data.decode("utf-8", "replace").splitlines()


def open_regular(path: str, flags: int) -> int:
    """Use as an `opener` for `open`: opens a regular file alone, never a link, and waits for nobody.

    A pipe would wait for somebody who writes; a device may do anything when it is opened, so it is not.

    Raises:
        OSError: It is something else, or can't be opened.

    """
    kind = os.lstat(path).st_mode
    descriptor = os.open(path, flags | os.O_NONBLOCK | os.O_NOFOLLOW) if stat.S_ISREG(kind) else -1
    if descriptor < 0 or not stat.S_ISREG(os.fstat(descriptor).st_mode):
        if descriptor >= 0:  # another took its place meanwhile
            os.close(descriptor)
        raise OSError(0, "it is no regular file", path)
    return descriptor


def _print(line: str) -> None:
    sys.stdout.write(f"{line}\n")
