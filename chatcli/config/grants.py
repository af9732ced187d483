"""What the user granted a thread: calls that run without asking, its graph and the graph's values, its documents.

A store, an export and an import may come from somebody else, so none of them decides what may run here. The grants are
in the state folder, one file for each thread, by the store and the thread's ID.
"""

import hashlib
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from chatcli import paths
from chatcli.config.secrets import Secret, redact
from chatcli.errors import UsageError
from chatcli.runtime.files import change_state, read_state

_USER = re.compile(r"(?<=://)[^/@]+@")
"""The login in a URL; often only a token."""
HIDDEN = "***"
KEYS_A_SERVER = 8
"""The number of keys that are remembered for a server; the newest ones."""


class Grants:
    """The user's grants for the thread `thread_id` of a store; both need not exist.

    `store` is its key (`StoreLocation.key`), empty for a store in memory, whose grants are lost with it.
    """

    def __init__(self, store: str, thread_id: str) -> None:
        self._store = store
        self._thread_id = thread_id
        folder = paths.state_dir() / "threads"
        self._path = folder / _digest(store) / f"{_digest(thread_id)}.json" if store else None
        self._data: dict[str, Any] = {}  # of a thread in memory

    @property
    def rules(self) -> list[str]:
        """The rules of calls that run without asking in the thread, oldest first."""
        rules = self._read().get("rules", [])
        return [str(rule) for rule in rules] if isinstance(rules, list) else []

    @property
    def graph(self) -> str:
        """The graph that the user named last for the thread; empty if there is none."""
        return str(self._read().get("graph", ""))

    def allow(self, rule: str) -> None:
        """Let calls like `rule` run without asking in the thread. Raises `OSError` if it can't be stored."""
        if (rules := self.rules) and rule in rules:
            return
        self._change(lambda data: data.update(rules=[*rules, rule]))

    @property
    def values(self) -> dict[str, Any]:
        """What the user gave the thread's graph; empty if there is nothing."""
        values = self._read().get("values", {})
        return values if isinstance(values, dict) else {}

    @property
    def documents(self) -> list[str] | None:
        """The absolute paths and globs of the thread's documents; None if the user has never named any for it."""
        documents = self._read().get("documents")
        return [str(source) for source in documents] if isinstance(documents, list) else None

    @property
    def folder(self) -> str:
        """The folder that an editor opened the thread in last; empty if none did."""
        return str(self._read().get("folder", ""))

    def name(self, what: Literal["graph", "values", "documents", "folder"], named: object) -> None:
        """Remember what the user `named`, as JSON, for the property `what`. Raises what `allow` raises."""
        if named != getattr(self, what):
            self._change(lambda data: data.update({what: named}))

    def copy_to(self, thread_id: str) -> None:
        """Grant the copy `thread_id` exactly what the thread has. Raises what `allow` raises."""
        copy, data = Grants(self._store, thread_id), self._read()
        names = ("rules", "graph", "values", "documents")
        granted: dict[str, Any] = {name: data[name] for name in names if name in data}
        copy.forget()
        if granted:
            copy._change(lambda data: data.update(granted))

    def forget(self) -> None:
        """Remove all grants, so that a later thread of the same ID gets none. Raises what `allow` raises."""
        self._data = {}
        if self._path is not None:
            self._path.unlink(missing_ok=True)

    def _read(self) -> dict[str, Any]:
        """Return the stored grants; none if the file can't be read."""
        if self._path is None:
            return self._data
        try:
            return read_state(self._path)
        except (OSError, ValueError):
            return {}

    def _change(self, change: Callable[[dict[str, Any]], None]) -> None:
        if self._path is None:
            change(self._data)
            return

        def named(data: dict[str, Any]) -> None:
            data.update(store=self._store, thread=self._thread_id)  # for readers of the file
            change(data)

        paths.private_dir(self._path.parent.parent)
        change_state(self._path, named)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:32]


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
    added = [] if key is None else [_digest_of_key(url, key)]

    def add(noted: dict[str, Any]) -> None:
        known = _well_formed(noted).get(url, [])
        noted[url] = [*known, *(digest for digest in added if digest not in known)][-KEYS_A_SERVER:]

    known = _read()
    if url in known and all(digest in known[url] for digest in added):
        return
    with suppress(OSError):
        change_state(endpoints_file(), add)


def check_named(url: str) -> None:
    """Refuse a server that only a thread names: its store may come from anybody."""
    if url not in _read():
        remedy = "To send the thread there, name it: --base-url URL; or choose another model with -m."
        problem = f"the thread was answered by the server at {url}, which was never named on this machine"
        raise UsageError(problem, remedy=remedy)


def has_named_servers() -> bool:
    """Return whether the user has named any server on this machine; without one, no thread can go to any."""
    return bool(_read())


def was_sent(url: str, key: Secret) -> bool:
    """Return whether `key` went to the server at `url` when the user named it."""
    return _digest_of_key(url, key) in _read().get(url, [])


def _digest_of_key(url: str, key: Secret) -> str:
    return hashlib.sha256(f"{url}\0{key.get_secret_value().strip()}".encode("utf-8", "surrogateescape")).hexdigest()


def _read() -> dict[str, list[str]]:
    """Return the notes; none if the file can't be read, so that no server is trusted."""
    try:
        return _well_formed(read_state(endpoints_file()))
    except (OSError, ValueError):
        return {}


def _well_formed(noted: dict[str, Any]) -> dict[str, list[str]]:
    return {url: [str(digest) for digest in digests] for url, digests in noted.items() if isinstance(digests, list)}
