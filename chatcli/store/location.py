"""Where a store is: `sqlite:///path`, `postgresql://...`, or `memory:`."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from chatcli.config.installation import install_command
from chatcli.errors import UsageError

MEMORY = "memory:"
SQLITE = "sqlite:///"
POSTGRES = ("postgresql://", "postgres://")


@dataclass(frozen=True, slots=True)
class StoreLocation:
    """Where a store is: a file's `path`, or a PostgreSQL database's `uri`; without either, in memory."""

    # One in memory is `shared` where all that name it in this process have the same.
    path: Path | None = None
    uri: str | None = field(default=None, repr=False)  # it may hold a password
    shared: bool = False

    @property
    def in_memory(self) -> bool:
        """Whether the store is gone with the process."""
        return self.path is None and self.uri is None

    @property
    def key(self) -> str:
        """A name that is unique on this machine, without a password; empty for a store in memory."""
        if self.path is not None:
            return f"{SQLITE}{self.path.resolve()}"
        if self.uri is not None:
            user, at, rest = self.uri.partition("://")[2].rpartition("@")
            return f"{POSTGRES[0]}{user.partition(':')[0]}{at}{re.sub(r'(?<=[?&])password=[^&]*&?', '', rest)}"
        return ""


@contextmanager
def postgres_extra() -> Iterator[None]:
    """Import the packages of a PostgreSQL store; raise UsageError where the extra is not installed."""
    try:
        yield
    except ImportError as error:
        raise UsageError(
            "a PostgreSQL store needs an extra of chatcli that is not installed",
            remedy=f"Install it: {install_command('postgres')}",
        ) from error
