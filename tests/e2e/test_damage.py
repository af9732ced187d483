"""Stores with changed bytes: every command says so with exit code 5, and what can be read is kept."""

import asyncio
import random
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage

from chatcli.conversation.backend import LocalBackend
from chatcli.errors import StoreError
from chatcli.graphs.chat.ask_node import MODEL_NODE
from chatcli.graphs.chat.graph import build_graph
from chatcli.sessions.history import read_turns
from chatcli.sessions.thread import GraphThread
from chatcli.store.location import StoreLocation
from chatcli.store.open import open_store
from chatcli.store.serde import CompressedSerializer, decompress
from chatcli.store.sqlite.repair import find_damage
from chatcli.store.sqlite.salvage import Row, read_contents, read_values, rows_by_thread
from chatcli.transfer.document import ThreadDocument
from chatcli.transfer.store_documents import import_documents
from tests.e2e.checks import assert_reported
from tests.e2e.program import Chat, Home
from tests.fakes.openai_server import FakeOpenAI
from tests.fakes.steps import Answer

LONG = "word " * 400


@pytest.fixture
def store(chat: Chat, fake: FakeOpenAI, home: Home) -> Path:
    """Give a store with the threads good and bad, three turns each, the second one long."""
    path = home.work / "threads.db"
    home.env["CHATCLI_STORE"] = f"sqlite:///{path}"
    for name in ("good", "bad"):
        fake.script(Answer("first answer"), Answer(LONG), Answer("third answer"))
        for question in ("one", "two", "three"):
            assert chat("-t", name, f"{question} of {name}").returncode == 0
    return path


def damage_value(path: Path, thread: str) -> None:
    """Change a byte in the middle of the long answer of `thread`, behind SQLite's back."""
    with closing(sqlite3.connect(path)) as connection:
        query = "SELECT value FROM writes WHERE thread_id = ? AND type LIKE '%zlib' AND channel = 'messages'"
        [value] = [value for (value,) in connection.execute(query, (thread,)) if b"word word" in decompress(value)]
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    data = path.read_bytes()
    assert data.count(value) == 1
    place = data.index(value) + len(value) // 2
    path.write_bytes(data[:place] + bytes([data[place] ^ 0x55]) + data[place + 1 :])


def test_a_damaged_value_is_reported_with_its_thread(chat: Chat, store: Path, fake: FakeOpenAI) -> None:
    damage_value(store, "bad")
    for arguments in (("-t", "bad", "go on"), ("threads", "show", "bad")):
        result = chat(*arguments)
        assert_reported(result, 5)
        assert "the thread bad is damaged" in result.stderr
        assert "chat doctor --repair" in result.stderr
    assert len(fake.requests) == 6
    assert {thread["thread_id"] for thread in chat("threads", "list", "--json").json()} == {"good", "bad"}
    assert chat("-t", "good", "go on").returncode == 0
    found = chat("doctor")
    assert found.returncode == 1
    assert "the threads bad can't be read" in " ".join(found.stdout.split())
    exported = chat("threads", "export", "bad")
    assert exported.returncode == 0
    assert "rows are missing here" in exported.stderr
    assert [text in exported.stdout for text in ("one of bad", "word word", "third answer")] == [True] * 3


def change_parent(path: Path, thread: str, parent: str) -> None:
    """Give the checkpoint in the middle of `thread` another parent; "" for itself."""
    with closing(sqlite3.connect(path)) as connection:
        names = [
            name
            for (name,) in connection.execute("SELECT checkpoint_id FROM checkpoints WHERE thread_id = ?", (thread,))
        ]
        name = sorted(names)[len(names) // 2]
        connection.execute(
            "UPDATE checkpoints SET parent_checkpoint_id = ? WHERE thread_id = ? AND checkpoint_id = ?",
            (parent or name, thread, name),
        )
        connection.commit()


@pytest.mark.parametrize("parent", ["1f1e7f22-0000-6000-8000-2e9af3eec9a3", ""], ids=["missing", "itself"])
def test_a_changed_parent_never_shortens_a_thread(chat: Chat, store: Path, fake: FakeOpenAI, parent: str) -> None:
    before = chat.messages("bad")
    change_parent(store, "bad", parent)
    for arguments in (("-t", "bad", "go on"), ("threads", "show", "bad"), ("threads", "show", "bad", "--tree")):
        result = chat(*arguments)
        assert_reported(result, 5)
        assert "error: the thread bad is damaged: the parent of a checkpoint is missing" in result.stderr
    assert len(fake.requests) == 6
    assert "rows are missing here" in chat("threads", "export", "bad").stderr
    assert {thread["thread_id"] for thread in chat("threads", "list", "--json").json()} == {"good", "bad"}
    assert chat("-t", "good", "go on").returncode == 0
    assert chat("doctor").returncode == 1
    assert chat("doctor", "--repair").returncode == 0
    assert chat.messages("bad") == before
    assert chat("-t", "bad", "go on").returncode == 0
    assert len(fake.requests[-1].messages) == 7


def test_repair_keeps_all_that_can_be_read(chat: Chat, store: Path, fake: FakeOpenAI) -> None:
    before = chat.messages("good")
    chat("threads", "rename", "good", "A title of mine")
    damage_value(store, "bad")
    damaged = store.read_bytes()
    repaired = chat("doctor", "--repair")
    assert repaired.returncode == 0, repaired
    assert "the thread bad was damaged" in repaired.stderr
    assert store.with_name("threads.db.damaged").read_bytes() == damaged
    assert chat.messages("good") == before
    # The text of the value that was lost stands in the index once more.
    assert [message["content"] for message in chat.messages("bad")] == [
        "one of bad",
        "first answer",
        "two of bad",
        LONG,
        "three of bad",
        "third answer",
    ]
    titles = {thread["thread_id"]: thread["title"] for thread in chat("threads", "list", "--json").json()}
    assert titles == {"good": "A title of mine", "bad": "one of bad"}
    for name in ("good", "bad"):
        assert chat("-t", name, "go on").returncode == 0
        assert len(fake.requests[-1].messages) == 7
    assert chat("threads", "search", "first", "--json").json()
    assert chat("doctor").returncode == 0


@pytest.mark.parametrize(
    "place", [0, 16, 18, 100, 8192], ids=["magic", "page size", "version", "schema", "first table"]
)
def test_a_damaged_page_costs_no_thread(chat: Chat, store: Path, place: int) -> None:
    with closing(sqlite3.connect(store)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    before = [chat.messages(name) for name in ("good", "bad")]
    data = bytearray(store.read_bytes())
    data[place] ^= 0x5A
    store.write_bytes(data)
    assert chat("doctor", "--repair").returncode == 0
    assert [chat.messages(name) for name in ("good", "bad")] == before


def test_what_is_no_store_is_not_repaired(chat: Chat, home: Home) -> None:
    path = home.work / "text.db"
    path.write_bytes(b"this is no database. " * 999)
    before = path.read_bytes()
    result = chat("doctor", "--repair", env={"CHATCLI_STORE": f"sqlite:///{path}"})
    assert_reported(result, 5)
    assert path.read_bytes() == before
    assert [file.name for file in home.work.iterdir()] == ["text.db"]


def test_the_reader_of_pages_finds_what_sqlite_does(chat: Chat, store: Path) -> None:
    """Also what is not yet in the file itself, but in the write-ahead log."""
    with closing(sqlite3.connect(store)) as held:  # so that the log stays
        held.execute("SELECT 1 FROM threads").fetchall()
        chat("-t", "good", "more " * 3000)
        contents = read_contents(store)
        found: dict[str, list[Row]] = {
            "checkpoints": [*contents.checkpoints.values()],
            "writes": [*contents.writes.values()],
            "threads": [*contents.threads.values()],
        }
        for table, rows in found.items():
            assert {tuple(row) for row in rows} == set(held.execute(f"SELECT * FROM {table}"))


def _documents() -> list[ThreadDocument]:
    rng = random.Random(1)
    documents = []
    for thread in range(4):
        messages: list[BaseMessage] = []
        for turn in range(5):
            messages.append(HumanMessage(f"question {turn}", id=f"q{turn}"))
            messages.append(AIMessage(f"answer {rng.randbytes(40 if turn % 2 else 2000).hex()}", id=f"a{turn}"))
        documents.append(ThreadDocument(f"thread-{thread}", "Title", "openai:gpt", "Be brief.", messages))
    return documents


def _try(action: object) -> None:
    """Call `action`; the only failure that it may have is the store's, in one line."""
    problem = ""
    try:
        assert callable(action)
        action()
    except StoreError as error:
        problem = error.message
    assert "\n" not in problem


def test_changed_bytes_anywhere_are_reported_and_repaired(tmp_path: Path, weekly: bool) -> None:
    async def build() -> None:
        async with open_store(StoreLocation(tmp_path / "base.db")) as store:
            await import_documents(store, _documents())

    asyncio.run(build())
    base = (tmp_path / "base.db").read_bytes()
    for seed in range(25 if weekly else 10):
        rng = random.Random(seed)
        data = bytearray(base)
        for _ in range(rng.choice((1, 1, 1, 5, 20))):
            data[rng.choice((rng.randrange(len(data)), rng.randrange(8192)))] ^= rng.randrange(1, 256)
        path = tmp_path / f"{seed}.db"
        path.write_bytes(data)
        backend = LocalBackend(StoreLocation(path))
        threads = backend.threads()
        _try(threads.recent)
        _try(lambda threads=threads: threads.find("thread-1"))
        _try(lambda threads=threads: threads.search("answer"))
        _try(lambda threads=threads: threads.newest_messages("thread-1", 5))
        _try(lambda backend=backend: asyncio.run(backend.reader().messages("thread-0")))
        backend.repair()
        assert not find_damage(path)
        listed = {summary.thread_id: summary for summary in threads.recent()}
        assert {f"thread-{number}" for number in range(4)} <= set(listed), seed
        for summary in listed.values():
            _, missing = asyncio.run(backend.reader().document(summary))
            assert not missing
        kept = sum(len(asyncio.run(backend.reader().messages(f"thread-{number}"))) for number in range(4))
        assert kept >= 40 - 20, seed


def _every_message(path: Path) -> set[str]:
    """Return the texts of all messages of the thread "long" that are readable page by page."""
    values = [read_values(rows, CompressedSerializer()) for rows in rows_by_thread(read_contents(path)).values()]
    return {message.text for read in values for found in read.messages.values() for message in found}


def _shown(path: Path) -> set[str]:
    backend = LocalBackend(StoreLocation(path))
    texts = set()
    for summary in backend.threads().recent():
        texts |= {message.text for message in asyncio.run(backend.reader().messages(summary.thread_id))}
        for said in asyncio.run(backend.reader().tree(summary.thread_id))[1].values():
            texts |= {said.question, said.answer}
    return texts


@pytest.fixture(scope="module")
def long_thread(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a store with a thread of 30 turns, and one of 12 on three branches, two of which were undone."""
    path = tmp_path_factory.mktemp("long") / "threads.db"

    async def build() -> None:
        documents = [
            ThreadDocument(name, name, "openai:gpt", None, [each for n in range(turns) for each in _turn(name, n)])
            for name, turns in (("long", 30), ("undone", 4))
        ]
        async with open_store(StoreLocation(path)) as store:
            await import_documents(store, documents)
            graph = build_graph(store.checkpointer)
            thread = GraphThread(graph, store.threads, "undone", MODEL_NODE)
            end = read_turns(store.threads.steps("undone"))[1].end
            for branch in range(2):
                await thread.go_to(thread.config(turn=2), end)
                for number in range(4):
                    question, answer = _turn(f"branch {branch}", number)
                    config = thread.config(title="more", turn=3 + number)
                    await graph.aupdate_state(config, {"messages": []}, as_node="__input__")
                    await thread.keep_question(config, question, {})
                    await thread.append(config, [answer])

    asyncio.run(build())
    return path


def _turn(name: str, number: int) -> tuple[HumanMessage, AIMessage]:
    noise = random.Random(f"{name} {number}").randbytes(300).hex()
    return (
        HumanMessage(f"{name}: question {number}", id=f"{name} q{number}"),
        AIMessage(f"{name}: answer {number} {noise}", id=f"{name} a{number}"),
    )


@pytest.mark.parametrize(
    "seed", [*range(12), *(pytest.param(seed, marks=pytest.mark.weekly) for seed in range(12, 100))]
)
def test_repair_keeps_every_message_that_is_readable(long_thread: Path, tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    data = bytearray(long_thread.read_bytes())
    for _ in range(dice.choice((1, 1, 3, 20))):
        data[dice.randrange(8192, len(data))] ^= dice.randrange(1, 256)
    path = tmp_path / "threads.db"
    path.write_bytes(data)
    readable = _every_message(path)
    assert len(readable) > 60
    lines = LocalBackend(StoreLocation(path)).repair()
    assert readable <= _shown(path), lines
    assert not find_damage(path)


def _checkpoints(path: Path, thread_id: str) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        query = "SELECT checkpoint_id FROM checkpoints WHERE thread_id = ? ORDER BY checkpoint_id"
        return [name for (name,) in connection.execute(query, (thread_id,))]


@pytest.mark.parametrize("place", [3, 40, 80])
@pytest.mark.parametrize("name", ["checkpoint_id", "parent_checkpoint_id"])
def test_a_thread_with_a_changed_id_is_repaired_whole(long_thread: Path, tmp_path: Path, name: str, place: int) -> None:
    path = tmp_path / "threads.db"
    shutil.copy(long_thread, path)
    changed = _checkpoints(path, "long")[place]
    with closing(sqlite3.connect(path)) as connection:
        query = f"UPDATE checkpoints SET {name} = 'f' || substr({name}, 2) WHERE checkpoint_id = ?"
        connection.execute(query, (changed,))
        connection.commit()
    [line, _] = LocalBackend(StoreLocation(path)).repair()
    assert line.endswith("60 of 60 messages are kept")
    shown = asyncio.run(LocalBackend(StoreLocation(path)).reader().messages("long"))
    assert [message.text for message in shown] == [each.text for n in range(30) for each in _turn("long", n)]


def test_undone_branches_are_kept(long_thread: Path, tmp_path: Path) -> None:
    path = tmp_path / "threads.db"
    shutil.copy(long_thread, path)
    before = asyncio.run(LocalBackend(StoreLocation(path)).reader().messages("undone"))
    with closing(sqlite3.connect(path)) as connection:
        query = "UPDATE checkpoints SET metadata = 'x' WHERE checkpoint_id = ?"
        connection.execute(query, (_checkpoints(path, "undone")[2],))
        connection.commit()
    [line, _] = LocalBackend(StoreLocation(path)).repair()
    assert line.endswith("24 of 24 messages are kept; those of other branches are in undone-2, undone-3")
    assert asyncio.run(LocalBackend(StoreLocation(path)).reader().messages("undone")) == before
