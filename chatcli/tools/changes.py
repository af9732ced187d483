"""Built-in tools that write files in the current folder: each call is a change, shown as a diff before it is made."""

import hashlib
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from difflib import SequenceMatcher
from functools import partial
from pathlib import Path
from typing import Any, Literal

from langchain_core.tools import StructuredTool, ToolException
from pydantic import ValidationError

from chatcli import paths
from chatcli.config.trust import FILES, PROJECT_FILE
from chatcli.runtime.files import write_to_disk
from chatcli.sanitize import reveal
from chatcli.text import format_size, one_line
from chatcli.tools.files import MAX_SHOWN, file_of, find_inside, folder_of, holds_secrets, shown_path
from chatcli.tools.tool import Arguments, Tool
from chatcli.tools.workspace import EditorFiles

MAX_FILE = 1_000_000
"""Bytes of the largest file that is written, before and after: a larger one is not written by hand."""
_MATCHED = 1_000_000
"""The most pairs of lines that are compared for a diff: beyond, all old lines stand before all new ones."""
_CONTEXT = 3
_TRUSTED = frozenset(name.casefold() for name in (*FILES, PROJECT_FILE))
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_DRAFT = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_BOM = "\ufeff"

Opcode = tuple[Literal["replace", "delete", "insert", "equal"], int, int, int, int]


@dataclass(frozen=True, slots=True)
class Change:
    """What a call does to one file; nothing is done before `write`."""

    root: Path
    """The folder that the file is in, without links."""
    path: str
    """The file, relative to `root`, without links."""
    shown: str
    """The path as it is shown: relative in the current folder, else absolute."""
    before: str | None
    """Its text, with its line endings; None if there is no such file."""
    after: str | None
    """Its text after the change; None if it is deleted."""
    editor: EditorFiles | None = field(default=None, compare=False, repr=False)
    """The editor that gave `before`, or would have the new file, and writes it."""

    @property
    def file(self) -> Path:
        """The absolute path."""
        return self.root / self.path

    @property
    def digest(self) -> str:
        """The SHA-256 of the file that is changed, empty if there is none."""
        return _digest(self.before)

    def diff(self) -> str:
        """Return the change as a unified diff, with the control characters of the file in it."""
        name = reveal(self.shown)
        old, new = _lines(self.before), _lines(self.after)
        if all(line.endswith("\r\n") or not line.endswith("\n") for line in (*old, *new)):
            old, new = ([line.replace("\r\n", "\n") for line in lines] for lines in (old, new))
        heads = ["/dev/null" if text is None else name for text in (self.before, self.after)]
        return "\n".join([f"--- {heads[0]}", f"+++ {heads[1]}", *_hunks(old, new)])

    def write(self) -> None:
        """Make the change in one step. Raises `ToolException` if the file has changed since, or can't be written.

        An editor is not asked again for the text that it gave: it was planned only a moment ago.
        """
        if self.editor is not None and self.after is not None and self.editor.write(self.file, self.after):
            return
        *folders, name = Path(self.path).parts
        try:
            with _folder(self.root, folders, make=self.before is None) as folder:
                self._replace(folder, name)
        except OSError as error:
            raise ToolException(f"{shown_path(self.shown)} can't be written: {error.strerror}") from None

    def take_back(self) -> str:
        """Make the change, and return the result in words."""
        try:
            self.write()
        except ToolException as error:
            return str(error)
        return f"{self.shown} is {'as it was before' if self.after is not None else 'removed'}"

    def _replace(self, folder: int, name: str) -> None:
        old = self._check(folder, name)
        if self.after is None:
            os.unlink(name, dir_fd=folder)
            return
        draft = f".{name[:50]}-{os.urandom(8).hex()}"
        descriptor = os.open(draft, _DRAFT, 0o600 if old else 0o666, dir_fd=folder)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(self.after.encode())
                file.flush()
                if old is not None:
                    if (old.st_uid, old.st_gid) != (os.geteuid(), os.fstat(descriptor).st_gid):
                        os.fchown(descriptor, old.st_uid, old.st_gid)
                    os.fchmod(descriptor, old.st_mode & 0o777)
                write_to_disk(descriptor)
            self._place(folder, name, draft, old)
        finally:
            with suppress(FileNotFoundError):
                os.unlink(draft, dir_fd=folder)

    def _place(self, folder: int, name: str, draft: str, old: os.stat_result | None) -> None:
        """Give `draft` its name, unless the file has changed in the meantime."""
        if old is None:
            try:
                # Unlike a rename, a link never replaces a file that somebody has just made.
                os.link(draft, name, src_dir_fd=folder, dst_dir_fd=folder)
                return
            except FileExistsError:
                raise self.outdated() from None
            except OSError:
                pass  # a file system without hard links
        now = self._check(folder, name)
        if old is not None and now is not None and (old.st_ino, old.st_ctime_ns) != (now.st_ino, now.st_ctime_ns):
            raise self.outdated()
        os.rename(draft, name, src_dir_fd=folder, dst_dir_fd=folder)

    def _check(self, folder: int, name: str) -> os.stat_result | None:
        text, status = _read(folder, name, self.shown)
        if text != self.before:
            raise self.outdated()
        return status

    def outdated(self) -> ToolException:
        """Return the error that says that the file is not as it was."""
        return ToolException(f"Nothing was written: {shown_path(self.shown)} has changed since this was shown.")

    def record(self) -> dict[str, Any]:
        """Return the record by which `reverts` takes the change back, as plain data."""
        before, after = self.before or "", self.after or ""
        start, end = _shared(before, after)
        old = None if self.before is None else before[start : len(before) - end]
        return {"path": str(self.file), "start": start, "end": end, "old": old, "after": _digest(self.after)}


def change_tools(root: Path, editor: EditorFiles | None = None, more: Sequence[Path] = ()) -> list[Tool]:
    """Return the tools that write in `root` and `more` folders, by the `editor` where it writes files; they block."""
    folders = [root.resolve(), *more]
    editor = editor if editor is not None and editor.can_write else None

    def write_file(path: str, content: str) -> Change:
        """Write a text file in the current folder: a new one, or the whole of an old one. The user sees a diff first.

        Args:
            path: The file, relative to the current folder; missing folders are made.
            content: All of its text.
        """
        return _written(_find(folders, path, editor), content)

    def edit_file(path: str, old_text: str, new_text: str) -> Change:
        """Replace a text that stands exactly once in a file of the current folder. The user sees a diff first.

        Args:
            path: The file, relative to the current folder.
            old_text: The text to replace, exactly as it stands in the file, with enough around it to occur only once.
            new_text: What stands there instead.
        """
        return _edited(_find(folders, path, editor), old_text, new_text)

    def is_harmless(arguments: Arguments) -> bool:
        """Return whether the file is an ordinary one: nothing that git runs, or that tells `chat` what to do."""
        parts = [part.casefold() for part in Path(file_of(folders, arguments)).parts]
        return ".git" not in parts and not _TRUSTED.intersection(parts)

    tools = [StructuredTool.from_function(each, parse_docstring=True) for each in (write_file, edit_file)]
    subject = partial(file_of, folders)
    return [Tool(tool, subject=subject, changes=True, is_harmless=is_harmless) for tool in tools]


def plan(tool: Tool, arguments: Arguments) -> Change:
    """Return the change of a call of `tool`, one of these tools. Raises `ToolException` if it can't be made."""
    try:
        change = tool.runnable.invoke(dict(arguments))
    except ValidationError as error:  # of a call in a foreign store
        raise ToolException(f"The arguments don't fit: {one_line(str(error), MAX_SHOWN)}") from None
    assert isinstance(change, Change)
    return change


def _written(file: Change, content: str) -> Change:
    if file.before is not None:
        content = _as_in(file.before, content)
        if file.before.startswith(_BOM) and not content.startswith(_BOM):
            content = _BOM + content
    return _checked(replace(file, after=content))


def _edited(file: Change, old: str, new: str) -> Change:
    before, shown = file.before, shown_path(file.shown)
    if before is None:
        raise ToolException(f"There is no file {shown}.")
    if not old:
        raise ToolException("old_text is empty; write_file makes a new file.")
    old, new = _as_in(before, old), _as_in(before, new)
    at = before.find(old)
    if at < 0:
        raise ToolException(f"{shown} does not contain old_text: it must be exactly as it stands there. Read it again.")
    if before.find(old, at + 1) >= 0:
        raise ToolException(f"old_text stands in {shown} more than once: give more of the text around it.")
    return _checked(replace(file, after=before[:at] + new + before[at + len(old) :]))


def _as_in(text: str, given: str) -> str:
    """Return `given` with the line endings of `text`, if these are all CRLF; models write LF."""
    if "\r\n" not in text or text.count("\n") != text.count("\r\n"):
        return given
    return given.replace("\r\n", "\n").replace("\n", "\r\n")


def _checked(change: Change) -> Change:
    after = change.after or ""
    shown = shown_path(change.shown)
    if "\0" in after:
        raise ToolException("The text has a NUL character; only text files are written.")
    if (size := len(after.encode())) > MAX_FILE:
        most = format_size(MAX_FILE)
        raise ToolException(f"{shown} would have {format_size(size)}; the most that is written is {most}.")
    if change.after == change.before:
        raise ToolException(f"There is nothing to change: {shown} has exactly this text.")
    return change


def _find(folders: Sequence[Path], path: str, editor: EditorFiles | None = None) -> Change:
    """Return the file at `path` in one of `folders`, as a change that deletes it."""
    # Its text is that of the `editor` if it gives one. An editor that does not give a file's text does not write it.
    found, shown = find_inside(folders, path), shown_path(path)
    if holds_secrets(folders, path):
        raise ToolException(f"{shown} may hold secrets by its name, and is never written.")
    if paths.is_own(found):
        raise ToolException(f"{shown} is in a folder of chatcli's own, and is never written.")
    root = folder_of(folders, found) or folders[0]
    parts = found.relative_to(root).parts
    if not parts:
        raise ToolException(f"{shown} is a folder")
    if any("\ud800" <= char <= "\udfff" for char in str(found)):
        raise ToolException(f"{shown} has a name that is not Unicode, and is not written.")
    try:
        with _folder(root, parts[:-1]) as folder:
            text, _ = _read(folder, parts[-1], path)
    except FileNotFoundError:
        text = None
    except OSError as error:
        raise ToolException(f"{shown} can't be written: {error.strerror}") from None
    unsaved = None if editor is None else editor.read(found)
    if unsaved == "" and text is None:  # some editors give this for a file that does not exist
        unsaved = None
    name = str(found.relative_to(root))
    before, writes = text if unsaved is None else unsaved, unsaved is not None or text is None
    return Change(root, name, name if root == folders[0] else str(found), before, None, editor if writes else None)


@contextmanager
def _folder(root: Path, names: Sequence[str], *, make: bool = False) -> Iterator[int]:
    """Open the folder `names` below `root`, made if `make` is set; no name may be a link, whoever just put it there."""
    folder = os.open(root, _FOLDER)
    try:
        for name in names:
            if make:
                with suppress(FileExistsError):
                    os.mkdir(name, dir_fd=folder)
            below = os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=folder)
            os.close(folder)
            folder = below
        yield folder
    finally:
        os.close(folder)


def _read(folder: int, name: str, path: str) -> tuple[str | None, os.stat_result | None]:
    """Return the text and the status of a file that may be replaced; None twice if there is no such file."""
    try:
        status = os.stat(name, dir_fd=folder, follow_symlinks=False)
        if stat.S_ISREG(status.st_mode):
            descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
        else:
            kind = "a folder" if stat.S_ISDIR(status.st_mode) else "not a regular file"
            raise ToolException(f"{shown_path(path)} is {kind}")
    except FileNotFoundError:
        return None, None
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if reason := _unfit(status):
            raise ToolException(f"{shown_path(path)} {reason}, and is not written.")
        data = file.read(MAX_FILE + 1)
    if len(data) > MAX_FILE:
        raise ToolException(f"{shown_path(path)} is larger than {format_size(MAX_FILE)}, and is not written.")
    try:
        text = data.decode()
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise ToolException(f"{shown_path(path)} is not a text in UTF-8, and is not written.")
    return text, status


def _unfit(status: os.stat_result) -> str:
    """Return why the file of `status` may not be replaced, empty if it may."""
    if not stat.S_ISREG(status.st_mode):
        return "is not a regular file"
    if status.st_nlink > 1:
        return "has another name (a hard link)"  # which would keep the old text, and may be outside of the folder
    if os.geteuid() not in (status.st_uid, 0):
        return "belongs to another user"
    if not status.st_mode & stat.S_IWUSR:
        return "is read-only"
    return ""


def reverts(root: Path, records: Sequence[object], more: Sequence[Path] = ()) -> tuple[list[Change], list[str]]:
    """Return the changes that take back those of `records`, the newest first, and the files that can't be restored.

    A record comes from a thread, and so perhaps from somebody else: what it says is checked as a model's call is, and
    shown to the user before anything is written. A file that has changed since stays.
    """
    folders = [root.resolve(), *more]
    changes: dict[str, Change] = {}
    stays: dict[str, None] = {}
    for record in records:
        path = record.get("path") if isinstance(record, dict) else None
        if not isinstance(path, str) or path in stays:
            continue
        try:
            if path not in changes:
                found = _find(folders, path)
                if str(found.file) != path:
                    raise ToolException(f"{path} is a link now")
                changes[path] = replace(found, after=found.before)
            changes[path] = replace(changes[path], after=_without(changes[path].after, record))
        except (ToolException, ValueError, TypeError, KeyError):
            stays[path] = None
    made = [change for path, change in changes.items() if path not in stays and change.after != change.before]
    return made, [path.removeprefix(f"{folders[0]}/") for path in stays]


def _without(text: str | None, record: Any) -> str | None:
    """Return `text` without the change of `record`. Raises `ValueError` if it is not the text that was written."""
    if text is None or _digest(text) != record["after"]:
        raise ValueError("the file has changed")
    old, start, end = record["old"], record["start"], record["end"]
    if old is None:
        return None
    if not (isinstance(old, str) and 0 <= start <= len(text) - end <= len(text)):
        raise ValueError("the record is damaged")
    return f"{text[:start]}{old}{text[len(text) - end :]}"


def _digest(text: str | None) -> str:
    return "" if text is None else hashlib.sha256(text.encode()).hexdigest()


def _lines(text: str | None) -> list[str]:
    """Return the lines of `text` with their ends; only a newline ends a line."""
    lines = [f"{line}\n" for line in (text or "").split("\n")]
    return [*lines[:-1], *([lines[-1][:-1]] if lines[-1] != "\n" else [])]


def _hunks(old: Sequence[str], new: Sequence[str]) -> Iterator[str]:
    for group in _Matcher(old, new).get_grouped_opcodes(_CONTEXT):
        first, last = group[0], group[-1]
        yield f"@@ -{_range(first[1], last[2])} +{_range(first[3], last[4])} @@"
        for kind, old_from, old_to, new_from, new_to in group:
            if kind == "equal":
                yield from _signed(" ", old[old_from:old_to])
            else:
                yield from _signed("-", old[old_from:old_to])
                yield from _signed("+", new[new_from:new_to])


def _range(begin: int, end: int) -> str:
    count = end - begin
    return f"{begin + 1}" if count == 1 else f"{begin + bool(count)},{count}"


def _signed(sign: str, lines: Sequence[str]) -> Iterator[str]:
    for line in lines:
        yield sign + line.removesuffix("\n")
        if not line.endswith("\n"):
            yield "\\ No newline at end of file"


def _shared(old: Sequence[str], new: Sequence[str]) -> tuple[int, int]:
    """Return the number of parts, characters or lines, that two texts begin with, and of others that they end with."""
    most = min(len(old), len(new))
    start = next((index for index in range(most) if old[index] != new[index]), most)
    most -= start
    return start, next((index for index in range(most) if old[-1 - index] != new[-1 - index]), most)


class _Matcher(SequenceMatcher[str]):
    """Finds the lines that two texts share, in a bounded time."""

    def __init__(self, old: Sequence[str], new: Sequence[str]) -> None:
        super().__init__()
        self._old, self._new = old, new

    def get_opcodes(self) -> list[Opcode]:
        """Return the edits; what the texts begin and end with needs no search."""
        old, new = self._old, self._new
        start, end = _shared(old, new)
        mid_old, mid_new = old[start : len(old) - end], new[start : len(new) - end]
        if len(mid_old) * len(mid_new) > _MATCHED:
            middle: list[Opcode] = [("replace", 0, len(mid_old), 0, len(mid_new))]
        else:
            middle = list(SequenceMatcher(None, mid_old, mid_new).get_opcodes())
        begins: list[Opcode] = [("equal", 0, start, 0, start)] if start else []
        ends: list[Opcode] = [("equal", len(old) - end, len(old), len(new) - end, len(new))] if end else []
        return [*begins, *((kind, a + start, b + start, c + start, d + start) for kind, a, b, c, d in middle), *ends]
