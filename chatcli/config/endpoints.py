"""The model servers that the user has named, and the keys that were sent there: a file in the state folder.

A thread remembers the server of its model, but its store may come from somebody else. So nothing is sent to a server
that the user has never named, and only a key that was sent there before.
"""

import re
from contextlib import suppress
from pathlib import Path
from typing import Any

from chatcli import paths
from chatcli.config.secrets import Secret, redact
from chatcli.errors import UsageError
from chatcli.runtime.files import change_state, read_state

_USER = re.compile(r"(?<=://)[^/@]+@")
"""The login in a URL; often only a token."""
HIDDEN = "***"
KEYS_A_SERVER = 8
"""The number of keys that are remembered for a server; the newest ones."""


def endpoints_file() -> Path:
    """Return the file of the base URLs, each with the digests of the keys that were sent there."""
    return paths.state_dir() / "endpoints.json"


def public_url(url: str) -> str:
    """Return `url` as a thread remembers it: what may be a password or a key is replaced by `***`."""
    return _USER.sub(f"{HIDDEN}@", redact(url, []))


def note_endpoint(url: str, key: Secret | None) -> None:
    """Note that the user has named the server at `url`, a public one, and that `key` goes there, None for none.

    If a part of `url` is hidden, nothing is noted, since no request can use it. If the file can't be written, the user
    has to name the server again.
    """
    if HIDDEN in url:
        return
    added = [] if key is None else [_digest(url, key)]

    def add(noted: dict[str, Any]) -> None:
        known = _well_formed(noted).get(url, [])
        noted[url] = [*known, *(digest for digest in added if digest not in known)][-KEYS_A_SERVER:]

    known = _read()
    if url in known and all(digest in known[url] for digest in added):
        return
    with suppress(OSError):
        change_state(endpoints_file(), add)


def check_named(url: str) -> None:
    """Refuse a server that only a thread names: its store may come from anybody.

    Raises:
        UsageError: The user has never named exactly this `url`.

    """
    if url not in _read():
        raise UsageError(
            f"the thread was answered by the server at {url}, which was never named on this machine",
            remedy="To send the thread there, name it: --base-url URL; or choose another model with -m.",
        )


def was_sent(url: str, key: Secret) -> bool:
    """Return whether `key` went to the server at `url` when the user named it."""
    return _digest(url, key) in _read().get(url, [])


def _digest(url: str, key: Secret) -> str:
    from hashlib import sha256  # late: no start needs it

    return sha256(f"{url}\0{key.get_secret_value().strip()}".encode("utf-8", "surrogateescape")).hexdigest()


def _read() -> dict[str, list[str]]:
    """Return the notes; none if the file can't be read, so that no server is trusted."""
    try:
        return _well_formed(read_state(endpoints_file()))
    except (OSError, ValueError):
        return {}


def _well_formed(noted: dict[str, Any]) -> dict[str, list[str]]:
    return {url: [str(digest) for digest in digests] for url, digests in noted.items() if isinstance(digests, list)}
