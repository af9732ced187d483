"""Large stores: messages of many megabytes, and many threads."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from chatcli.store.serde import LARGE, CompressedSerializer
from chatcli.store.sqlite import schema, threads

_FASTEST, _USUAL = 0, 2
"""The levels in the two highest bits of a zlib stream's second byte (https://datatracker.ietf.org/doc/html/rfc1950)."""


def test_a_large_value_is_compressed_fast_and_a_small_one_well() -> None:
    serializer = CompressedSerializer()
    for text, level in (("a" * LARGE, _FASTEST), ("a" * 1000, _USUAL)):
        tag, blob = serializer.dumps_typed(text)
        assert blob[1] >> 6 == level
        assert serializer.loads_typed((tag, blob)) == text


def test_of_many_messages_with_a_word_the_newest_are_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "store.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executescript(f"CREATE TABLE checkpoints (checkpoint_ns); {schema.TABLES} {schema.TRIGGERS}")
        for number in range(30):
            connection.execute("INSERT INTO threads VALUES (?, 'title', 'm', 1, '', '')", (str(number),))
            text = "sky" if number in (3, 25) else f"sky {'and more words ' * (number + 1)}"
            connection.execute(schema.ADD_MESSAGE, (str(number), "m", "c", "user", text, False))

    def found(newest: int) -> list[str]:
        monkeypatch.setattr("chatcli.store.exchange_search.NEWEST", newest)
        return [match.thread_id for match in threads.SqliteThreads(path).search("sky", limit=3)]

    assert sorted(found(30)[:2]) == ["25", "3"]
    assert found(10)[0] == "25"
    assert "3" not in found(10)
    assert len(found(10)) == 3


def test_the_beginning_of_a_message_is_searched(tmp_path: Path) -> None:
    def found(word: str) -> int:
        [count] = connection.execute("SELECT count(*) FROM messages_fts WHERE messages_fts MATCH ?", (word,)).fetchone()
        return int(count)

    connection = sqlite3.connect(tmp_path / "store.db")
    connection.executescript("CREATE TABLE checkpoints (thread_id, checkpoint_ns, checkpoint_id, metadata);")
    connection.executescript(schema.TABLES + schema.TRIGGERS)
    row = ("t", "m", "c", "user", f"first {' ' * schema.SEARCHED} last", 0)
    connection.execute(schema.ADD_MESSAGE, row)
    assert (found("first"), found("last")) == (1, 0)
    connection.execute(schema.ADD_MESSAGE, (*row[:4], f"another {' ' * schema.SEARCHED} last", 0))
    assert (found("first"), found("another")) == (0, 1)
    connection.execute("DELETE FROM messages")
    assert found("another") == 0
    connection.execute("INSERT INTO messages_fts (messages_fts) VALUES ('integrity-check')")
    connection.close()


@pytest.mark.parametrize("query", [threads.QUERIES.find, threads.QUERIES.starting_with])
def test_one_thread_is_looked_up_by_an_index(tmp_path: Path, query: str) -> None:
    values = {"thread": "t", "prefix": "t", "limit": 5}
    with closing(sqlite3.connect(tmp_path / "store.db")) as connection:
        connection.executescript(schema.TABLES)
        plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {query}", values)]
    assert plan[0].startswith("SEARCH threads USING PRIMARY KEY")
