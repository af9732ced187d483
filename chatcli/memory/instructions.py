"""A project's instructions: the AGENTS.md of the current folder and its parents, as far as the user trusts them."""

import os
from dataclasses import dataclass
from pathlib import Path

from chatcli.attachments.attachment import decode
from chatcli.config.trust import INSTRUCTIONS, FolderFile, is_trusted, read_folder_file, trust_command
from chatcli.fences import fenced
from chatcli.sanitize import reveal, reveal_lines

MAX_BYTES = 32 * 1024
"""Bytes of all instructions together that are sent at most."""
_MARK = ".git"
_HEAD = (
    "Instructions of the project that the user works in follow, each file after a line with the marker {marker}. Where"
    " two differ, the later ones count."
)


@dataclass(frozen=True, slots=True)
class Instructions:
    """What the folders say, the nearest last."""

    folder: Path
    files: tuple[FolderFile, ...] = ()
    """The files that the user trusts."""
    untrusted: tuple[FolderFile, ...] = ()
    """Those that the user has not trusted, at least not with this content."""
    problems: tuple[tuple[Path, str], ...] = ()
    """The path of each file that can't be used, and why."""

    def text(self, marker: str, limit: int = MAX_BYTES) -> tuple[str, bool]:
        """Return at most `limit` bytes of the files, fenced by `marker`, and whether that cuts anything off.

        The nearest file counts most: what is cut off is the end of the outermost.
        """
        parts: list[tuple[str, str]] = []
        cut = False
        for file in reversed(self.files):
            content = file.content[:limit]
            cut |= len(content) < len(file.content)
            limit -= len(content)
            if text := content.decode("utf-8-sig", "ignore").strip():
                parts.insert(0, (self.shown(file), text))
        if not parts:
            return "", cut
        return f"{_HEAD.format(marker=marker)}\n\n{fenced(parts, marker, 'end of the instructions')}", cut

    def shown(self, file: FolderFile) -> str:
        """Return the path of `file`, relative to the folder, in a form that is safe to show."""
        return reveal(os.path.relpath(file.folder / file.name, self.folder))

    def untrusted_notice(self) -> str:
        """Return the line that says which files are left out, and how to trust them."""
        names = ", ".join(map(self.shown, self.untrusted))
        commands = ", ".join(trust_command(file.folder) for file in self.untrusted)
        them = "it" if len(self.untrusted) == 1 else "them"
        return f"not trusted and left out: {names}. Read {them}, then trust {them}: {commands}"


def project_root(folder: Path) -> Path | None:
    """Return the root of the repository that `folder` is in, None if it is in none."""
    return next((root for root in (folder, *folder.parents) if os.path.lexists(root / _MARK)), None)


def read_instructions(folder: Path) -> Instructions:
    """Return the instructions of `folder` and its parents up to the root of its repository, if it is in one."""
    root = project_root(folder)
    folders = [folder] if root is None else [each for each in (folder, *folder.parents) if each.is_relative_to(root)]
    trusted: list[FolderFile] = []
    untrusted: list[FolderFile] = []
    problems: list[tuple[Path, str]] = []
    for each in reversed(folders):
        name = next((name for name in INSTRUCTIONS if os.path.lexists(each / name)), None)
        if name is None:
            continue
        try:
            file = read_folder_file(name, each)
            if file is not None:
                if b"\0" in file.content or decode(file.content) is None:  # single bytes of another text do no harm
                    raise ValueError("it is not text in UTF-8")
                (trusted if is_trusted(file) else untrusted).append(file)
        except OSError as error:
            problems.append((each / name, error.strerror or type(error).__name__))
        except ValueError as error:
            problems.append((each / name, str(error)))
    return Instructions(folder, tuple(trusted), tuple(untrusted), tuple(problems))


def shown_lines(file: FolderFile) -> list[str]:
    """Return the lines of `file` with nothing hidden."""
    return reveal_lines(file.content.decode("utf-8-sig", "replace"))
