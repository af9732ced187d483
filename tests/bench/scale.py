"""What 100,000 threads and a thread of 50,000 turns cost, and how many people share a PostgreSQL server.

Run it with `python -m tests.bench.scale [THREADS [TURNS [USERS]]]`. The stores are made by copying the rows of a real
turn, or by real turns for the long thread, which takes half an hour. A command's cost is its CPU beside that of
`chat --help`, run in turn with it.
"""

import asyncio
import os
import resource
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import psycopg

from chatcli.config.settings import Settings
from chatcli.conversation.backend import LocalBackend, choose_backend
from chatcli.graphs.chat.graph import build_graph
from chatcli.graphs.chat.session import ChatSession
from chatcli.graphs.chat.state import TurnContext
from chatcli.models.model import Limits, Model
from chatcli.models.names import ModelName
from chatcli.sessions.requests import Ask
from chatcli.store.location import StoreLocation
from chatcli.store.open import open_store
from tests.bench.growth import Author, InstantModel
from tests.postgres import running_postgres

THREADS, TURNS, USERS = 100_000, 50_000, 200
RUNS = 7
CHATS_AT_ONCE, TURNS_AT_ONCE = 40, 10
MODEL = Model(ModelName("openai", "instant"), InstantModel(), Limits(window=8192, answer=1024))
RARE, COMMON = "quicksilver", "everywhere"


async def take_turns(location: StoreLocation, thread: str, turns: int = 1) -> list[float]:
    """Run turns on `thread`; return the milliseconds of CPU of each."""
    costs = []
    async with open_store(location) as store:
        session = ChatSession(build_graph(store.checkpointer), store.threads, thread, TurnContext(MODEL))
        for _ in range(turns):
            began = time.process_time()
            async for _event in session.run(Ask(f"a question {COMMON}")):
                pass
            costs.append(1000 * (time.process_time() - began))
    return costs


def copy_thread(path: Path, threads: int) -> None:
    """Copy the rows of the thread `first`, with texts of their own for the index."""
    author = Author(5)
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("PRAGMA synchronous = OFF")
        checkpoints, writes, messages = (
            database.execute(f"SELECT * FROM {table} WHERE thread_id = 'first'").fetchall()
            for table in ("checkpoints", "writes", "messages")
        )
        for number in range(threads):
            name = f"{number:08x}"
            database.executemany("INSERT INTO checkpoints VALUES (?, ?, ?, ?, ?, ?, ?)", _moved(checkpoints, 0, name))
            database.executemany("INSERT INTO writes VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", _moved(writes, 0, name))
            for _, _, _, checkpoint, role, _, cut in messages:
                text = f"{COMMON} {author.write(200)} {RARE if number % 5000 == 0 else ''}"
                row = (name, f"{role}-{number}", checkpoint, role, text, cut)
                database.execute(
                    "INSERT INTO messages (thread_id, message_id, checkpoint_id, role, text, interrupted)"
                    " VALUES (?, ?, ?, ?, ?, ?)",
                    row,
                )


def _moved(rows: Sequence[tuple[object, ...]], column: int, value: object) -> list[tuple[object, ...]]:
    return [(*row[:column], value, *row[column + 1 :]) for row in rows]


def cpu_of(words: Sequence[str], environment: dict[str, str]) -> float:
    """Return the seconds of CPU of one run of `chat`."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [sys.executable, "-m", "chatcli", *words], env=environment, check=True, stdout=subprocess.DEVNULL, stderr=-3
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def compare(commands: dict[str, Sequence[str]], environment: dict[str, str]) -> None:
    """Print the CPU of each command beside that of `chat --help`."""
    for name, words in commands.items():
        pairs = [(cpu_of(words, environment), cpu_of(["--help"], environment)) for _ in range(RUNS)]
        ratio = statistics.median(own for own, _ in pairs) / statistics.median(other for _, other in pairs)
        print(f"    {name:<44} {ratio:5.2f} times --help", flush=True)


def measure_threads(folder: Path, threads: int) -> None:
    """Print what commands cost on a store with `threads` threads."""
    path = folder / f"{threads}.db"
    asyncio.run(take_turns(StoreLocation(path), "first"))
    copy_thread(path, threads)
    print(f"{threads} threads, {path.stat().st_size / 1e6:.0f} MB")
    environment = {"HOME": str(folder), "PATH": os.environ["PATH"], "CHATCLI_STORE": f"sqlite:///{path}"}
    compare(
        {
            "threads list --limit 20": ["threads", "list", "--limit", "20"],
            "threads search, a rare word": ["threads", "search", RARE],
            "threads search, a word of every message": ["threads", "search", COMMON],
            "threads rename": ["threads", "rename", "00000001", "A title"],
            "threads export": ["threads", "export", "00000001"],
        },
        environment,
    )
    turns = asyncio.run(take_turns(StoreLocation(path), "00000002", 20))
    print(f"    a turn: {statistics.median(turns):.0f} ms of CPU")


def measure_turns(folder: Path, turns: int) -> None:
    """Print what a thread of `turns` turns costs."""
    path = folder / f"turns-{turns}.db"
    began = time.process_time()
    costs = asyncio.run(take_turns(StoreLocation(path), "long", turns))
    print(f"a thread of {turns} turns, {path.stat().st_size / 1e6:.0f} MB, made in {time.process_time() - began:.0f} s")
    environment = {"HOME": str(folder), "PATH": os.environ["PATH"], "CHATCLI_STORE": f"sqlite:///{path}"}
    first, last = statistics.median(costs[:20]), statistics.median(costs[-20:])
    opened = asyncio.run(take_turns(StoreLocation(path), "long", 2))
    print(
        f"    a turn: {first:.0f} ms of CPU at first, {last:.0f} at the end; after opening the thread {opened[0]:.0f}"
    )
    compare({"threads list": ["threads", "list"], "threads export": ["threads", "export", "long"]}, environment)


def measure_users(users: int) -> None:
    """Print what one PostgreSQL server carries of `chat`s at one turn a minute each, and how fast 40 at once are."""
    with running_postgres() as server:
        uri = server.new_database()
        backend = choose_backend(Settings(store=uri))
        assert isinstance(backend, LocalBackend)

        async def hold() -> tuple[int, int, float]:
            async with open_store(backend.location) as store:
                session = ChatSession(build_graph(store.checkpointer), store.threads, "one", TurnContext(MODEL))
                for _ in range(3):
                    async for _event in session.run(Ask("a question")):
                        pass
                before, wall = _transactions(uri), time.monotonic()
                async for _event in session.run(Ask("a question")):
                    pass
                return _connections(uri), _transactions(uri) - before, time.monotonic() - wall

        async def chat(number: int) -> None:
            async with open_store(backend.location) as store:
                turn = TurnContext(MODEL)
                session = ChatSession(build_graph(store.checkpointer), store.threads, f"user-{number}", turn)
                for _ in range(TURNS_AT_ONCE):
                    async for _event in session.run(Ask("a question")):
                        pass

        async def crowd() -> float:
            began = time.monotonic()
            async with asyncio.TaskGroup() as group:
                for number in range(CHATS_AT_ONCE):
                    group.create_task(chat(number))
            return CHATS_AT_ONCE * TURNS_AT_ONCE / (time.monotonic() - began)

        connections, transactions, wall = asyncio.run(hold())
        print(
            f"PostgreSQL: {connections} connections for each chat, {transactions} transactions and {wall:.2f} s a turn"
        )
        limit = 100 // connections
        print(f"    {users} users at a turn a minute: {users * transactions / 60:.0f} transactions a second")
        rate = asyncio.run(crowd())
        print(
            f"    {CHATS_AT_ONCE} chats at once, in one process: {rate:.0f} turns a second; {users / 60:.1f} are needed"
        )
        print(f"    max_connections = 100 is reached by {limit} open chats; {users} need {users * connections}")


def _connections(uri: str) -> int:
    with psycopg.connect(uri) as database:
        query = "SELECT count(*) - 1 FROM pg_stat_activity WHERE datname = current_database()"
        row = database.execute(query).fetchone()
        assert row is not None
        return int(row[0])


def _transactions(uri: str) -> int:
    with psycopg.connect(uri, autocommit=True) as database:
        database.execute("SELECT pg_stat_force_next_flush()")
        query = "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = current_database()"
        row = database.execute(query).fetchone()
        assert row is not None
        return int(row[0])


def main(arguments: Sequence[str]) -> None:
    """Print the costs at a hundredth, a tenth and the whole of each size."""
    threads, turns, users = [int(argument) for argument in arguments] + [THREADS, TURNS, USERS][len(arguments) :]
    with tempfile.TemporaryDirectory() as folder:
        for size in (threads // 100, threads // 10, threads):
            measure_threads(Path(folder), size)
        for size in (turns // 100, turns // 10, turns):
            measure_turns(Path(folder), size)
    measure_users(users)


if __name__ == "__main__":
    main(sys.argv[1:])
