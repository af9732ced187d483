"""Remembered facts for a user's own graph: to be read in its LangGraph store."""

import asyncio
from collections.abc import Iterable

from langgraph.store.base import BaseStore, ListNamespacesOp, Op, PutOp, Result, SearchOp
from langgraph.store.memory import InMemoryStore

from chatcli.memory.facts import current_facts, current_project, relevant

ROOT = "memories"
USER = (ROOT, "user")


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
        ops, project = list(ops), current_project()
        namespaces = {USER} if project is None else {USER, (ROOT, str(project.project))}
        if any(isinstance(op, PutOp) and op.namespace[:2] in namespaces for op in ops):
            raise ValueError("remembered facts are the user's: a graph can only read them")
        named = (getattr(op, "namespace", None) or getattr(op, "namespace_prefix", None) or () for op in ops)
        inside = [namespace[:2] in namespaces for namespace in named]
        others = iter(self._items.batch([op for op, is_inside in zip(ops, inside, strict=True) if not is_inside]))
        results: list[Result] = []
        for op, is_inside in zip(ops, inside, strict=True):
            found: Result = None if is_inside else next(others)
            if is_inside or isinstance(op, SearchOp | ListNamespacesOp):
                found = _joined(op, found, _facts(op).batch([op])[0])
            results.append(found)
        return results

    async def abatch(self, ops: Iterable[Op]) -> list[Result]:
        """Run `batch` in a thread."""
        return await asyncio.to_thread(self.batch, list(ops))


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
    if isinstance(op, SearchOp | ListNamespacesOp) and isinstance(first, list) and isinstance(second, list):
        return [*first, *second][: op.limit]
    return first or second
