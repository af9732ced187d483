"""The history of the input line."""

import re
from collections.abc import Iterable

from prompt_toolkit.history import FileHistory, History, InMemoryHistory

from chatcli import paths
from chatcli.config.secrets import holds_secret
from chatcli.repl.pastes import PASTE_BEGIN, PASTE_END, Pastes, plain

_KEPT_PASTE = re.compile(f"{re.escape(PASTE_BEGIN)}(.*?){re.escape(PASTE_END)}", re.DOTALL)
"""A folded paste in the history's file, as terminals send it."""


class LineHistory(History):
    """Keeps the typed lines with their pastes, which are folded again; a line that may contain a secret is not kept.

    `pastes` has the texts of the signs in a line. With `keep`, lines are kept after the process ends, in a file that
    only the user can read.
    """

    def __init__(self, pastes: Pastes, *, keep: bool) -> None:
        super().__init__()
        self._pastes = pastes
        self._kept: History = _file() if keep else InMemoryHistory()

    def append_string(self, string: str) -> None:
        """Add the line `string`."""
        line = plain(self._pastes.unfold(string))
        # A line that begins with /keys always may.
        if not (line.lstrip().startswith("/keys") or holds_secret(line)):
            super().append_string(string)

    def load_history_strings(self) -> Iterable[str]:
        """Return the lines of earlier sessions, the newest first."""
        fold = self._pastes.fold
        return [_KEPT_PASTE.sub(lambda match: fold(match[1]), line) for line in self._kept.load_history_strings()]

    def store_string(self, string: str) -> None:
        """Keep the line `string`."""
        self._kept.store_string(self._pastes.unfold(string, lambda text: f"{PASTE_BEGIN}{text}{PASTE_END}"))


def _file() -> History:
    """Return the history of earlier runs; where it can't be written, one of this run alone."""
    try:
        path = paths.private_dir(paths.state_dir()) / "history"
        with open(path, "ab", opener=paths.private_opener):
            pass
    except OSError:
        return InMemoryHistory()
    return FileHistory(str(path))
