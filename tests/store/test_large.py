"""Messages of many megabytes: stored in linear time, and found by their beginning."""

import sqlite3
from pathlib import Path

from chatcli.store.serde import LARGE, CompressedSerializer
from chatcli.store.sqlite import schema

_FASTEST, _USUAL = b"\x78\x01", b"\x78\x9c"
"""How a zlib stream begins, by its level (https://datatracker.ietf.org/doc/html/rfc1950)."""


def test_a_large_value_is_compressed_fast_and_a_small_one_well() -> None:
    serializer = CompressedSerializer()
    for text, start in (("a" * LARGE, _FASTEST), ("a" * 1000, _USUAL)):
        tag, blob = serializer.dumps_typed(text)
        assert blob.startswith(start)
        assert serializer.loads_typed((tag, blob)) == text


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
