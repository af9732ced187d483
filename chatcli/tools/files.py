"""Built-in tools that read files below the current folder, and nothing outside of it."""

import json
import os
import sys
from collections.abc import Awaitable, Callable
from fnmatch import fnmatch
from pathlib import Path

from langchain_core.tools import StructuredTool, ToolException

from chatcli.tools import grep
from chatcli.tools.process import run_process
from chatcli.tools.tool import Arguments, Tool

MAX_TEXT = 30_000
"""Characters of a file that are read at once."""
MAX_ENTRIES = 500
SECRETS = (
    *(".env*", ".netrc", ".npmrc", ".pypirc", "*credentials*"),
    *("*.pem", "*.key", "*.p12", "*.pfx", "*.kdbx", "id_rsa*", "id_dsa*", "id_ecdsa*", "id_ed25519*"),
)
"""Names of files that are likely to hold keys: reading one is asked about, and a search leaves them out."""


def file_tools(root: Path, seconds: float) -> list[Tool]:
    """Return the tools that read below `root`; a search takes `seconds` at most."""
    root = root.resolve()

    async def read_file(path: str, first_line: int = 1) -> str:
        """Read a text file in the current folder.

        Args:
            path: The file, relative to the current folder.
            first_line: The line to begin at, from 1, for files that are too long to be read at once.
        """
        return _read(_inside(root, path), path, first_line)

    async def list_files(path: str = ".", recursive: bool = False) -> str:
        """List the files and folders in a folder.

        Args:
            path: The folder, relative to the current folder.
            recursive: Whether to list what is in its folders too; hidden folders are left out.
        """
        return _list(root, _inside(root, path), path, recursive=recursive)

    async def search_files(pattern: str, path: str = ".", names: str = "*") -> str:
        """Search the files in a folder, and in the folders in it, for a pattern.

        Args:
            pattern: A regular expression, as Python has them; lines that it is found in are the result.
            path: The folder, relative to the current folder.
            names: Which files are searched, for instance "*.py".
        """
        wanted = {"root": str(root), "folder": str(_inside(root, path)), "pattern": pattern, "names": names}
        return await _search({**wanted, "skipped": SECRETS}, root, seconds)

    def holds_secrets(arguments: Arguments) -> bool:
        return _holds_secrets(root, str(arguments.get("path", "")))

    def path_of(arguments: Arguments) -> str:
        return str(arguments.get("path", ""))

    return [
        Tool(_tool(read_file), asks=holds_secrets, subject=path_of, suggest=path_of),
        Tool(_tool(list_files), asks=lambda arguments: False, subject=path_of),
        Tool(_tool(search_files), asks=holds_secrets, subject=path_of, suggest=path_of),
    ]


def _tool(coroutine: Callable[..., Awaitable[str]]) -> StructuredTool:
    return StructuredTool.from_function(coroutine=coroutine, parse_docstring=True, handle_tool_error=True)


def _holds_secrets(root: Path, path: str) -> bool:
    """Tell whether `path` is, or is in, a hidden folder, or has a name of `SECRETS`."""
    found = Path(os.path.abspath(root / path))  # noqa: PTH100 - links stay: where they lead is looked at besides
    parts = {*_relative(root, found), *_relative(root, found.resolve())}
    folders = {part for part in parts if part != found.name or found.is_dir()}
    if any(part.startswith(".") for part in folders):
        return True
    return any(fnmatch(part.lower(), pattern) for part in parts for pattern in SECRETS)


def _relative(root: Path, path: Path) -> tuple[str, ...]:
    return path.relative_to(root).parts if path.is_relative_to(root) else path.parts


def _inside(root: Path, path: str) -> Path:
    """Return what `path` is below `root`, symbolic links followed.

    Raises:
        ToolException: It is outside, or no path.

    """
    try:
        found = (root / path).resolve()
    except (OSError, ValueError, RuntimeError) as error:
        raise ToolException(f"{path} is no path: {error}") from None
    if not found.is_relative_to(root):
        raise ToolException(f"{path} is outside of the current folder, {root}, which is all that may be read")
    return found


def _read(file: Path, path: str, first_line: int) -> str:
    if not file.is_file():
        raise ToolException(f"{path} is {'a folder' if file.is_dir() else 'no file'}")
    lines, size = [], 0
    try:
        with file.open("rb") as opened:
            if b"\0" in opened.read(1024):
                raise ToolException(f"{path} is no text")
            opened.seek(0)
            for number, line in enumerate(opened, 1):
                if number < first_line:
                    continue
                lines.append(line.decode("utf-8", "replace"))
                size += len(lines[-1])
                if size > MAX_TEXT:
                    cut = "".join(lines)[:MAX_TEXT]
                    return f"{cut}\n[cut in line {number}; the file goes on]"
    except OSError as error:
        raise ToolException(f"{path} can't be read: {error.strerror}") from None
    return "".join(lines) or "[nothing]"


def _list(root: Path, folder: Path, path: str, *, recursive: bool) -> str:
    if not folder.is_dir():
        raise ToolException(f"{path} is no folder")
    entries: list[str] = []
    try:
        for parent, folders, files in os.walk(folder, onerror=_raise):
            here = Path(parent).relative_to(root)
            entries += [f"{here / name}/" for name in sorted(folders)] + [str(here / name) for name in sorted(files)]
            folders[:] = sorted(name for name in folders if recursive and not name.startswith("."))
            if len(entries) > MAX_ENTRIES:
                return "\n".join([*entries[:MAX_ENTRIES], f"[only the first {MAX_ENTRIES} are shown]"])
    except OSError as error:
        raise ToolException(f"{path} can't be listed: {error.strerror}") from None
    return "\n".join(entries) or "[empty]"


def _raise(error: OSError) -> None:
    raise error


async def _search(wanted: dict[str, object], root: Path, seconds: float) -> str:
    command = [sys.executable, "-I", "-S", grep.__file__, json.dumps(wanted)]
    finished = await run_process(command, cwd=root, env={}, seconds=seconds)
    if finished.exit_code is None:
        raise ToolException(f"the search took longer than {seconds:g} seconds; try a simpler pattern or fewer files")
    if finished.exit_code != 0:
        raise ToolException(f"the search failed: {finished.output.strip().rpartition(chr(10))[2]}")
    return finished.output
