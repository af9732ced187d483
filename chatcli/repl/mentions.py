"""The files, folders and resources that a line mentions after an `@`, typed or pasted."""

import os
from collections.abc import Collection
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from chatcli.attachments.attachment import find_folders, find_mentions, find_resources, missing_mentions
from chatcli.repl.pastes import plain, typed_mentions
from chatcli.sanitize import reveal
from chatcli.text import format_size

MAX_PASTED = 20
"""The most mentions in a paste that `chat` asks about. It never attaches the others."""
_MAX_COUNTED = 1000


@dataclass(frozen=True, slots=True)
class Mentioned:
    """What a line mentions: `files` may be URLs, `resources` are a server and a URI each, `missing` does not exist."""

    files: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    resources: tuple[tuple[str, str], ...] = ()
    missing: tuple[str, ...] = ()

    def described(self) -> list[str]:
        """Return a line about each, with its whole path and its size."""
        rows = [*map(_file_row, self.files), *map(_folder_row, self.folders)]
        return [*rows, *(reveal(f"{uri} of the MCP server {server}") for server, uri in self.resources)]


def find_mentioned(text: str, servers: Collection[str]) -> Mentioned:
    """Return the mentions in `text`; `servers` are the names of MCP servers."""
    if "@" not in text:
        return Mentioned()
    resources = tuple(find_resources(text, servers))
    return Mentioned(tuple(find_mentions(text)), tuple(find_folders(text)), resources, tuple(missing_mentions(text)))


def find_pasted(line: str, servers: Collection[str]) -> Mentioned:
    """Return the mentions in the pasted parts alone of the marked `line`, up to `MAX_PASTED`."""
    whole, typed = find_mentioned(plain(line), servers), find_mentioned(typed_mentions(line), servers)
    files = [each for each in whole.files if each not in typed.files][:MAX_PASTED]
    folders = [each for each in whole.folders if each not in typed.folders][: MAX_PASTED - len(files)]
    resources = [each for each in whole.resources if each not in typed.resources]
    return Mentioned(tuple(files), tuple(folders), tuple(resources[: MAX_PASTED - len(files) - len(folders)]))


def _file_row(source: str) -> str:
    if source.startswith(("http://", "https://")):
        return reveal(source)
    path = Path(source).expanduser().resolve()
    return f"{reveal(str(path))} ({format_size(path.stat().st_size)})"


def _folder_row(source: str) -> str:
    path = Path(source).expanduser().resolve()
    count = len(list(islice((name for _, _, names in os.walk(path) for name in names), _MAX_COUNTED)))
    more = " or more" if count == _MAX_COUNTED else ""
    return f"{reveal(str(path))}/ (a folder of {count}{more} file{'' if count == 1 else 's'})"
