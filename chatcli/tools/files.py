"""Built-in tools that read files in the current folder and its subfolders, and nothing else."""

import asyncio
import io
import json
import os
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial
from glob import escape
from pathlib import Path
from typing import BinaryIO

from langchain_core.tools import StructuredTool, ToolException

import chatcli
from chatcli.config.secret_files import is_in_private_folder, is_secret_path, open_regular
from chatcli.tools.leash import leashed
from chatcli.tools.shell import run_process
from chatcli.tools.tool import Arguments, Tool
from chatcli.tools.workspace import EditorFiles

MAX_TEXT = 30_000
"""Bytes of a file that one call returns."""
MAX_SHOWN = 200
"""Characters of a path that a message shows."""
MAX_ENTRIES = 500
MAX_LINKS = 40
"""Symbolic links on the way to one file; the kernel follows as many."""
_PACKAGES = str(Path(chatcli.__file__).parents[1])
_GREP = "import sys; sys.path.append(sys.argv[1]); from chatcli.tools.grep import main; main(sys.argv[2])"


def file_tools(root: Path, seconds: float, editor: EditorFiles | None = None, more: Sequence[Path] = ()) -> list[Tool]:
    """Return the tools that read in `root` and `more` folders, by the `editor` first; `seconds` bound a search."""
    root = root.resolve()
    folders = [root, *more]

    async def read_file(path: str, first_line: int = 1) -> str:
        """Read a text file in the current folder. The user is asked first if the name suggests that it holds secrets.

        Args:
            path: The file, relative to the current folder.
            first_line: The line to begin at, from 1, for files that are too long for one call.
        """
        file = find_inside(folders, path)
        if editor is not None and (text := await asyncio.to_thread(editor.read, file)) is not None:
            return _cut(io.BytesIO(text.encode("utf-8", "replace")), first_line)
        return _read(file, path, first_line)

    async def list_files(path: str = ".", recursive: bool = False) -> str:
        """List the files and folders in a folder.

        Args:
            path: The folder, relative to the current folder.
            recursive: Whether to list its subfolders too, except hidden ones and those of secrets.
        """
        return _list(root, find_inside(folders, path), path, recursive=recursive)

    async def search_files(pattern: str, path: str = ".", names: str = "*") -> str:
        """Search the files in a folder and its subfolders for a pattern.

        Hidden files, links, and files whose names suggest that they hold secrets are skipped.

        Args:
            pattern: A Python regular expression; the result is the lines that contain a match.
            path: The folder, relative to the current folder.
            names: The names of the files to search, for instance "*.py".
        """
        folder = find_inside(folders, path)
        if not folder.is_dir():
            raise ToolException(f"{path} is not a folder")
        wanted = {"root": str(root), "folder": str(folder), "pattern": pattern, "names": names}
        return await _search(wanted, root, seconds)

    def tool(coroutine: Callable[..., Awaitable[str]], *, hidden: bool) -> Tool:
        return Tool(
            StructuredTool.from_function(coroutine=coroutine, parse_docstring=True, handle_tool_error=True),
            asks=lambda arguments: holds_secrets(folders, _path(arguments), hidden=hidden),
            subject=partial(file_of, folders),
            suggest=lambda arguments: escape(file_of(folders, arguments)),
            reads_only=True,
        )

    return [tool(read_file, hidden=True), tool(list_files, hidden=False), tool(search_files, hidden=True)]


def file_of(folders: Sequence[Path], arguments: Arguments) -> str:
    """Return the real path of a call's file, so that `..` or a link does not lead a rule out of its folder.

    It is relative in the first of `folders`, and absolute in another one.
    """
    try:
        found = find_inside(folders, _path(arguments))
    except ToolException:
        return _path(arguments)
    return str(found.relative_to(folders[0]) if found.is_relative_to(folders[0]) else found)


def _path(arguments: Arguments) -> str:
    return str(arguments.get("path", "."))


def holds_secrets(folders: Sequence[Path], path: str, *, hidden: bool = False) -> bool:
    """Return whether `path`, or the target of a link on the way, has a secret name or is in a folder with one.

    With `hidden`, the same holds for a file in a hidden folder. A path that no tool accepts holds none.
    """
    try:
        find_inside(folders, path)
    except ToolException:
        return False
    for found in _ways(folders[0] / path):
        root = folder_of(folders, found)
        parts = found.parts if root is None else found.relative_to(root).parts
        if is_secret_path(parts) or is_in_private_folder(found.parts):
            return True
        above = parts if os.path.isdir(found) else parts[:-1]  # noqa: PTH112 - Path's raises where it may not look
        if hidden and any(part.startswith(".") for part in above):
            return True
    return False


def _ways(path: Path) -> Iterator[Path]:
    """Yield `path`, and the path after each of its symbolic links is followed."""
    for _ in range(MAX_LINKS):
        yield Path(os.path.abspath(path))  # noqa: PTH100 - links stay: each is a name of its own
        at = Path(path.anchor)
        for number, part in enumerate(path.parts[1:], 2):
            folder, at = at, at.parent if part == ".." else at / part
            if os.path.islink(at):  # noqa: PTH114 - as above
                path = Path(folder, at.readlink(), *path.parts[number:])
                break
        else:
            return


def folder_of(folders: Sequence[Path], path: Path) -> Path | None:
    """Return the first of `folders` that `path` is in; None if there is none."""
    return next((folder for folder in folders if path.is_relative_to(folder)), None)


def find_inside(folders: Sequence[Path], path: str) -> Path:
    """Return the real path of `path`, after all links; raise ToolException if no folder has it, or it can't be read."""
    shown = shown_path(path)
    try:
        found = (folders[0] / path).resolve()
        if folder_of(folders, found) is None:
            raise ToolException(f"{shown} is outside of the current folder, {folders[0]}; no other file can be used")
        found.stat()
    except (FileNotFoundError, NotADirectoryError):
        pass  # each tool has its own message
    except (OSError, ValueError, RuntimeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ToolException(f"{shown} can't be read: {reason}") from None
    return found


def shown_path(path: str) -> str:
    """Return `path` as a message shows it."""
    return path if len(path) <= MAX_SHOWN else f"{path[:MAX_SHOWN]}..."


def _read(file: Path, path: str, first_line: int) -> str:
    if file.is_dir():
        raise ToolException(f"{path} is a folder")
    if not file.is_file():
        raise ToolException(f"{path} is {'not a regular file' if file.exists() else 'not a file'}")
    try:
        with open(file, "rb", opener=open_regular) as opened:
            if b"\0" in opened.read(1024):
                raise ToolException(f"{path} is not text")
            opened.seek(0)
            return _cut(opened, first_line)
    except OSError as error:
        raise ToolException(f"{path} can't be read: {error.strerror}") from None


def _cut(opened: BinaryIO, first_line: int) -> str:
    """Return the text from `first_line` on, as much of it as one call returns."""
    parts, size, number = [], 0, 1
    # In pieces, since a line may be as long as the file.
    while piece := opened.readline(MAX_TEXT + 1):
        if number >= first_line:
            parts.append(piece)
            size += len(piece)
            if size > MAX_TEXT:
                cut = b"".join(parts)[:MAX_TEXT].decode("utf-8", "replace")
                return f"{cut}\n[cut in line {number}; the file goes on]"
        number += piece.endswith(b"\n")
    return b"".join(parts).decode("utf-8", "replace") or "[nothing]"


def _list(root: Path, folder: Path, path: str, *, recursive: bool) -> str:
    if not folder.is_dir():
        raise ToolException(f"{path} is not a folder")
    entries: list[str] = []
    try:
        for parent, folders, files in os.walk(folder, onerror=_raise):
            here = Path(os.path.relpath(parent, root))
            entries += [f"{here / name}/" for name in sorted(folders)] + [str(here / name) for name in sorted(files)]
            folders[:] = sorted(
                name for name in folders if recursive and not name.startswith(".") and not is_secret_path([name])
            )
            if len(entries) > MAX_ENTRIES:
                return "\n".join([*entries[:MAX_ENTRIES], f"[only the first {MAX_ENTRIES} are shown]"])
    except OSError as error:
        raise ToolException(f"{path} can't be listed: {error.strerror}") from None
    return "\n".join(entries) or "[empty]"


def _raise(error: OSError) -> None:
    raise error


async def _search(wanted: dict[str, str], root: Path, seconds: float) -> str:
    command = [sys.executable, "-I", "-S", "-W", "ignore", "-c", _GREP, _PACKAGES, json.dumps(wanted)]
    finished = await run_process(leashed(command), cwd=root, env={}, seconds=seconds)
    if finished.exit_code is None:
        raise ToolException(f"the search took longer than {seconds:g} seconds; try a simpler pattern or fewer files")
    if finished.exit_code != 0:
        raise ToolException(f"the search failed: {finished.output.strip().rpartition(chr(10))[2]}")
    return finished.output
