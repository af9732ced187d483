"""Conversations that outlive the process."""

import signal
import stat
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from threading import Event

import pytest

from tests.e2e.checks import assert_reported
from tests.e2e.conftest import OpenTerminal
from tests.e2e.forkserver import ForkServer
from tests.e2e.program import Chat, Home
from tests.fakes.openai_server import FakeOpenAI
from tests.fakes.steps import Answer, Gated, Stall, bob


def test_a_thread_remembers_and_another_one_does_not_know(chat: Chat, fake: FakeOpenAI) -> None:
    fake.default = bob
    assert chat("-t", "abc123", "Hi! I'm Bob.").returncode == 0
    assert chat("-t", "abc123", "What's my name?").stdout == "Your name is Bob.\n"
    assert chat("-t", "abc234", "What's my name?").stdout == "I don't know your name.\n"
    assert chat("-t", "abc123", "And now?").stdout == "Your name is Bob.\n"
    assert fake.requests[1].messages == [
        ("user", "Hi! I'm Bob."),
        ("assistant", "Your name is Bob."),
        ("user", "What's my name?"),
    ]
    assert fake.requests[2].messages == [("user", "What's my name?")]


def test_without_a_thread_every_question_starts_a_new_one(chat: Chat, fake: FakeOpenAI) -> None:
    first = chat("--json", "one").json()["thread_id"]
    second = chat("--json", "two").json()["thread_id"]
    assert first != second
    assert fake.requests[1].messages == [("user", "two")]


def test_continue_takes_the_thread_used_last(chat: Chat, fake: FakeOpenAI) -> None:
    chat("-t", "older", "one")
    chat("-t", "newer", "two")
    chat("-t", "older", "three")
    chat("-c", "four")
    texts = [text for role, text in fake.requests[-1].messages if role == "user"]
    assert texts == ["one", "three", "four"]


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory, forks: ForkServer) -> Iterator[Chat]:
    """Give a home with three threads: abc, then abc123, then abc234 with two turns."""
    home = Home.below(tmp_path_factory.mktemp("library"))
    program = Chat(home, forks)
    with FakeOpenAI() as server:
        home.env.update({"OPENAI_BASE_URL": server.base_url, "OPENAI_API_KEY": "sk-test"})
        program("-t", "abc", "-m", "openai:gpt-fake", "why is the sky blue?")
        program("-t", "abc123", "and the sea?")
        program("-t", "abc234", "and the sun?")
        program("-t", "abc234", "really?")
    yield program
    program.close()


def test_an_option_beats_the_thread_of_the_environment(chat: Chat, fake: FakeOpenAI) -> None:
    chat("-t", "mine", "one")
    env = {"CHATCLI_THREAD": "other"}
    assert chat("--json", "-c", "two", env=env).json()["thread_id"] == "mine"
    assert chat("--json", "three", env=env).json()["thread_id"] == "other"


def test_threads_are_listed_newest_first(library: Chat) -> None:
    listed = library("threads", "list", "--json").json()
    assert [(thread["thread_id"], thread["turns"]) for thread in listed] == [
        ("abc234", 2),
        ("abc123", 1),
        ("abc", 1),
    ]
    oldest = listed[-1]
    assert (oldest["title"], oldest["model"]) == ("why is the sky blue?", "openai:gpt-fake")
    assert oldest["created_at"] <= oldest["updated_at"] < listed[0]["created_at"] < listed[0]["updated_at"]

    newest = library("threads", "list", "--limit", "1", "--json").json()
    assert [thread["thread_id"] for thread in newest] == ["abc234"]

    table = library("threads", "list")
    assert (table.returncode, table.stderr) == (0, "")
    for text in ("abc123", "why is the sky blue?"):
        assert text in table.stdout


def test_a_thread_is_shown_whole(library: Chat) -> None:
    shown = library("threads", "show", "abc", "--json").json()
    assert (shown["thread_id"], shown["title"]) == ("abc", "why is the sky blue?")
    assert [(message["role"], message["content"]) for message in shown["messages"]] == [
        ("user", "why is the sky blue?"),
        ("assistant", "You said: why is the sky blue?"),
    ]
    text = library("threads", "show", "abc2").stdout
    for said in ("and the sun?", "You said: and the sun?", "really?", "You said: really?"):
        assert said in text


@pytest.mark.parametrize("prefix", ["ab", "nothing"])
def test_a_prefix_must_name_one_thread(library: Chat, prefix: str) -> None:
    assert_reported(library("threads", "show", prefix), 2)


def test_on_a_terminal_each_thread_is_on_one_line(chat: Chat, fake: FakeOpenAI, terminal: OpenTerminal) -> None:
    title = "\N{CJK UNIFIED IDEOGRAPH-6F22} and a long title about everything that there is to say " * 2
    names = ["0190d3f4-1111-7000-8000-000000000001", "0190d3f4-1122-7000-8000-000000000002", "short"]
    for name in names:
        assert chat("-t", name, "hello").returncode == 0
        assert chat("threads", "rename", name, title).returncode == 0
    window = terminal("threads", "list", size=(80, 24))
    assert window.exit_code() == 0
    lines = window.screen().splitlines()
    rows = [line for line in lines if "..." in line and "just now" in line]
    assert len(rows) == 3, lines
    shown = [line.split()[0] for line in rows]
    assert shown == ["short", "0190d3f4-112", "0190d3f4-111"]
    assert len(chat.messages(shown[1])) == 2
    wide = terminal("threads", "list", "--wide", size=(300, 24))
    assert wide.exit_code() == 0
    assert wide.screen().count(title[:100]) == 3
    assert "just now" not in wide.screen()
    assert chat("threads", "list").stdout.count(title.strip()) == 3


def test_a_long_name_of_a_model_is_whole_where_titles_are_short(
    chat: Chat, fake: FakeOpenAI, terminal: OpenTerminal
) -> None:
    model = "openai:gpt-fake-coder-7b"
    assert chat("-t", "0190d3f4", "-m", model, "why is the sky blue?").returncode == 0
    window = terminal("threads", "list", size=(80, 24))
    assert window.exit_code() == 0
    (row,) = (line.strip() for line in window.screen().splitlines() if "just now" in line)
    assert row == f"0190d3f4   why is the sky blue?   1       just now    {model}"


def test_an_empty_list_is_no_error(chat: Chat) -> None:
    listed = chat("threads", "list", "--json")
    assert (listed.returncode, listed.json(), listed.stderr) == (0, [], "")


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("threads list", "Threads: none"),
        ("threads search words", "no message has these words"),
        ("docs list", "Documents: none"),
        ("docs search words", "note: no documents are in the index; name some: --docs PATH"),
        ("docs search words --docs file.txt", "note: no passage has these words"),
        ("memory list", "nothing is remembered yet: chat memory add TEXT"),
        ("trust --list", "Trusted: none"),
        ("keys list", "Keys: none"),
    ],
)
def test_an_empty_list_says_so(command: str, told: str, chat: Chat, home: Home) -> None:
    (home.work / "file.txt").write_text("something else")
    listed = chat(*command.split())
    assert (listed.returncode, listed.stderr) == (0, f"{told}\n")


@pytest.mark.parametrize(
    ("command", "told"), [("threads list", "Threads\nnone"), ("threads search words", "no message has these words")]
)
def test_an_empty_list_says_so_at_a_terminal(command: str, told: str, terminal: OpenTerminal) -> None:
    shown = terminal(*command.split())
    assert shown.exit_code() == 0
    assert shown.text() == told


def test_no_save_leaves_nothing_behind(chat: Chat, fake: FakeOpenAI, home: Home) -> None:
    assert chat("--no-save", "-t", "secret", "hello").stdout == "You said: hello\n"
    assert home.files() == []


def test_what_is_written_is_readable_by_its_owner_alone(chat: Chat, fake: FakeOpenAI, home: Home) -> None:
    fake.script(Stall("private"))
    running = chat.start("--format", "jsonl", "-t", "diary", "hello")
    running.wait_for_output("text_delta")
    during = home.files()
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in during if path.exists()}
    running.signal(signal.SIGINT)
    running.finish()
    assert modes
    for path, mode in modes.items() | {(path, stat.S_IMODE(path.stat().st_mode)) for path in home.files()}:
        assert mode == 0o600, path
    for folder in home.root.rglob("chatcli"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700, folder


@pytest.mark.parametrize("thread_id", ["", "x" * 201, "a\nb", "a\x1b[31mb"])
def test_an_impossible_thread_id_is_refused(chat: Chat, fake: FakeOpenAI, thread_id: str) -> None:
    assert_reported(chat("-t", thread_id, "hello"), 2)
    assert fake.requests == []


@pytest.mark.parametrize("thread_id", ["x" * 200, "../../etc/passwd", "Grüße 世界", "' OR 1=1 --", "%"])
def test_any_other_text_names_a_thread(chat: Chat, fake: FakeOpenAI, home: Home, thread_id: str) -> None:
    chat("-t", thread_id, "one")
    result = chat("--json", "-t", thread_id, "two").json()
    assert (result["thread_id"], result["messages_in_thread"]) == (thread_id, 4)
    assert [path for path in home.root.parent.iterdir() if path != home.root] == []


def test_a_long_thread_is_sent_in_part_with_its_system_prompt_and_its_newest_messages(
    chat: Chat, fake: FakeOpenAI
) -> None:
    fake.default = Answer("word " * 100)
    chat("-t", "long", "-s", "Be brief.", "question 0 " + "word " * 100)
    for number in (1, 2):
        chat("-t", "long", f"question {number} " + "word " * 100)
    result = chat("--json", "-t", "long", "--context-tokens", "450", "question 3").json()
    sent = fake.requests[-1].messages
    assert sent[0] == ("system", "Be brief.")
    assert [role for role, _ in sent[1:]] == ["user", "assistant", "user"]
    assert sent[1][1].startswith("question 2")
    assert sent[-1] == ("user", "question 3")
    assert (result["messages_in_context"], result["messages_in_thread"]) == (len(sent), 8)


def test_the_system_prompt_stays_with_its_thread(chat: Chat, fake: FakeOpenAI) -> None:
    chat("-t", "pirate", "--system", "Talk like a pirate.", "hello")
    chat("-t", "pirate", "again")
    chat("-t", "other", "hello")
    assert fake.requests[1].messages[0] == ("system", "Talk like a pirate.")
    assert fake.requests[2].messages == [("user", "hello")]


def test_two_processes_on_one_thread_lose_nothing(chat: Chat, fake: FakeOpenAI) -> None:
    gate = Event()
    fake.script(Gated("slow", gate, " answer"))
    slow = chat.start("-t", "shared", "the slow question")
    fake.wait_for_requests(1)
    quick = chat.start("-t", "shared", "the quick question")
    with suppress(subprocess.TimeoutExpired):  # it may as well wait for the slow one
        quick.process.wait(4)
    gate.set()
    assert (slow.finish().returncode, quick.finish().returncode) == (0, 0)
    stored = [message["content"] for message in chat.messages("shared")]
    assert {"the slow question", "slow answer", "the quick question"} <= set(stored)
    assert len(stored) == 4


def test_many_processes_may_use_the_store_at_once(chat: Chat, fake: FakeOpenAI) -> None:
    running = [chat.start("-t", f"thread-{number}", f"question {number}") for number in range(3)]
    results = [process.finish(60) for process in running]
    assert [result.stdout for result in results] == [f"You said: question {number}\n" for number in range(3)]
    assert len(chat("threads", "list", "--json").json()) == 3
