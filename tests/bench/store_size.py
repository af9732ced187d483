"""How many bytes on disk a byte of text takes, in SQLite and PostgreSQL, while the conversation runs and after its end.

Run it with `python -m tests.bench.store_size [TURNS [CHARACTERS]]`. A real `chat --script` holds a conversation with a
scripted server; half of a turn's characters are the question, half the answer. Of a PostgreSQL database, the tables and
indexes count, not the 7 MB that an empty one has.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

import psycopg

from tests.bench.growth import Author
from tests.fakes.provider_server import FakeProvider
from tests.postgres import running_postgres

TURNS, CHARACTERS = 300, 680


def converse(folder: Path, store: str, turns: int, characters: int, size: Callable[[], int]) -> int:
    """Hold a conversation that is kept in `store`; return the largest `size()` of its last tenth."""
    author = Author(3)
    (folder / "questions").write_text("".join(author.write(characters // 2) + "\n" for _ in range(turns)))
    sizes = []
    with FakeProvider() as server:

        def note(events: list[bytes]) -> list[bytes]:
            server.words = author.write(characters // 2).split(" ")
            sizes.append(size())
            return events

        server.words = author.write(characters // 2).split(" ")
        server.spoil = note
        subprocess.run(
            [sys.executable, "-m", "chatcli", "-m", "openai:gpt-fake", "--script", "questions", "--store", store],
            env={
                "HOME": str(folder),
                "PATH": os.environ["PATH"],
                "OPENAI_API_KEY": "key",
                "CHATCLI_BASE_URL": f"{server.url}/v1",
            },
            cwd=folder,
            stdout=subprocess.DEVNULL,
            check=True,
        )
    return max(sizes[-turns // 10 :])


def _print(name: str, size: int, text: int, tables: Iterable[tuple[str, int, int]] = ()) -> None:
    print(f"{name}: {size / 1e6:.2f} MB, {size / text:.1f} bytes a byte")
    for table, rows, indexes in tables:
        print(f"    {table:<24} {rows / text:5.2f}, its indexes {indexes / text:5.2f}")


def measure_sqlite(turns: int, characters: int) -> None:
    """Print the size of a SQLite store."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)

        def size() -> int:
            return sum(file.stat().st_size for file in place.glob("threads.db*"))

        running = converse(place, f"sqlite:///{place}/threads.db", turns, characters, size)
        _print("SQLite, while it runs", running, turns * characters)
        _print("SQLite, after the end", size(), turns * characters)


def measure_postgres(turns: int, characters: int) -> None:
    """Print the size of a PostgreSQL store, table by table, and of what the server logged meanwhile."""
    with tempfile.TemporaryDirectory() as folder, running_postgres() as server:
        uri = server.new_database()
        with psycopg.connect(uri, autocommit=True) as database:

            def number(query: str) -> int:
                row = database.execute(query).fetchone()
                assert row is not None
                return int(row[0])

            def size() -> int:
                return number(f"SELECT coalesce(sum(pg_total_relation_size(oid)), 0) {tables}")

            tables = "FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
            log = number("SELECT pg_current_wal_lsn() - '0/0'")
            converse(Path(folder), uri, turns, characters, size)
            written = number("SELECT pg_current_wal_lsn() - '0/0'") - log
            parts = database.execute(
                f"SELECT relname, pg_table_size(oid), pg_indexes_size(oid) {tables} ORDER BY 2 DESC"
            ).fetchall()
            _print("PostgreSQL", size(), turns * characters, parts)
            print(f"written to its log: {written / (turns * characters):.0f} bytes a byte")


def main(arguments: list[str]) -> None:
    """Measure both stores."""
    turns, characters = [int(argument) for argument in arguments] + [TURNS, CHARACTERS][len(arguments) :]
    measure_sqlite(turns, characters)
    measure_postgres(turns, characters)


if __name__ == "__main__":
    main(sys.argv[1:])
