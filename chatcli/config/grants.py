"""What the user granted a thread: the calls that run without asking, and the graph that it continues with.

A store, an export and an import may come from somebody else, so none of them decides what may run here. The grants are
in the state folder, one file for each thread, by the store and the thread's ID.
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
        store: The key of the store (`StoreLocation.key`); empty for a store in memory, whose grants are lost with it.
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
        """The rules of calls that run without asking in the thread, oldest first."""
        rules = self._read().get("rules", [])
        return [str(rule) for rule in rules] if isinstance(rules, list) else []

    @property
    def graph(self) -> str:
        """The graph that the user named last for the thread; empty if there is none."""
        return str(self._read().get("graph", ""))

    def allow(self, rule: str) -> None:
        """Let calls like `rule` run without asking in the thread.

        Raises:
            OSError: It can't be stored.

        """
        if (rules := self.rules) and rule in rules:
            return
        self._change(lambda data: data.update(rules=[*rules, rule]))

    def name_graph(self, graph: str) -> None:
        """Remember that the user named `graph` for the thread. Raises what `allow` raises."""
        if graph != self.graph:
            self._change(lambda data: data.update(graph=graph))

    def copy_to(self, thread_id: str) -> None:
        """Grant the copy `thread_id` exactly what the thread has. Raises what `allow` raises."""
        copy, rules, graph = Grants(self._store, thread_id), self.rules, self.graph
        copy.forget()
        if rules or graph:
            copy._change(lambda data: data.update(rules=rules, graph=graph))

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
            data.update(store=self._store, thread=self._thread_id)  # for people who look into the file
            change(data)

        paths.private_dir(self._path.parent.parent)
        change_state(self._path, named)


def _path(store: str, thread_id: str) -> Path:
    return paths.state_dir() / "threads" / _digest(store) / f"{_digest(thread_id)}.json"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:32]
