"""Remembered facts for a user's own graph: to be read in its LangGraph store."""

import asyncio
from collections.abc import Iterable

from langgraph.store.base import BaseStore, ListNamespacesOp, Op, PutOp, Result, SearchOp
from langgraph.store.memory import InMemoryStore

from chatcli.memory.facts import current_facts, current_project, relevant

ROOT = "memories"
USER = (ROOT, "user")

Namespace = tuple[str, ...]


class SharedMemory(BaseStore):
    """The store of a graph, which has the remembered facts too: under `("memories", "user")` and `("memories", ROOT)`.

    ROOT is the path of the current project. An item's value is `{"content": TEXT}`. The user alone adds and removes
    facts: a write under these namespaces is a ValueError. A search compares words, not meanings.
    `items` has all other items.
    """

    def __init__(self, items: BaseStore) -> None:
        self._items = items
        self.supports_ttl = items.supports_ttl
        self.ttl_config = items.ttl_config

    def batch(self, ops: Iterable[Op]) -> list[Result]:
        """Run `ops` on the facts and on the other items; raise ValueError for a write to the facts."""
        ops = list(ops)
        if any(isinstance(op, PutOp) and op.namespace in _namespaces() for op in ops):
            raise ValueError("remembered facts are the user's: a graph can only read them")
        inside = {index for index, op in enumerate(ops) if _is_inside(op)}
        others = iter(self._items.batch([op for index, op in enumerate(ops) if index not in inside]))
        results: list[Result] = []
        for index, op in enumerate(ops):
            found: Result = None if index in inside else next(others)
            if index in inside or isinstance(op, SearchOp | ListNamespacesOp):
                found = _joined(op, found, _facts(op).batch([op])[0])
            results.append(found)
        return results

    async def abatch(self, ops: Iterable[Op]) -> list[Result]:
        """Run `batch` in a thread."""
        return await asyncio.to_thread(self.batch, list(ops))


def _namespaces() -> tuple[Namespace, ...]:
    project = current_project()
    return (USER,) if project is None else (USER, (ROOT, str(project.project)))


def _is_inside(op: Op) -> bool:
    namespace = getattr(op, "namespace", None) or getattr(op, "namespace_prefix", None)
    return namespace is not None and namespace[:2] in _namespaces()


def _facts(op: Op) -> InMemoryStore:
    """Return a store of the facts that answer `op`."""
    facts = current_facts()
    if isinstance(op, SearchOp) and op.query:
        facts = relevant(facts, op.query)
    store = InMemoryStore()
    for fact in facts:
        store.put((ROOT, fact.project) if fact.project else USER, str(fact.lines[0]), {"content": fact.text})
    return store


def _joined(op: Op, first: Result, second: Result) -> Result:
    if not isinstance(op, SearchOp | ListNamespacesOp) or not first or not second:
        return first or second
    assert isinstance(first, list)
    assert isinstance(second, list)
    return [*first, *second][: op.limit]
