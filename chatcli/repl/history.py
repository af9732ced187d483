"""The lines of earlier sessions, without their secrets."""

import re
from collections.abc import Iterable

from prompt_toolkit.history import FileHistory, History, InMemoryHistory

from chatcli import paths
from chatcli.repl.paste import Pastes

# The keys of the usual providers, and assignments to what sounds like one.
_SECRETS = re.compile(
    r"\b(?:sk|pk|rk|gsk|xai|hf|ghp|gho|github_pat|glpat|lsv2|AIza|xox[abp])[-_]?[\w-]{16,}"
    r"|(?:key|token|secret|password)\w*\s*=\s*\S",
    re.IGNORECASE,
)


def holds_secret(line: str) -> bool:
    """Return whether `line` may hold a key or a password: what is typed after /keys always may."""
    return line.lstrip().startswith("/keys") or _SECRETS.search(line) is not None


class LineHistory(History):
    """Keeps what was typed, pastes unfolded; lines that may hold a secret are kept nowhere.

    Args:
        pastes: What the signs in a line stand for.
        keep: Whether lines outlive the process, in a file that only the user can read.

    """

    def __init__(self, pastes: Pastes, *, keep: bool) -> None:
        super().__init__()
        self._pastes = pastes
        self._kept: History = _file() if keep else InMemoryHistory()

    def append_string(self, string: str) -> None:
        """Add the line `string`."""
        if not holds_secret(string):
            super().append_string(self._pastes.unfold(string))

    def load_history_strings(self) -> Iterable[str]:
        """Return the lines of earlier sessions, the newest first."""
        return self._kept.load_history_strings()

    def store_string(self, string: str) -> None:
        """Keep the line `string`."""
        self._kept.store_string(string)


def _file() -> FileHistory:
    path = paths.private_dir(paths.state_dir()) / "history"
    with open(path, "ab", opener=paths.private_opener):
        pass
    return FileHistory(str(path))
