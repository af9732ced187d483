"""What the user granted a thread: the calls that run unasked in it, and the graph that it goes on with.

A store, an export and an import may come from somewhere else, so none of them says what may run here. It is kept in
the user's state folder, a file a thread, by the store and the thread's ID.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from chatcli import paths
from chatcli.runtime.files import change_state, read_state


class Grants:
    """What the user granted the thread `thread_id` of a store; both need not exist.

    Args:
        store: What tells the store from others (`StoreLocation.key`); empty for one in memory, with which its grants
            are gone.
        thread_id: The thread.

    """

    def __init__(self, store: str, thread_id: str) -> None:
        self._store = store
        self._thread_id = thread_id
        self._path = _path(store, thread_id) if store else None
        self._data: dict[str, Any] = {}
        """The grants of a thread in memory."""

    @property
    def rules(self) -> list[str]:
        """The rules of calls that run unasked in the thread, oldest first."""
        rules = self._read().get("rules", [])
        return [str(rule) for rule in rules] if isinstance(rules, list) else []

    @property
    def graph(self) -> str:
        """The graph that the user named for the thread last; empty for none."""
        return str(self._read().get("graph", ""))

    def allow(self, rule: str) -> None:
        """Let calls like `rule` run unasked in the thread.

        Raises:
            OSError: It can't be kept.

        """
        if (rules := self.rules) and rule in rules:
            return
        self._change(lambda data: data.update(rules=[*rules, rule]))

    def name_graph(self, graph: str) -> None:
        """Remember that the user named `graph` for the thread; see `allow`."""
        if graph != self.graph:
            self._change(lambda data: data.update(graph=graph))

    def copy_to(self, thread_id: str) -> None:
        """Grant the copy `thread_id` of the thread the same, and nothing else; see `allow`."""
        copy, rules, graph = Grants(self._store, thread_id), self.rules, self.graph
        copy.forget()
        if rules or graph:
            copy._change(lambda data: data.update(rules=rules, graph=graph))

    def forget(self) -> None:
        """Take back all: the thread is deleted, and another of its name is not granted the same; see `allow`."""
        self._data = {}
        if self._path is not None:
            self._path.unlink(missing_ok=True)

    def _read(self) -> dict[str, Any]:
        """Return what is kept; what can't be read grants nothing."""
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
            data.update(store=self._store, thread=self._thread_id)  # for people who look into the file
            change(data)

        paths.private_dir(self._path.parent.parent)
        change_state(self._path, named)


def _path(store: str, thread_id: str) -> Path:
    return paths.state_dir() / "threads" / _digest(store) / f"{_digest(thread_id)}.json"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:32]
