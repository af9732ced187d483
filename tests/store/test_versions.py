"""Stores that earlier versions wrote: each opens, goes on and is exported.

`kept` has a small SQLite store of each version (`store/sqlite/schema.py`), made by the chatcli of that time, and a dump
of a PostgreSQL store of version 2. The threads are `plain` with four turns, `attached` with a system prompt and a long
question, and `graph`, a user's graph that keeps items in LangGraph's store.
"""

import gzip
import hashlib
import sqlite3
import time
import zlib
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from langchain_core.messages import HumanMessage
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import empty_checkpoint
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.pregel._checkpoint import empty_checkpoint as empty_graph_checkpoint

from chatcli.store.postgres import schema as postgres_schema
from chatcli.store.postgres.saver import PostgresSaver
from chatcli.store.postgres.threads import PostgresThreads
from chatcli.store.serde import DICTIONARY, NEWEST_FORM, CompressedSerializer, compress, decompress
from chatcli.store.sqlite import schema
from chatcli.store.sqlite.open import SqliteSaver, open_sqlite
from tests.e2e.checks import assert_reported
from tests.e2e.program import Chat
from tests.fakes.openai_server import FakeOpenAI
from tests.fakes.steps import bob
from tests.postgres import PASSWORD, USER, Postgres
from tests.waiting import WAIT_SECONDS

KEPT = Path(__file__).parent / "kept"
NOTES = Path(__file__).parent.parent / "sample_graphs" / "notes.py"
OF_VERSION_2 = "ff302f5c"
"""The beginning of the SHA-256 of the dictionary; a change needs another tag for what it compresses."""
WAL_LIMIT = 1_000_000


def version(path: Path) -> int:
    with closing(sqlite3.connect(path)) as database:
        return int(database.execute("PRAGMA user_version").fetchone()[0])


@pytest.fixture(params=range(1, schema.VERSION + 1))
def kept(request: pytest.FixtureRequest, chat: Chat) -> Path:
    """Give the path of the default store, with the content of one of an earlier version."""
    path = chat.home.work / "threads.db"
    path.write_bytes(gzip.decompress((KEPT / f"version-{request.param}.db.gz").read_bytes()))
    chat.home.env["CHATCLI_STORE"] = f"sqlite:///{path}"
    return path


def test_a_store_of_each_version_opens_goes_on_and_is_exported(kept: Path, chat: Chat, fake: FakeOpenAI) -> None:
    written = version(kept)
    titles = {thread["thread_id"]: thread["title"] for thread in chat("threads", "list", "--json").json()}
    assert titles == {"plain": "Hi! I'm Bob.", "attached": "A title of the user", "graph": "one"}
    assert version(kept) == written  # a list changes nothing
    assert len(chat.messages("plain")) == 8
    fake.default = bob
    assert chat("-t", "plain", "What's my name, again?").stdout == "Your name is Bob.\n"
    assert len(fake.requests[-1].body["messages"]) == 9
    assert version(kept) == schema.VERSION
    assert "I knew: one" in chat("-t", "graph", "--graph", f"{NOTES}:notes", "three").stdout
    for name, count in {"plain": 10, "attached": 2, "graph": 6}.items():
        exported = chat("threads", "export", name, "--format", "json")
        assert len(exported.json()["messages"]) == count
    assert "so that it is compressed" in chat("threads", "show", "attached").stdout
    assert chat("doctor").returncode == 0


def test_the_dictionary_of_compression_stays_as_it_is() -> None:
    assert hashlib.sha256(DICTIONARY).hexdigest()[:8] == OF_VERSION_2


@pytest.mark.parametrize("data", [b"", b"text", b"a longer text " * 1000])
def test_compressed_data_is_read_with_and_without_a_dictionary(data: bytes) -> None:
    assert decompress(compress(data)) == decompress(zlib.compress(data)) == data


@pytest.mark.parametrize("damaged", [b"", b"text", compress(b"a text " * 20)[:-1], compress(b"a text") + b"more"])
def test_damaged_data_is_not_read(damaged: bytes) -> None:
    with pytest.raises(zlib.error):
        decompress(damaged)


@pytest.mark.parametrize("saver", [SqliteSaver.__new__(SqliteSaver), PostgresSaver.__new__(PostgresSaver)])
def test_versions_of_channels_go_on_from_langgraphs_own(saver: SqliteSaver | PostgresSaver) -> None:
    for first in (AsyncSqliteSaver.get_next_version(saver, None, None), saver.get_next_version(None, None)):  # type: ignore[arg-type]
        versions = [first]
        for _ in range(120):
            versions.append(saver.get_next_version(versions[-1], None))
        assert versions == sorted(set(versions))


def test_branches_in_postgresql_have_versions_of_their_own() -> None:
    saver = PostgresSaver.__new__(PostgresSaver)
    assert saver.get_next_version("00000007.aa", None) != saver.get_next_version("00000007.aa", None)


def test_langgraph_writes_the_form_that_was_tried() -> None:
    assert empty_graph_checkpoint()["v"] == NEWEST_FORM


async def test_a_thread_of_a_newer_langgraph_is_refused_before_anything_is_written(
    chat: Chat, fake: FakeOpenAI, tmp_path: Path
) -> None:
    path = tmp_path / "threads.db"

    async with open_sqlite(path) as (saver, _threads):
        config = RunnableConfig(configurable={"thread_id": "new", "checkpoint_ns": ""})
        await saver.aput(config, {**empty_checkpoint(), "v": 5}, {"source": "loop", "step": 0}, {})
    chat.home.env["CHATCLI_STORE"] = f"sqlite:///{path}"
    refused = chat("-t", "new", "hello")
    assert_reported(refused, 5)
    assert "written by a newer LangGraph" in refused.stderr
    assert not fake.requests
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("SELECT count(*) FROM checkpoints").fetchone() == (1,)
    assert chat("-t", "other", "hello").returncode == 0


def test_a_postgresql_store_of_version_1_is_read_and_goes_on(postgres: Postgres, chat: Chat, fake: FakeOpenAI) -> None:
    fake.default = bob
    chat.home.env["CHATCLI_STORE"] = uri = postgres.new_database()
    assert chat("-t", "abc", "Hi! I'm Bob.").returncode == 0
    serde = CompressedSerializer()
    with psycopg.connect(uri) as database:
        database.execute("UPDATE chatcli_schema SET version = 1")
        rows = database.execute("SELECT ctid, type, blob FROM checkpoint_writes WHERE type LIKE '%zlib'").fetchall()
        for place, kind, blob in rows:
            plain = zlib.compress(decompress(blob))
            assert serde.loads_typed((kind, plain)) == serde.loads_typed((kind, blob))
            database.execute("UPDATE checkpoint_writes SET blob = %s WHERE ctid = %s", (plain, place))
    assert rows
    assert [thread["thread_id"] for thread in chat("threads", "list", "--json").json()] == ["abc"]
    assert chat("-t", "abc", "What's my name?").stdout == "Your name is Bob.\n"
    with psycopg.connect(uri) as database:
        assert database.execute("SELECT version FROM chatcli_schema").fetchall() == [(postgres_schema.VERSION,)]


@pytest.fixture
def kept_in_postgres(postgres: Postgres, chat: Chat) -> str:
    """Give the URI of the default store, with the content of one of version 2."""
    chat.home.env["CHATCLI_STORE"] = uri = postgres.new_database()
    with psycopg.connect(uri) as database:
        database.execute(gzip.decompress((KEPT / "postgres-2.sql.gz").read_bytes()))
    return uri


def postgres_version(uri: str) -> object:
    with psycopg.connect(uri) as database:
        return database.execute("SELECT version FROM chatcli_schema").fetchall()


def columns(uri: str, table: str) -> set[str]:
    with psycopg.connect(uri) as database:
        query = "SELECT column_name FROM information_schema.columns WHERE table_name = %s"
        return {name for (name,) in database.execute(query, (table,))}


def questions_found(uri: str, text: str) -> list[str]:
    threads = PostgresThreads(uri)
    try:
        return [exchange.question for exchange in threads.exchanges(text, 5, "")]
    finally:
        threads.close()


def test_a_postgresql_store_of_version_2_opens_goes_on_and_is_exported(
    kept_in_postgres: str, chat: Chat, fake: FakeOpenAI
) -> None:
    def found(text: str) -> list[tuple[str, str]]:
        hits = chat("threads", "search", text, "--json").json()
        return [(hit["thread_id"], hit["role"]) for hit in hits]

    def check() -> None:
        titles = {thread["thread_id"]: thread["title"] for thread in chat("threads", "list", "--json").json()}
        assert titles == {"plain": "Hi! I'm Bob.", "attached": "A title of the user", "graph": "one"}
        assert ("plain", "user") in found("edith words")
        assert found("compressed") == [("attached", "user")]
        assert questions_found(kept_in_postgres, "words missing elsewhere")[0].startswith(
            "Tell me about store/words.py"
        )

    check()
    assert postgres_version(kept_in_postgres) == [(2,)]  # a list and a search change nothing
    assert len(chat.messages("plain")) == 8
    fake.default = bob
    assert chat("-t", "plain", "What's my name, again?").stdout == "Your name is Bob.\n"
    assert len(fake.requests[-1].body["messages"]) == 9
    assert postgres_version(kept_in_postgres) == [(postgres_schema.VERSION,)]
    assert "words" not in columns(kept_in_postgres, "chatcli_messages")
    check()
    assert chat("threads", "list", "--json").json()[0]["thread_id"] == "plain"
    assert "I knew: one" in chat("-t", "graph", "--graph", f"{NOTES}:notes", "three").stdout
    for name, count in {"plain": 10, "attached": 2, "graph": 6}.items():
        assert len(chat("threads", "export", name, "--format", "json").json()["messages"]) == count


def test_a_postgresql_store_is_whole_when_it_is_killed_while_it_is_brought_up_to_date(
    kept_in_postgres: str, chat: Chat, fake: FakeOpenAI
) -> None:
    before = columns(kept_in_postgres, "chatcli_messages")
    with psycopg.connect(kept_in_postgres) as holder, psycopg.connect(kept_in_postgres, autocommit=True) as watcher:
        holder.execute("SELECT version FROM chatcli_schema FOR UPDATE")  # the last row that is changed
        running = chat.start("-t", "plain", "hello")
        deadline = time.monotonic() + WAIT_SECONDS
        waiting = (
            "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'UPDATE chatcli_schema%'"
        )
        while watcher.execute(waiting).fetchone() is None:
            assert time.monotonic() < deadline, "the store is not brought up to date"
            time.sleep(0.02)  # the server does not tell when a statement begins to wait
        running.process.kill()
        running.finish()
    assert fake.requests == []
    assert postgres_version(kept_in_postgres) == [(2,)]
    assert columns(kept_in_postgres, "chatcli_messages") == before
    assert len(chat.messages("plain")) == 8
    assert chat("-t", "plain", "hello").returncode == 0
    assert postgres_version(kept_in_postgres) == [(postgres_schema.VERSION,)]


def test_a_user_who_does_not_own_an_older_postgresql_store_reads_it_and_is_told_what_to_do(
    kept_in_postgres: str, postgres: Postgres, chat: Chat, fake: FakeOpenAI
) -> None:
    guest = f"guest_{kept_in_postgres.rpartition('_')[2]}"
    with psycopg.connect(kept_in_postgres) as database:
        database.execute(f"CREATE ROLE {guest} LOGIN PASSWORD '{PASSWORD}'")
        database.execute(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {guest}")
    chat.home.env["CHATCLI_STORE"] = kept_in_postgres.replace(USER, guest, 1)
    refused = chat("-t", "plain", "hello")
    assert_reported(refused, 5)
    assert "which this user of the database may not change" in refused.stderr
    assert (postgres_version(kept_in_postgres), fake.requests) == ([(2,)], [])
    assert len(chat("threads", "list", "--json").json()) == 3
    assert len(chat("threads", "search", "compressed", "--json").json()) == 1
    assert chat("--store", kept_in_postgres, "-t", "plain", "hello").returncode == 0
    with psycopg.connect(kept_in_postgres) as database:
        database.execute(f"GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO {guest}")
    assert chat("-t", "plain", "hello again").returncode == 0
    assert len(chat("threads", "search", "hello again", "--json").json()) == 4  # "again" says nothing


async def test_the_write_ahead_log_stays_small_while_the_store_is_open(tmp_path: Path) -> None:
    def answer(state: MessagesState) -> MessagesState:
        return MessagesState(messages=[HumanMessage("some words " * 30)])

    async with open_sqlite(tmp_path / "threads.db") as (saver, _threads):
        graph = StateGraph(MessagesState).add_node("answer", answer).add_edge(START, "answer").compile(saver)
        for number in range(100):
            config = RunnableConfig(configurable={"thread_id": str(number)})
            await graph.ainvoke(MessagesState(messages=[HumanMessage("a question")]), config)
        assert (tmp_path / "threads.db-wal").stat().st_size < WAL_LIMIT
