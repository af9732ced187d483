"""`chat threads export` and `import`, through the executable."""

import fcntl
import json
import re
import signal
import sqlite3
import stat
from contextlib import closing
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.checks import assert_reported
from tests.e2e.conftest import OpenTerminal
from tests.e2e.program import Chat, Home
from tests.fakes.openai_server import FakeOpenAI
from tests.fakes.steps import Answer, Stall
from tests.transfer.test_foreign import archive, conversation, llm_log, said
from tests.waiting import wait_until

EVIL = "<script>alert(1)</script> ![x](http://tracker.example/x.png) [y](javascript:alert(1)) "
EVIL += "\x1b]52;c;aGk=\x07\x1b[31mred"


@pytest.fixture
def talk(chat: Chat, fake: FakeOpenAI) -> Chat:
    """Give a home with the thread abc: two turns, the second of them cut short inside of code."""
    fake.script(Answer("# Why\n\n```python\nprint('<sky>')\n```\n\n" + EVIL), Stall("Look:\n\n```python\nimport os"))
    chat("-t", "abc", "-m", "openai:gpt-mine", "-s", "Be brief & <kind>.", "why is\nthe *sky* blue?")
    running = chat.start("--format", "jsonl", "-t", "abc", "and?")
    running.wait_for_output("import")
    running.signal(signal.SIGINT)
    running.finish()
    return chat


@pytest.mark.parametrize("form", ["json", "jsonl"])
def test_a_thread_comes_back_equal(talk: Chat, fake: FakeOpenAI, home: Home, form: str) -> None:
    exported = talk("threads", "export", "ab", "--format", form)
    assert exported.returncode == 0, exported
    assert exported.stdout.isascii()
    assert "\x1b" not in exported.stdout
    (home.work / "file").write_text(exported.stdout)
    other = ("--store", f"sqlite:///{home.work}/other.db")
    assert talk("threads", "import", "file", *other).stdout == "abc\n"
    again = talk("threads", "export", "abc", "--format", form, *other).stdout
    assert _without_times(again, form) == _without_times(exported.stdout, form)
    assert talk("threads", "show", "abc", "--json", *other).json()["messages"] == talk.messages("abc")
    assert talk(*other, "-t", "abc", "go on").returncode == 0
    assert fake.requests[-1].messages[0] == ("system", "Be brief & <kind>.")
    assert len(fake.requests[-1].messages) == 6
    assert fake.requests[-1].body["model"] == "gpt-mine"


def _without_times(text: str, form: str) -> list[dict[str, Any]]:
    objects = [json.loads(line) for line in text.splitlines()] if form == "jsonl" else [json.loads(text)]
    return [{key: value for key, value in data.items() if not key.endswith("_at")} for data in objects]


def test_an_id_that_exists_is_not_overwritten(talk: Chat, home: Home) -> None:
    talk("threads", "export", "abc", "-o", "abc.json")
    before = talk.messages("abc")
    imported = talk("threads", "import", "abc.json")
    assert (imported.stdout, imported.stderr) == ("abc-2\n", "thread abc exists; imported as abc-2\n")
    told = talk("threads", "import", "abc.json", "--json").json()
    assert told == [{"thread_id": "abc-3", "original_id": "abc"}]
    assert talk.messages("abc") == before == talk.messages("abc-3")


def test_markdown_has_all_messages(talk: Chat) -> None:
    page = talk("threads", "export", "abc").stdout
    assert page.startswith("# why is the \\*sky\\* blue?\n\nThread abc · openai:")
    assert "## System prompt\n\nBe brief & <kind>.\n\n## User\n\nwhy is\nthe *sky* blue?\n\n## AI\n\n# Why\n" in page
    assert "red" in page
    assert "\x1b" not in page
    assert "\x07" not in page
    assert page.endswith("Look:\n\n```python\nimport os\n```\n\n*[interrupted]*\n")


def test_a_page_has_the_prompt_of_the_role(chat: Chat, fake: FakeOpenAI) -> None:
    chat("-t", "es", "--role", "translator", "-v", "language=Spanish", "Good morning")
    assert "## System prompt (role translator)\n\n" in (page := chat("threads", "export", "es").stdout)
    assert "in Spanish" in page.partition("## User")[0]
    html = chat("threads", "export", "es", "--format", "html").stdout
    assert "System prompt (role translator)" in html
    assert "in Spanish" in html.partition("<h2>User")[0]


class _Tags(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def test_html_needs_nothing_and_does_nothing(talk: Chat) -> None:
    page = talk("threads", "export", "abc", "--format", "html").stdout
    read = _Tags(page)
    names = {tag for tag, _ in read.tags}
    assert not names & {"script", "img", "link", "iframe", "object", "form", "base", "kind", "sky"}, names
    assert "default-src 'none'" in page.replace("&#x27;", "'")
    assert "prefers-color-scheme: dark" in page
    assert not re.search(r"url\(|@import|src=", page)
    links = [attributes["href"] for tag, attributes in read.tags if tag == "a"]
    assert links == ["http://tracker.example/x.png"]
    assert not any(name.startswith("on") for _, attributes in read.tags for name in attributes)
    assert "\x1b" not in page
    assert '<span class="nb">print</span>' in page
    for text in (
        "why is\nthe *sky* blue?",
        "Be brief & <kind>.",
        "<script>alert(1)</script>",
        "import os",
        "[interrupted]",
    ):
        assert text in read.text, text


def test_a_file_is_written_whole_and_never_overwritten(
    talk: Chat, fake: FakeOpenAI, home: Home, terminal: OpenTerminal
) -> None:
    file = home.work / "out.html"
    assert talk("threads", "export", "abc", "-o", "out.html").stdout == ""
    page = file.read_text()
    assert page.startswith("<!DOCTYPE html>")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    file.write_text("mine")
    assert_reported(talk("threads", "export", "abc", "-o", "out.html"), 2)
    assert file.read_text() == "mine"
    window = terminal("threads", "export", "abc", "-o", "out.html")
    window.wait_for("Replace out.html? [y/N]")
    window.send_line("")
    assert window.exit_code() == 130
    assert file.read_text() == "mine"
    fake.script(Answer("word " * 40_000))
    talk("-t", "long", "hello")
    assert talk.shell("ulimit -f 100; chat threads export long -o out.html --force").returncode == 1
    assert file.read_text() == "mine"
    assert talk("threads", "export", "abc", "-o", "out.html", "--force").returncode == 0
    assert file.read_text() == page
    for wrong in ("nowhere/out.md", ".", "out.html/out.md"):
        assert_reported(talk("threads", "export", "abc", "-o", wrong, "--force"), 2)
    assert [path.name for path in home.work.iterdir()] == ["out.html"]
    assert talk.shell("chat threads export abc -o /dev/stdout --format jsonl | wc -l", forks=True).stdout.strip() == "5"


def test_chatgpt_and_llm_files_are_imported(chat: Chat, fake: FakeOpenAI, home: Home) -> None:
    data = [
        conversation("new", None, said("user", "why?"), said("assistant", "because"), update_time=2.0),
        conversation("old", said("user", "hello"), said("assistant", "hi"), update_time=1.0),
    ]
    (home.work / "conversations.json").write_text(json.dumps(data))
    assert chat("threads", "import", "conversations.json").stdout == "old\nnew\n"
    log = llm_log(home.work / "logs.db", ("r1", "sky?", "Be brief.", "air", "a", "2026-01-01T00:00:01"))
    assert chat("threads", "import", str(log)).stdout == "a\n"
    listed = chat("threads", "list", "--json").json()
    assert [(thread["thread_id"], thread["title"], thread["model"], thread["turns"]) for thread in listed] == [
        ("a", "Sky talk", "gpt-4o-mini", 1),
        ("new", "About new", "openai:gpt-4o", 1),
        ("old", "About old", "openai:gpt-4o", 1),
    ]
    assert chat("threads", "search", "because", "--json").json()[0]["thread_id"] == "new"
    chat("-t", "a", "go on")
    assert fake.requests[-1].messages == [
        ("system", "Be brief."),
        ("user", "sky?"),
        ("assistant", "air"),
        ("user", "go on"),
    ]


def test_an_archive_is_imported_and_what_is_left_out_is_named(chat: Chat, home: Home) -> None:
    question = said("user", "why?", metadata={"attachments": [{"name": "a.pdf"}]})
    whole = json.dumps([conversation("new", question, said("assistant", "because"))])
    archive(home.work / "export.zip", {"conversations.json": whole, "chat.html": "<p>"})
    imported = chat("threads", "import", "export.zip", "--json")
    assert imported.json() == [{"thread_id": "new", "original_id": "new"}]
    assert imported.stderr == "warning: left out: file, chat.html\n"
    archive(home.work / "bad.zip", {"conversations\n.json": whole, "conversations-1.json": "[\x1b"})
    result = chat("threads", "import", "bad.zip")
    assert_reported(result, 2)
    assert "conversations-1.json: line 1: not valid JSON" in result.stderr
    assert len(chat("threads", "list", "--json").json()) == 1


GOOD = '{"format": "chatcli-thread", "version": 1, "thread_id": "good", "messages": [{"role": "user", "content": "x"}]}'
HALF_GOOD = f"[{GOOD}, {GOOD.replace('good', 'bad').replace('user', 'root')}]"
BAD = {
    "half good": (HALF_GOOD.encode(), "[1].messages[0].role"),
    "not UTF-8": (GOOD.encode() + b"\n\xff", "line 2: not UTF-8"),
    "NUL": (GOOD.encode() + b"\0", "line 1: not valid JSON"),
    "deep": (b"[" * 1_000_000, "nested too deeply"),
    "escape sequences": (b'{"format": "chatcli-thread", "\x1b[2J": 1}', "line 1: not valid JSON"),
    "escaped escape sequences": (GOOD.replace("good", "\\u001b[2J").encode(), "thread_id: a thread ID has printable"),
    "a field of escape sequences": (GOOD.replace('"version"', '"\\u001b[2J": 1, "version"').encode(), "extra inputs"),
    "empty": (b"", "not valid JSON"),
    "a damaged database": (b"SQLite format 3\0" + bytes(4096), "the database: "),
}


@pytest.mark.parametrize(("data", "told"), BAD.values(), ids=BAD)
def test_a_bad_file_is_refused_whole(chat: Chat, home: Home, data: bytes, told: str) -> None:
    (home.work / "file").write_bytes(data)
    result = chat("threads", "import", "file")
    assert_reported(result, 2)
    assert told in result.stderr
    assert "\x1b" not in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert [path.name for path in home.files()] == ["file"]


def test_what_is_no_file_is_refused(chat: Chat, home: Home) -> None:
    for wrong in ("nothing", ".", "/dev/zero"):
        assert_reported(chat("threads", "import", wrong), 2)
    assert_reported(chat("--no-save", "threads", "import", "-", input=GOOD), 2)
    assert home.files() == []
    assert chat("threads", "import", "-", input=GOOD).stdout == "good\n"


def test_an_import_is_killed_and_leaves_the_store_as_it_was(chat: Chat, fake: FakeOpenAI, home: Home) -> None:
    chat("-t", "mine", "hello")
    (home.work / "file").write_text(_long_thread(2_000))
    running = chat.start("threads", "import", "file")
    folder = home.root / ".local/share/chatcli"

    def is_begun() -> bool:
        return any(store.stat().st_size > 200_000 for store in folder.glob(".import-*/threads.db"))  # of ten megabytes

    wait_until(is_begun)
    running.process.kill()
    assert running.finish().returncode == -signal.SIGKILL  # it had not ended yet
    assert [thread["thread_id"] for thread in chat("threads", "list", "--json").json()] == ["mine"]
    assert len(chat.messages("mine")) == 2


def test_titles_come_with_the_threads_or_not_at_all(chat: Chat, home: Home) -> None:
    chat("threads", "import", "-", input=GOOD)
    store = home.root / ".local/share/chatcli/threads.db"
    with closing(sqlite3.connect(store)) as connection:
        connection.execute("UPDATE threads SET title = 'Mine'")
        connection.execute("CREATE UNIQUE INDEX refuse ON threads (title)")
        connection.commit()
    titled = GOOD.replace('"thread_id": "good"', '"thread_id": "titled", "title": "Mine"')
    assert_reported(chat("threads", "import", "-", input=titled), 5)
    assert [thread["thread_id"] for thread in chat("threads", "list", "--json").json()] == ["good"]
    with closing(sqlite3.connect(store)) as connection:
        connection.execute("DROP INDEX refuse")
    chat("threads", "import", "-", input=titled)
    newest = chat("threads", "list", "--json").json()[0]
    assert (newest["thread_id"], newest["title"], newest["turns"]) == ("titled", "Mine", 1)


def test_the_next_import_removes_what_a_killed_one_left(chat: Chat, home: Home) -> None:
    folder = home.root / ".local/share/chatcli"
    folder.mkdir(parents=True)
    dead, alive = folder / ".import-dead", folder / ".import-alive"
    for left in (dead, alive):
        left.mkdir()
        (left / "threads.db").write_bytes(b"x")
        (left / "lock").touch()
    with (alive / "lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert chat("threads", "import", "-", input=GOOD).returncode == 0
    assert sorted(folder.glob(".import-*")) == [alive]


def _long_thread(turns: int) -> str:
    lines: list[dict[str, Any]] = [{"type": "thread", "format": "chatcli-thread", "version": 1, "thread_id": "long"}]
    for number in range(turns):
        lines.append({"role": "user", "content": f"question {number} " + "q" * 180})
        lines.append({"role": "assistant", "content": f"answer {number} " * 150})
    return "\n".join(map(json.dumps, lines))


def test_a_message_of_megabytes_goes_out_and_in_whole(chat: Chat, fake: FakeOpenAI, home: Home, weekly: bool) -> None:
    text = "wörd 🐍 <b> " * ((10_000_000 if weekly else 2_000_000) // 16)
    fake.script(Answer(text, chunks=2))
    assert chat("-t", "abc", input=text).returncode == 0
    for form in ("md", "html", "json", "jsonl"):
        assert chat("threads", "export", "abc", "-o", f"out.{form}").returncode == 0
    assert (home.work / "out.md").read_text().count(text.rstrip("\n")) == 2
    assert _Tags((home.work / "out.html").read_text()).text.count(text) == 2
    assert chat("threads", "import", "out.jsonl").stdout == "abc-2\n"
    messages = chat.messages("abc-2")
    assert [message["content"] == text for message in messages] == [True, True]


def test_nothing_is_left_beside_the_store(talk: Chat, home: Home) -> None:
    talk("threads", "export", "abc", "-o", "abc.json")
    before = {path.name for path in home.files()}
    talk("threads", "import", "abc.json")
    assert {path.name for path in home.files()} == before
    assert not list(Path(home.root / ".local/share/chatcli").glob(".import-*"))
