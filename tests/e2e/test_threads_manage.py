"""`chat threads search`, `rename`, `delete`, `fork` and `prune`, through the executable."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.e2e.checks import assert_reported
from tests.e2e.conftest import OpenTerminal
from tests.e2e.program import Chat, Home
from tests.fakes.openai_server import FakeOpenAI
from tests.fakes.steps import Answer, Stall

STORE = Path(".local/share/chatcli/threads.db")


@pytest.fixture
def talk(chat: Chat, fake: FakeOpenAI) -> Chat:
    """Give a home with the threads sky (two turns) and sea."""
    chat("-t", "sky", "why is the sky blue?")
    chat("-t", "sky", "and at night?")
    chat("-t", "sea", "why is the sea deep?")
    return chat


def ids(chat: Chat) -> list[str]:
    return [thread["thread_id"] for thread in chat("threads", "list", "--json").json()]


def test_search_finds_and_marks(talk: Chat) -> None:
    found = talk("threads", "search", "BLUE", "sky", "--json").json()
    assert {(match["thread_id"], match["role"]) for match in found} == {("sky", "user"), ("sky", "assistant")}
    question = next(match for match in found if match["role"] == "user")
    assert question["title"] == "why is the sky blue?"
    assert {question["snippet"][start:end] for start, end in question["matches"]} == {"sky", "blue"}
    shown = talk("threads", "search", "blue")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "sky  why is the sky blue?\nUser: why is the sky blue?" in shown.stdout
    assert "\x02" not in shown.stdout
    assert len(talk("threads", "search", "why", "--limit", "1", "--json").json()) == 1
    assert talk("threads", "search", "nothing", "--json").json() == []
    assert talk("threads", "search", '" OR *', "--json").returncode == 0


def test_search_highlights_on_a_terminal(talk: Chat, terminal: OpenTerminal) -> None:
    window = terminal("threads", "search", "deep")
    assert window.exit_code() == 0
    assert "why is the sea deep?" in window.text()
    assert b"\x1b[1;35mdeep" in window.raw


def test_stored_text_does_nothing_to_the_terminal_of_a_search(
    chat: Chat, fake: FakeOpenAI, terminal: OpenTerminal
) -> None:
    fake.default = Answer("evil \x1b]52;c;aGk=\x07\x1b[2J text")
    chat("-t", "abc", "hello")
    window = terminal("threads", "search", "evil")
    assert window.exit_code() == 0
    assert b"evil" in window.raw
    assert b"\x1b]52" not in window.raw
    assert b"\x1b[2J" not in window.raw


def test_a_thread_is_renamed_by_a_prefix(talk: Chat) -> None:
    assert talk("threads", "rename", "sk", "The", "blue  sky 🐍").returncode == 0
    assert talk("threads", "show", "sky", "--json").json()["title"] == "The blue sky 🐍"
    for title in ("", " ", "a\x1b[31mb", "x" * 201):
        assert_reported(talk("threads", "rename", "sky", title), 2)
    assert_reported(talk("threads", "rename", "s", "two of them"), 2)


def test_threads_are_deleted_all_or_none(talk: Chat) -> None:
    assert_reported(talk("threads", "delete", "sky", "nothing"), 2)
    assert ids(talk) == ["sea", "sky"]
    assert talk("threads", "delete", "sk", "sky").returncode == 0
    assert ids(talk) == ["sea"]
    assert talk("threads", "search", "blue", "--json").json() == []


def test_a_terminal_is_asked_before_a_thread_is_deleted(talk: Chat, terminal: OpenTerminal) -> None:
    window = terminal("threads", "delete", "sky")
    window.wait_for("Delete sky (why is the sky blue?) for good? [y/N]")
    window.send_line("n")
    assert window.exit_code() == 130
    assert ids(talk) == ["sea", "sky"]
    window = terminal("threads", "delete", "sky")
    window.wait_for("[y/N]")
    window.send_line("y")
    assert window.exit_code() == 0
    assert ids(talk) == ["sea"]
    assert terminal("threads", "delete", "--yes", "sea").exit_code() == 0
    assert ids(talk) == []


def test_a_thread_that_is_being_answered_is_not_deleted(talk: Chat, fake: FakeOpenAI) -> None:
    fake.script(Stall("half"))
    running = talk.start("--format", "jsonl", "-t", "sky", "more")
    running.wait_for_output("half")
    assert_reported(talk("threads", "delete", "sea", "sky"), 5)
    running.close()
    assert ids(talk) == ["sky", "sea"]


def test_a_thread_is_forked(talk: Chat, fake: FakeOpenAI) -> None:
    first = talk("--json", "-t", "new", "one").json()["checkpoint_id"]
    talk("-t", "new", "two")
    assert talk("threads", "fork", "ne", "copy").stdout == "copy\n"
    assert talk("threads", "fork", "new", "--at", first).stdout.strip() in ids(talk)
    half = ids(talk)[0]
    assert [message["content"] for message in talk.messages(half)] == ["one", "You said: one"]
    assert [message["content"] for message in talk.messages("copy")][2:] == ["two", "You said: two"]
    talk("-t", "copy", "three")
    assert fake.requests[-1].messages[0] == ("user", "one")
    assert len(talk.messages("new")) == 4
    for refused in (("new", "copy"), ("new", "a\nb"), ("new", "x" * 201), ("new", "other", "--at", "nowhere")):
        assert_reported(talk("threads", "fork", *refused), 2)


def age(home: Home, thread_id: str, days: int) -> None:
    """Make a thread look as if it was last used `days` ago."""
    with closing(sqlite3.connect(home.root / STORE)) as connection, connection:
        connection.execute(
            "UPDATE threads SET updated_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now', ?) WHERE thread_id = ?",
            (f"-{days} days", thread_id),
        )


def test_prune_gives_the_disk_back(chat: Chat, fake: FakeOpenAI, home: Home) -> None:
    fake.default = Answer(" ".join(f"word{number}" for number in range(40_000)))
    chat("-t", "old", "hello")
    chat("-t", "older", "hello")
    fake.default = Answer("short")
    chat("-t", "new", "hello")
    age(home, "old", 91)
    age(home, "older", 400)
    before = (home.root / STORE).stat().st_size
    refused = chat("threads", "prune")
    assert_reported(refused, 2)
    assert "older" in refused.stdout
    assert "2 threads would be deleted" in refused.stderr
    assert len(ids(chat)) == 3

    assert chat("threads", "prune", "--older-than", "1y", "--yes").returncode == 0
    assert set(ids(chat)) == {"old", "new"}
    done = chat("threads", "prune", "--yes")
    assert (done.returncode, ids(chat)) == (0, ["new"])
    assert "1 thread deleted, " in done.stderr
    after = (home.root / STORE).stat().st_size
    assert after < before / 4, (before, after)
    nothing = chat("threads", "prune")
    assert (nothing.returncode, nothing.stdout) == (0, "")
    for wrong in ("", "90", "-1d", "d", "90x", "99999y", "1e3d"):
        result = chat("threads", "prune", f"--older-than={wrong}", "--yes")
        assert_reported(result, 2)
    assert ids(chat) == ["new"]


def test_prune_asks_on_a_terminal(talk: Chat, home: Home, terminal: OpenTerminal) -> None:
    age(home, "sea", 91)
    age(home, "sky", 91)
    window = terminal("threads", "prune")
    window.wait_for("Delete 2 threads for good? [y/N]")
    assert "why is the sea deep?" in window.text()
    talk("-t", "sky", "and by day?")  # it is no longer one of them
    window.send_line("y")
    assert window.exit_code() == 0
    assert ids(talk) == ["sky"]


def test_a_store_that_does_not_exist_has_nothing_to_prune_or_find(chat: Chat, home: Home) -> None:
    assert chat("threads", "prune", "--yes").returncode == 0
    assert chat("threads", "search", "hello", "--json").json() == []
    assert_reported(chat("threads", "delete", "abc"), 2)
    assert home.files() == []
