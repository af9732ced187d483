"""LangGraph's store of items in a store of each kind."""

import asyncio
import sqlite3
from array import array
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest
from langgraph.store.base import IndexConfig, TTLConfig

from chatcli.errors import StoreError
from chatcli.store.items import ItemOptions, ItemStore, cosine_distance
from chatcli.store.location import StoreLocation
from chatcli.store.open import Store, open_store

NOTES = ("notes",)


@pytest.fixture
def file(tmp_path: Path) -> StoreLocation:
    """Give the place of a SQLite store that exists."""

    async def make(location: StoreLocation) -> None:
        async with open_store(location):
            pass

    location = StoreLocation(tmp_path / "threads.db")
    asyncio.run(make(location))
    return location


@pytest.fixture
def items(file: StoreLocation) -> Iterator[ItemStore]:
    """Give the items of that store."""
    opened = ItemStore(file, ItemOptions(), checkpointer=None)
    yield opened
    opened.close()


def _vector(*numbers: float) -> bytes:
    return array("f", numbers).tobytes()


@pytest.mark.parametrize("has_numpy", [True, False])
def test_the_distance_of_two_vectors(monkeypatch: pytest.MonkeyPatch, *, has_numpy: bool) -> None:
    if has_numpy:
        pytest.importorskip("numpy")
    monkeypatch.setattr("chatcli.store.items._has_numpy", lambda: has_numpy)
    assert cosine_distance(_vector(3, 4), _vector(6, 8)) == pytest.approx(0)
    assert cosine_distance(_vector(3, 4), _vector(-8, 6)) == pytest.approx(1)
    assert cosine_distance(_vector(3, 4), _vector(-3, -4)) == pytest.approx(2)
    assert cosine_distance(_vector(3, 4), _vector(4, 3)) == pytest.approx(1 - 24 / 25)
    assert cosine_distance(_vector(3, 4), _vector(0, 0)) == 1
    assert cosine_distance(_vector(3, 4), _vector(1, 2, 3)) is None


def test_items_are_found_by_meaning_among_those_of_another_model(file: StoreLocation) -> None:
    def of_length(dims: int) -> ItemStore:
        def embed(texts: Sequence[str]) -> list[list[float]]:
            return [[float("cat" in text), float("dog" in text), 0.1][:dims] for text in texts]

        return ItemStore(file, ItemOptions(lambda: IndexConfig(dims=dims, embed=embed)), checkpointer=None)

    older, newer = of_length(2), of_length(3)
    older.put(NOTES, "old", {"text": "a cat"})
    newer.put(NOTES, "cat", {"text": "a cat"})
    newer.put(NOTES, "dog", {"text": "a dog"})
    assert [(found.key, found.score and found.score > 0.9) for found in newer.search(NOTES, query="the dog")] == [
        ("dog", True),
        ("cat", False),
        ("old", None),
    ]
    newer.delete(NOTES, "dog")
    assert next(iter(newer.search(NOTES, query="the dog"))).key == "cat"
    older.close()
    newer.close()


async def test_every_kind_of_store_keeps_items(location: StoreLocation) -> None:
    async def check(store: Store) -> None:
        first = ItemStore(location, ItemOptions(), checkpointer=store.checkpointer)
        await first.aput(NOTES, "a", {"text": "a\x01 \N{GRINNING FACE}", "tags": ["x", None, 1.5]})
        first.put(NOTES, "b", {"text": "blocking, in the loop"})
        first.close()
        second = ItemStore(location, ItemOptions(), checkpointer=store.checkpointer)
        item = await second.aget(NOTES, "a")
        assert item is not None
        assert item.value == {"text": "a\x01 \N{GRINNING FACE}", "tags": ["x", None, 1.5]}
        assert [found.key for found in second.search(NOTES, filter={"text": "blocking, in the loop"})] == ["b"]
        assert await second.alist_namespaces() == [NOTES]
        await second.adelete(NOTES, "a")
        assert await second.aget(NOTES, "a") is None
        second.close()

    async with open_store(location) as store:
        await check(store)


def test_what_has_expired_is_removed_when_the_store_is_opened(file: StoreLocation) -> None:
    options = ItemOptions(ttl=TTLConfig(default_ttl=60))
    items = ItemStore(file, options, checkpointer=None)
    items.put(NOTES, "old", {"text": "a"})
    items.put(NOTES, "young", {"text": "b"})
    items.close()
    assert file.path is not None
    with closing(sqlite3.connect(file.path)) as database, database:
        database.execute("UPDATE store SET expires_at = '2020-01-01 00:00:00' WHERE key = 'old'")
    items = ItemStore(file, options, checkpointer=None)
    assert [item.key for item in items.search(NOTES)] == ["young"]
    items.close()


def test_it_works_again_after_a_failure(file: StoreLocation, items: ItemStore) -> None:
    items.put(NOTES, "a", {"text": "a"})
    assert file.path is not None
    with closing(sqlite3.connect(file.path)) as database, database:
        database.execute("CREATE TRIGGER full BEFORE INSERT ON store BEGIN SELECT raise(ROLLBACK, 'disk is full'); END")
    with pytest.raises(StoreError, match="the disk is full"):
        items.put(NOTES, "b", {"text": "b"})
    with closing(sqlite3.connect(file.path)) as database, database:
        database.execute("DROP TRIGGER full")
    items.put(NOTES, "b", {"text": "b"})
    assert {item.key for item in items.search(NOTES)} == {"a", "b"}


def test_a_graphs_own_mistake_is_not_the_stores(items: ItemStore) -> None:
    with pytest.raises(ValueError, match="Invalid filter key"):
        items.search(NOTES, filter={"no such'key": 1})
    with pytest.raises(TypeError):
        items.put(NOTES, "a", {"text": object()})
