"""Where the built-in tools work: a folder, and perhaps an editor that has the files open and offers a terminal."""

from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

KEPT = 200_000
"""Bytes that are kept of the end of a command's output."""
CALL_ID: ContextVar[str] = ContextVar("call_id", default="")
"""The tool call that runs."""
Access = Literal["confined", "network", "outside"]
"""How far a command reaches: confined by the sandbox, confined but with the network, or outside of the sandbox."""
ACCESSES: tuple[Access, ...] = ("confined", "network", "outside")
"""All of them, from least to most."""
ACCESS: ContextVar[Access] = ContextVar("access", default="confined")
"""How far the tool call that runs may reach."""


@dataclass(frozen=True, slots=True)
class Finished:
    """How a command ended: its output, and its exit code, None when it took too long and was killed."""

    output: str
    exit_code: int | None


class EditorFiles(Protocol):
    """The files as an editor has them, with what is not saved yet. The methods block: call them in a thread."""

    @property
    def can_write(self) -> bool:
        """Whether the editor writes files, too."""

    def read(self, path: Path) -> str | None:
        """Return the text of the file at `path`; None if the editor does not give it."""

    def write(self, path: Path, text: str) -> bool:
        """Write the file at `path`; return whether the editor did."""


class EditorTerminal(Protocol):
    """The terminals of an editor, in which the user sees a command run."""

    async def run(
        self, command: Sequence[str], *, cwd: Path, env: Mapping[str, str], seconds: float
    ) -> Finished | None:
        """Run `command` for at most `seconds`, and end it when cancelled; None if the editor opens no terminal."""


@dataclass(frozen=True, slots=True)
class Workspace:
    """The folder that the tools work in, `more` folders that they may use, and what an editor offers for them."""

    root: Path
    files: EditorFiles | None = None
    terminal: EditorTerminal | None = None
    more: tuple[Path, ...] = ()
