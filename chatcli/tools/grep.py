"""Searches files for a pattern, as a program of its own: a pattern that takes for ever can then be stopped.

It imports nothing of chatcli, so that it starts in some 20 ms.
"""

import json
import os
import re
import sys
from collections.abc import Iterator
from fnmatch import fnmatchcase

MAX_MATCHES = 200
MAX_LINE = 300
"""Characters that are shown of a line."""
MAX_FILE = 2_000_000
"""Bytes; larger files are no texts that anybody wrote."""


def main() -> None:
    """Print the matches; the only argument is a JSON object: root, folder, pattern, names and skipped."""
    wanted = json.loads(sys.argv[1])
    pattern = re.compile(wanted["pattern"])
    count = 0
    for path in _files(wanted["folder"], wanted["names"], wanted["skipped"]):
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


def _files(folder: str, names: str, skipped: list[str]) -> Iterator[str]:
    """Yield the files below `folder`; hidden ones and links are left out."""
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            path = os.path.join(parent, name)  # noqa: PTH118 - no pathlib here, which takes its time to import
            if name.startswith(".") or os.path.islink(path) or not fnmatchcase(name, names):  # noqa: PTH114
                continue
            if not any(fnmatchcase(name, pattern) for pattern in skipped):
                yield path


def _lines(path: str) -> list[str]:
    try:
        with open(path, "rb") as file:  # noqa: PTH123
            data = file.read(MAX_FILE + 1) if os.path.isfile(path) else b""  # noqa: PTH113
    except OSError:
        return []
    if len(data) > MAX_FILE or b"\0" in data[:1024]:
        return []
    return data.decode("utf-8", "replace").splitlines()


def _print(line: str) -> None:
    sys.stdout.write(line.encode("utf-8", "replace").decode("utf-8") + "\n")


if __name__ == "__main__":
    sys.stdout.reconfigure(encoding="utf-8", errors="replace")  # type: ignore[union-attr]
    main()
