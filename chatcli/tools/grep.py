"""A search in files, run as a separate program, so that a pattern that never ends can be stopped.

It imports nothing of chatcli but the rule of secret names, and so starts in about 30 ms.
"""

import json
import os
import re
import sys
from collections.abc import Iterator
from fnmatch import fnmatchcase

from chatcli.config.secret_files import is_secret_path, open_regular

MAX_MATCHES = 200
MAX_LINE = 300
"""Characters of a line that are shown."""
MAX_FILE = 2_000_000
"""Bytes of the largest file that is searched: larger ones are not written by hand."""


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
                print(f"[only the first {MAX_MATCHES} matches are shown]")  # noqa: T201 - it is a program
                return
            count += 1
            print(f"{shown}:{number}: {line.strip()[:MAX_LINE]}")  # noqa: T201 - it is a program
    if count == 0:
        print("no matches")  # noqa: T201 - it is a program


def _files(folder: str, names: str) -> Iterator[str]:
    """Yield the files below `folder`; hidden ones, links and those with a secret name are skipped."""
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
