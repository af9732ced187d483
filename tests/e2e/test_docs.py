"""Documents on the command line: --docs, what a thread remembers, `chat docs`, /docs and @DIR/."""

import json
import os
import sqlite3
from contextlib import closing
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from tests.e2e.checks import assert_reported, valid
from tests.e2e.conftest import OpenTerminal
from tests.e2e.program import Chat, Home, Result
from tests.fakes.openai_server import FakeOpenAI
from tests.fakes.steps import Answer

SETUP = "# Setup\n\nRun `make frobnicate` to begin.\n"


@pytest.fixture(autouse=True)
def _words_alone(home: Home) -> None:
    """Rank by words alone: for the meaning, each run would load a model, half a second of CPU."""
    home.env["CHATCLI_SEMANTIC"] = "0"


def write(home: Home, name: str, text: str) -> Path:
    path = home.work / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def cited_place(found: dict[str, object]) -> tuple[object, object, object]:
    return found["path"], found["start_line"], found["end_line"]


def paths_found(result: Result) -> list[str]:
    """Return the documents that a question with `--format jsonl` found."""
    [event] = [event for event in result.events() if event["type"] == "documents_found"]
    return [passage["path"] for passage in event["passages"]]


def test_a_thread_remembers_its_documents(chat: Chat, fake: FakeOpenAI, home: Home) -> None:
    write(home, "docs/setup.md", SETUP)
    write(home, "faq.md", "A frobnicate can be repeated.\n")
    ask = ("--format", "jsonl", "How do I frobnicate?")
    assert paths_found(chat("-t", "a", "--docs", "docs", *ask)) == ["docs/setup.md"]
    assert "make frobnicate" in str(fake.requests[-1].messages)
    assert paths_found(chat("-t", "a", *ask)) == ["docs/setup.md"]
    assert sorted(paths_found(chat("-t", "a", "--docs", "faq.md", *ask))) == ["docs/setup.md", "faq.md"]
    assert sorted(paths_found(chat("-t", "a", *ask))) == ["docs/setup.md", "faq.md"]
    assert not [event for event in chat("-t", "b", *ask).events() if event["type"] == "documents_found"]
    assert chat("threads", "fork", "a", "c").returncode == 0
    assert sorted(paths_found(chat("-t", "c", *ask))) == ["docs/setup.md", "faq.md"]
    assert chat("threads", "delete", "a", "--yes").returncode == 0
    assert not [event for event in chat("-t", "a", *ask).events() if event["type"] == "documents_found"]


def test_what_a_thread_remembers_is_in_no_store_and_no_export(chat: Chat, fake: FakeOpenAI, home: Home) -> None:
    write(home, "docs/setup.md", SETUP)
    chat("-t", "a", "--docs", "docs", "hello there")
    exported = chat("threads", "export", "a", "--format", "json").stdout
    assert str(home.work / "docs") not in exported
    assert chat("threads", "delete", "a", "--yes").returncode == 0
    write(home, "exported.json", exported)
    assert chat("threads", "import", "exported.json").returncode == 0
    after = chat("-t", "a", "--format", "jsonl", "How do I frobnicate?")
    assert not [event for event in after.events() if event["type"] == "documents_found"]


def test_files_that_change_vanish_and_move_between_questions(chat: Chat, fake: FakeOpenAI, home: Home) -> None:
    setup = write(home, "docs/setup.md", SETUP)
    ask = ("-t", "a", "--format", "jsonl", "How do I frobnicate?")
    assert paths_found(chat("--docs", "docs", *ask)) == ["docs/setup.md"]
    setup.rename(setup.with_name("moved.md"))
    assert paths_found(chat(*ask)) == ["docs/moved.md"]
    write(home, "docs/moved.md", "Nothing to see.\n")
    assert paths_found(chat(*ask)) == []
    write(home, "docs/new.md", f"\n\n{SETUP}")
    result = chat(*ask)
    [found] = next(event for event in result.events() if event["type"] == "documents_found")["passages"]
    assert cited_place(found) == ("docs/new.md", 3, 5)
    for path in (home.work / "docs").iterdir():
        path.unlink()
    assert chat(*ask).returncode == 0


@pytest.mark.parametrize("name", ["missing", "missing/*.md", "https://example.com/a.md"])
def test_documents_that_are_not_there_are_refused_before_anything_changes(
    chat: Chat, fake: FakeOpenAI, home: Home, name: str
) -> None:
    before = home.files()
    assert_reported(chat("-t", "a", "--docs", name, "hello"), 2)
    assert not fake.requests
    assert home.files() == before


@pytest.mark.parametrize(
    "words", [("--graph", "agent.py:graph"), ("--url", "http://127.0.0.1:9"), ("-m", "langflow:flow")]
)
def test_documents_are_for_a_model(chat: Chat, fake: FakeOpenAI, home: Home, words: tuple[str, str]) -> None:
    write(home, "docs/setup.md", SETUP)
    result = chat(*words, "--docs", "docs", "hello")
    assert_reported(result, 2)
    assert "--docs has no effect" in result.stderr
    assert not fake.requests


def test_the_environment_and_the_config_file_give_new_threads_documents(
    chat: Chat, fake: FakeOpenAI, home: Home
) -> None:
    write(home, "docs/setup.md", SETUP)
    write(home, "faq.md", "A frobnicate can be repeated.\n")
    ask = ("--format", "jsonl", "How do I frobnicate?")
    both = {"CHATCLI_DOCS": json.dumps(["docs", "faq.md"])}
    assert sorted(paths_found(chat("-t", "a", *ask, env=both))) == ["docs/setup.md", "faq.md"]
    assert sorted(paths_found(chat("-t", "a", *ask))) == ["docs/setup.md", "faq.md"]
    config = home.root / ".config" / "chatcli" / "config.toml"
    config.parent.mkdir(parents=True, exist_ok=True)
    config.write_text('docs = ["docs"]\n')
    assert paths_found(chat("-t", "b", *ask)) == ["docs/setup.md"]
    assert sorted(paths_found(chat("-t", "a", *ask))) == ["docs/setup.md", "faq.md"]


@pytest.mark.parametrize("trust", ["1", ""])
def test_no_folder_names_documents(chat: Chat, fake: FakeOpenAI, home: Home, trust: str) -> None:
    write(home, "private/notes.md", "The frobnicate password is swordfish.\n")
    write(home, ".env", 'CHATCLI_DOCS=["private"]\n')
    result = chat("How do I frobnicate?", env={"CHATCLI_TRUST": trust})
    assert result.returncode == 0
    assert "CHATCLI_DOCS" in result.stderr
    assert "swordfish" not in str(fake.requests[-1].messages)


def test_a_store_names_no_documents(chat: Chat, fake: FakeOpenAI, home: Home) -> None:
    """What another user's store or another machine remembers does not count: only this user's own state does."""
    write(home, "docs/setup.md", SETUP)
    chat("-t", "a", "--docs", "docs", "How do I frobnicate?")
    store = home.root / ".local" / "share" / "chatcli" / "threads.db"
    other = home.work / "other.db"
    with closing(sqlite3.connect(store)) as db, closing(sqlite3.connect(other)) as copy:
        db.backup(copy)
    result = chat("--store", f"sqlite:///{other}", "-t", "a", "--format", "jsonl", "How do I frobnicate?")
    assert result.returncode == 0
    assert not [event for event in result.events() if event["type"] == "documents_found"]


def test_index_search_list_and_forget(chat: Chat, home: Home, terminal: OpenTerminal) -> None:
    write(home, "docs/setup.md", SETUP)
    write(home, "docs/deep/faq.md", "A question\nabout widgets.\n")
    (home.work / "docs" / "photo.bin").write_bytes(b"\x00\x01\x02" * 1000)
    indexed = chat("docs", "index", "docs")
    assert indexed.returncode == 0
    assert indexed.stdout.startswith("2 files, 2 passages, ")
    assert ": 2 new; skipped: 1 since " in indexed.stdout
    assert "docs/photo.bin" in indexed.stderr
    assert ": no changes" in chat("docs", "index", "docs").stdout
    [part] = [one for one in chat("doctor", "--json").json() if one["subject"] == "documents"]
    assert "documents.db" in part["detail"]
    assert part["detail"].endswith("2 files of 1 sources")

    found = chat("docs", "search", "frobnicate", "--json").json()
    valid("passages", found)
    [one] = found
    assert cited_place(one) == ("docs/setup.md", 1, 3)
    assert one["text"] == "\n".join(SETUP.splitlines()[one["start_line"] - 1 : one["end_line"]])
    assert not any(one["weak"] for one in found)
    weak = chat("docs", "search", "frobnicate Zanzibar, Mombasa and Nairobi", "--json").json()
    assert weak
    assert all(one["weak"] for one in weak)
    noted = chat("docs", "search", "frobnicate Zanzibar, Mombasa and Nairobi")
    assert "note: these passages have little of the question" in noted.stderr
    plain = chat("docs", "search", "how", "to", "frobnicate?").stdout
    assert plain.startswith("docs/setup.md:1-3  0.")
    assert plain.endswith("# Setup\n\nRun `make frobnicate` to begin.\n")
    assert chat("docs", "search", "zebra", "--json").json() == []
    assert chat("docs", "search", "zebra").returncode == 0
    assert chat("docs", "search", "frobnicate", "--docs", "docs/deep", "--json").json() == []
    assert len(chat("docs", "search", "frobnicate widgets", "--limit", "1", "--json").json()) == 1

    write(home, "docs/setup.md", "Now it is called twiddle.\n")
    assert chat("docs", "search", "frobnicate", "--json").json() == []
    assert cited_place(chat("docs", "search", "twiddle", "--json").json()[0]) == ("docs/setup.md", 1, 1)

    listed = chat("docs", "list", "--json").json()
    valid("documents", listed)
    assert [(one["source"], one["files"]) for one in listed] == [
        (str(home.work / "docs"), 2),
        (str(home.work / "docs" / "deep"), 1),
    ]
    read = datetime.fromisoformat(listed[0]["updated_at"])
    table = chat("docs", "list").stdout
    assert ("read (UTC)" in table, f"{read:%Y-%m-%d %H:%M}" in table) == (True, True)
    tty = terminal("docs", "list", env={"TZ": "Asia/Tokyo"}, size=(140, 24))
    assert tty.exit_code() == 0
    assert f"{read.astimezone(ZoneInfo('Asia/Tokyo')):%Y-%m-%d %H:%M}" in tty.text()
    assert "UTC" not in tty.text()
    os.rename(home.work / "docs", home.work / "gone")  # noqa: PTH104
    assert chat("docs", "forget", "docs").stdout.startswith("forgotten: docs, ")
    assert chat("docs", "list", "--json").json() == []
    assert_reported(chat("docs", "forget", "docs"), 2)
    index = home.root / ".local" / "share" / "chatcli"
    assert not any(b"twiddle" in path.read_bytes() for path in index.glob("documents.db*"))


def test_searching_before_anything_is_indexed(chat: Chat, home: Home) -> None:
    result = chat("docs", "search", "frobnicate", "--json")
    assert (result.returncode, result.json()) == (0, [])
    assert "--docs" in result.stderr
    assert_reported(chat("docs", "index", "missing"), 2)
    assert_reported(chat("docs", "index"), 2)
    write(home, "a.md", SETUP)
    assert chat("docs", "search", "frobnicate", "--docs", "a.md", "--json").json()[0]["path"] == "a.md"


def test_a_hostile_name_reaches_no_terminal(chat: Chat, home: Home) -> None:
    write(home, "docs/a\x1b]0;pwned\x07.md", "frobnicate \x1b[31mred\n")
    shown = chat("docs", "search", "frobnicate", "--docs", "docs").stdout + chat("docs", "list").stdout
    assert "frobnicate" in shown
    assert "\x1b" not in shown


def test_indexing_shows_its_progress_and_goes_on_after_ctrl_c(home: Home, terminal: OpenTerminal, chat: Chat) -> None:
    for number in range(2000):
        write(home, f"docs/{number:04}.md", f"# Number {number}\n\n" + f"A widget of the kind {number}.\n" * 40)
    tty = terminal("docs", "index", "docs")
    tty.wait_for("of 2,000 files")
    tty.send("\x03")
    assert tty.exit_code() == 130
    tty.wait_for("stopped: the same command goes on")
    rest = chat("docs", "index", "docs")
    assert rest.returncode == 0
    assert rest.stdout.startswith("2,000 files, ")
    assert "reading the documents: 50 %" in rest.stderr
    added = int(rest.stdout.partition(": ")[2].partition(" new")[0].replace(",", ""))
    assert 0 < added < 2000


def test_documents_in_a_conversation(fake: FakeOpenAI, terminal: OpenTerminal, home: Home, chat: Chat) -> None:
    del home.env["CHATCLI_SEMANTIC"]
    write(home, "docs/setup.md", SETUP)
    write(home, "my notes/faq.md", "A frobnicate can be repeated.\n")
    tty = terminal("-t", "a")
    tty.wait_for_prompt()
    tty.send_line("/docs")
    tty.wait_for("this thread has no documents")
    tty.send_line("/docs add missing")
    tty.wait_for("no file or folder matches missing")
    tty.send_line("How does @docs/ say that I frobnicate?")
    tty.wait_for("answers now come from docs;")
    fake.wait_for_requests(1)
    assert "make frobnicate" in str(fake.requests[-1].messages)
    assert "@docs/ say" in str(fake.requests[-1].messages)
    tty.wait_for_prompt()
    tty.send("/docs add my\t")
    tty.wait_for('/docs add "my notes/')
    tty.send("fa\t")
    tty.wait_for('/docs add "my notes/faq.md"')
    tty.send_line("")
    tty.wait_for("answers now come from docs, my notes/faq.md;")
    tty.send_line('/docs add "my notes/')  # as completion leaves it after a folder
    tty.wait_for("answers now come from docs, my notes/faq.md, my notes;")
    tty.send_line('/docs remove "my notes"')
    tty.wait_for("removed: my notes")
    tty.send_line("/docs remove docs")
    tty.wait_for("removed: docs")
    tty.send_line("/docs list")
    tty.wait_for(lambda text: "my notes/faq.md" in text.rpartition("/docs list")[2])
    tty.send_line("/fork b")
    tty.wait_for("forked from a")
    tty.send_line("/docs off")
    tty.wait_for("no documents any more")
    tty.send_line("/exit")
    tty.exit_code()
    assert paths_found(chat("-t", "a", "--format", "jsonl", "How do I frobnicate?")) == ["my notes/faq.md"]
    after = chat("-t", "b", "--format", "jsonl", "How do I frobnicate?").events()
    assert not [event for event in after if event["type"] == "documents_found"]


def test_a_resumed_conversation_shows_what_its_answers_cite(
    chat: Chat, fake: FakeOpenAI, terminal: OpenTerminal, home: Home
) -> None:
    write(home, "docs/setup.md", SETUP)
    fake.script(Answer("Run it [1]."))
    assert chat("-t", "a", "--docs", "docs", "How do I frobnicate?").returncode == 0
    terminal("-t", "a").wait_for("[1] docs/setup.md:1-3")


def test_a_conversation_in_memory_keeps_its_documents(fake: FakeOpenAI, terminal: OpenTerminal, home: Home) -> None:
    write(home, "docs/setup.md", SETUP)
    tty = terminal("--no-save", "--docs", "docs")
    tty.wait_for_prompt()
    for number in (1, 2):
        tty.send_line("How do I frobnicate?")
        fake.wait_for_requests(number)
        assert "make frobnicate" in str(fake.requests[-1].messages)
        tty.wait_for_prompt()
    tty.send_line("/docs off")
    tty.wait_for("no documents any more")
    tty.send_line("How do I frobnicate?")
    fake.wait_for_requests(3)
    assert not [path for path in home.files() if "threads" in path.parts and path.suffix == ".json"]
