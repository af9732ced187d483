"""Conversations kept by a real PostgreSQL server."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from threading import Event

import psycopg
import pytest
from psycopg.types.json import Jsonb

from chatcli.config.settings import Settings
from chatcli.store.location import StoreLocation
from chatcli.store.postgres.schema import VERSION
from chatcli.store.postgres.threads import _QUERIES, PostgresThreads
from chatcli.store.threads import MATCH_END, MATCH_START, Partial
from tests.e2e.checks import assert_reported
from tests.e2e.program import Chat
from tests.fakes.openai_server import FakeOpenAI
from tests.fakes.steps import Answer, Gated, Stall, bob
from tests.postgres import PASSWORD, Postgres
from tests.waiting import wait_until


@pytest.fixture
def store(postgres: Postgres, chat: Chat) -> str:
    """Give an empty database that the programs of the test use."""
    chat.home.env["CHATCLI_STORE"] = uri = postgres.new_database()
    return uri


@pytest.fixture
def threads(store: str) -> Iterator[PostgresThreads]:
    opened = PostgresThreads(store)
    yield opened
    opened.close()


def test_a_conversation_goes_on_in_the_next_process(store: str, chat: Chat, fake: FakeOpenAI) -> None:
    fake.default = bob
    first = chat("-t", "abc123", "Hi! I'm Bob.")
    assert (first.returncode, first.stderr) == (0, ""), first
    assert chat("-t", "abc123", "What's my name?").stdout == "Your name is Bob.\n"
    assert chat("-c", "And now?").stdout == "Your name is Bob.\n"
    assert chat("-t", "other", "What's my name?").stdout == "I don't know your name.\n"
    listed = chat("threads", "list", "--json").json()
    assert [(thread["thread_id"], thread["turns"], thread["title"]) for thread in listed] == [
        ("other", 1, "What's my name?"),
        ("abc123", 3, "Hi! I'm Bob."),
    ]
    assert listed[1]["created_at"] < listed[1]["updated_at"] < listed[0]["created_at"]
    assert [message["content"] for message in chat.messages("abc")] == [
        "Hi! I'm Bob.",
        "Your name is Bob.",
        "What's my name?",
        "Your name is Bob.",
        "And now?",
        "Your name is Bob.",
    ]
    assert [path for path in chat.home.files() if path.suffix == ".db"] == []


def test_an_empty_database_has_no_threads_and_stays_empty(store: str, chat: Chat) -> None:
    listed = chat("threads", "list", "--json")
    assert (listed.returncode, listed.stdout) == (0, "[]\n"), listed
    with psycopg.connect(store) as connection:
        assert connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone() == (0,)


def test_postgres_is_the_same_scheme(store: str, chat: Chat, fake: FakeOpenAI) -> None:
    chat.home.env["CHATCLI_STORE"] = store.replace("postgresql://", "postgres://")
    assert chat("-t", "abc", "hello").stdout == "You said: hello\n"
    assert len(chat.messages("abc")) == 2


def test_a_word_is_found_whatever_stands_around_it(
    store: str, chat: Chat, fake: FakeOpenAI, threads: PostgresThreads
) -> None:
    fake.default = Answer("Édith keeps store/words.py beside it's_a-name.")
    chat("-t", "abc", "Where does the long Question of all questions stand?")
    for text in ("edith", "WORDS", "name beside", "words.py", "store ÉDITH"):
        (match,) = threads.search(text)
        assert (match.thread_id, match.role) == ("abc", "assistant"), text
        assert MATCH_START in match.snippet
    assert f"store/{MATCH_START}words{MATCH_END}.py" in threads.search("words")[0].snippet
    assert [match.role for match in threads.search("question")] == ["user"]
    assert threads.search("nothing") == threads.search("' & !") == []


def test_a_search_takes_messages_from_the_index_whatever_the_planner_knows(
    store: str, threads: PostgresThreads
) -> None:
    threads.set_up()
    with psycopg.connect(store, autocommit=True) as database:
        database.execute(
            "INSERT INTO chatcli_messages (thread_id, message_id, checkpoint_id, role, text, interrupted)"
            " SELECT 'abc', n, '', 'user', 'everywhere ' || CASE WHEN n % 100 = 0 THEN 'seldom' ELSE 'often' END, false"
            " FROM generate_series(1, 5000) AS n"
        )
        database.execute(
            "INSERT INTO chatcli_threads (thread_id, title, model, turns, created_at, updated_at)"
            " VALUES ('abc', '', '', 1, now(), now())"
        )
        database.execute("VACUUM ANALYZE")
        query = "EXPLAIN " + _QUERIES.holding
        plan = database.execute(query, {"beginning": "everywhere", "newest": 50}).fetchall()
        assert "Bitmap Index Scan on chatcli_messages_by_word" in str(plan)
    newest = threads.search("everywhere seldom", limit=2)
    assert [match.snippet.count("seldom") for match in newest] == [1, 1]
    assert len(threads.search("everywhere")) == 50
    some = threads.exchanges("everywhere seldom nowhere", 2, "")
    assert [exchange.question for exchange in some] == ["everywhere seldom"] * 2


def test_a_checkpoint_changes_no_index_of_threads_within_a_minute(store: str, threads: PostgresThreads) -> None:
    threads.set_up()
    with psycopg.connect(store, autocommit=True) as database:
        for number in range(10):
            database.execute(
                "INSERT INTO checkpoints (thread_id, checkpoint_id, checkpoint, metadata) VALUES ('abc', %s, '{}', %s)",
                (str(number), Jsonb({"source": "input"})),
            )
        database.execute("SELECT pg_stat_force_next_flush()")
        query = "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'chatcli_threads'"
        updates, cheap = database.execute(query).fetchone() or (0, 0)
    assert updates == 9
    assert cheap >= 8  # the minute may end meanwhile
    assert threads.recent()[0].turns == 10


def test_threads_are_renamed_forked_and_deleted(
    store: str, chat: Chat, fake: FakeOpenAI, threads: PostgresThreads
) -> None:
    for question in ("one", "two", "three"):
        chat("-t", "abc", question)
    second = [step for step in threads.steps("abc") if step.turn == 2][-1]
    threads.fork("abc", "copy", second.checkpoint_id)
    threads.rename("abc", "counting")
    chat("-t", "copy", "four")
    assert [text for _, text in fake.requests[-1].messages][::2] == ["one", "two", "four"]
    assert [message.text for message in threads.newest_messages("copy", 3)] == [
        "You said: two",
        "four",
        "You said: four",
    ]
    threads.delete(["abc"])
    assert [(thread.thread_id, thread.turns) for thread in threads.recent()] == [("copy", 3)]
    assert [match.thread_id for match in threads.search("one")] == ["copy", "copy"]
    assert [message["content"] for message in chat.messages("copy")][::2] == ["one", "two", "four"]


def test_two_processes_on_one_thread_lose_nothing(store: str, chat: Chat, fake: FakeOpenAI) -> None:
    gate = Event()
    fake.script(Gated("slow", gate, " answer"))
    slow = chat.start("-t", "shared", "the slow question")
    fake.wait_for_requests(1)
    quick = chat.start("-t", "shared", "the quick question")
    with suppress(subprocess.TimeoutExpired):
        quick.process.wait(3)
    gate.set()
    assert (slow.finish().returncode, quick.finish().returncode) == (0, 0)
    stored = [message["content"] for message in chat.messages("shared")]
    assert stored[:3] == ["the slow question", "slow answer", "the quick question"]
    assert len(stored) == 4


def test_many_processes_may_make_the_tables_at_once(store: str, chat: Chat, fake: FakeOpenAI) -> None:
    running = [chat.start("-t", f"thread-{number}", f"question {number}") for number in range(4)]
    results = [process.finish(90) for process in running]
    assert [result.stdout for result in results] == [f"You said: question {number}\n" for number in range(4)]
    assert len(chat("threads", "list", "--json").json()) == 4


def test_an_answer_on_its_way_survives_a_kill(
    store: str, chat: Chat, fake: FakeOpenAI, threads: PostgresThreads
) -> None:
    fake.script(Stall("the beginning of an answer"))
    running = chat.start("-t", "abc", "why?")
    running.wait_for_output("the beginning of an answer")
    wait_until(lambda: threads.journal.read("abc") is not None)
    running.process.kill()
    running.finish()
    assert [(message["content"], message["interrupted"]) for message in chat.messages("abc")] == [
        ("why?", False),
        ("the beginning of an answer", True),
    ]
    assert chat("-t", "abc", "go on").returncode == 0
    assert [text for _, text in fake.requests[-1].messages] == ["why?", "the beginning of an answer", "go on"]


def test_a_nul_and_a_huge_message_are_stored_as_they_are(
    store: str, chat: Chat, fake: FakeOpenAI, threads: PostgresThreads
) -> None:
    fake.default = Answer("ok")
    huge = "a\0b " + " ".join(f"word{number}" for number in range(300_000))
    assert chat("-t", "abc", "--base-url", fake.base_url, input=huge, env={"CHATCLI_MODEL": "big"}).returncode in (0, 4)
    assert chat.messages("abc")[0]["content"] == huge
    assert [match.role for match in threads.search("word17")] == ["user"]
    threads.journal.save("abc", Partial("q", "a\0b"))
    assert threads.journal.read("abc") == Partial("q", "a\0b")


@pytest.mark.parametrize("command", [["hello"], ["-c", "hello"], ["threads", "list"], ["--debug", "threads", "list"]])
@pytest.mark.parametrize("trouble", ["password", "down", "database", "percent", "at"])
def test_errors_are_reported_without_the_password(
    postgres: Postgres, chat: Chat, fake: FakeOpenAI, command: list[str], trouble: str
) -> None:
    uris = {
        "password": (postgres.uri(password="wrong-9f3b71"), 5),
        "down": (f"postgresql://me:{PASSWORD}@127.0.0.1:1/db", 5),
        "database": (postgres.uri("nowhere"), 5),
        "percent": (f"postgresql://me:%zz{PASSWORD}@127.0.0.1/db", 2),
        "at": (f"postgresql://me:{PASSWORD}@x/{PASSWORD}@127.0.0.1/db", 2),
    }
    uri, code = uris[trouble]
    result = chat("--store", uri, *command)
    if "--debug" not in command:
        assert_reported(result, code)
    assert result.returncode == code, result
    for secret in (PASSWORD, "wrong-9f3b71"):
        assert secret not in result.stdout + result.stderr
    assert fake.requests == []


def test_a_store_of_a_newer_chatcli_is_refused(store: str, chat: Chat, fake: FakeOpenAI) -> None:
    assert chat("-t", "abc", "hello").returncode == 0
    with psycopg.connect(store) as connection:
        connection.execute("UPDATE chatcli_schema SET version = %s", (VERSION + 1,))
    for command in (["hello"], ["threads", "list"]):
        assert_reported(chat(*command), 5)
    assert len(fake.requests) == 1


def test_titles_of_an_import_come_with_the_threads_or_not_at_all(store: str, chat: Chat) -> None:
    thread = '{"format": "chatcli-thread", "version": 1, "thread_id": "a", "title": "Mine", "messages": []}'
    assert chat("threads", "import", "-", input=thread.replace("Mine", "")).returncode == 0
    with psycopg.connect(store) as connection:
        connection.execute("ALTER TABLE chatcli_threads ADD CONSTRAINT refuse CHECK (title <> 'Mine')")
    assert_reported(chat("threads", "import", "-", input=thread), 5)
    assert [listed["thread_id"] for listed in chat("threads", "list", "--json").json()] == ["a"]
    with psycopg.connect(store) as connection:
        connection.execute("ALTER TABLE chatcli_threads DROP CONSTRAINT refuse")
    assert chat("threads", "import", "-", input=thread).stdout == "a-2\n"
    assert chat("threads", "list", "--json").json()[0]["title"] == "Mine"


def test_a_connection_that_is_lost_in_mid_turn_fails_the_turn(store: str, chat: Chat, fake: FakeOpenAI) -> None:
    gate = Event()
    fake.script(Gated("slow", gate, " answer"))
    running = chat.start("-t", "abc", "why?")
    running.wait_for_output("slow")
    name = store.rpartition("/")[2]
    with psycopg.connect(store.replace(name, "postgres"), autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,))
    gate.set()
    result = running.finish(60)
    assert_reported(result, 5)
    assert PASSWORD not in result.stderr


def test_a_connection_that_was_lost_between_two_calls_is_opened_again(threads: PostgresThreads, store: str) -> None:
    threads.set_up()
    assert threads.locks.try_lock("abc")
    with psycopg.connect(store) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid != pg_backend_pid()"
        )
    threads._used = 0  # as after a while
    assert threads.recent() == []
    assert threads.locks.try_lock("abc")


def test_the_uri_shows_nowhere() -> None:
    uri = f"postgresql://me:{PASSWORD}@db.example/chat"
    settings = Settings(store=uri)
    assert PASSWORD not in repr(settings) + str(settings) + repr(StoreLocation(uri=uri))
    assert PASSWORD not in settings.credentials.redact(f"password is {PASSWORD}")
    assert settings.credentials.redact(f"{uri}?password=other") == "postgresql://me:***@db.example/chat?password=***"


def test_listing_needs_no_langgraph(store: str) -> None:
    code = (
        "import sys\nfrom chatcli.conversation.backend import LocalBackend\n"
        "from chatcli.store.location import StoreLocation\n"
        f"LocalBackend(StoreLocation(uri={store!r})).threads().recent()\n"
        "assert not [name for name in sys.modules if name.startswith(('langgraph', 'langchain'))]"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("uri", [f"postgresql://me:{PASSWORD}@host/db", f"postgresql://host/db?password={PASSWORD}"])
def test_the_settings_are_shown_without_the_password(chat: Chat, uri: str) -> None:
    for command in (["config", "show"], ["config", "show", "--json"]):
        shown = chat("--store", uri, *command)
        assert shown.returncode == 0
        assert "postgresql://" in shown.stdout
        assert PASSWORD not in shown.stdout + shown.stderr
