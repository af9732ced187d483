"""A thread is forked and rewound like a git branch, and nothing is destroyed by it."""

import json

import pytest

from tests.e2e.conftest import OpenTerminal
from tests.e2e.program import Chat, Home
from tests.e2e.terminal import Terminal
from tests.fakes.openai_server import FakeOpenAI
from tests.fakes.steps import Request, Stall


def ask(tty: Terminal, fake: FakeOpenAI, question: str) -> None:
    count = len(fake.requests)
    tty.send_line(question)
    fake.wait_for_requests(count + 1)
    tty.wait_for_prompt()


def sent(request: Request) -> list[str]:
    return [text for role, text in request.messages if role == "user"]


def history(tty: Terminal) -> str:
    tty.send_line("/history")
    tty.wait_for(lambda text: "you are here" in text.rpartition("> /history")[2])
    return tty.text().rpartition("> /history")[2]


def test_undo_leaves_the_old_branch_where_it_can_be_gone_back_to(
    chat: Chat, fake: FakeOpenAI, terminal: OpenTerminal
) -> None:
    tty = terminal("-t", "tree")
    tty.wait_for_prompt()
    ask(tty, fake, "one")
    ask(tty, fake, "two")
    tty.send_line("/undo")
    tty.clear_prompt("two")
    ask(tty, fake, "three")
    assert sent(fake.requests[-1]) == ["one", "three"]
    shown = history(tty)
    assert "* is on the branch that goes on here" in shown
    assert "* 1" in shown
    assert "* 3" in shown
    assert "* 2" not in shown
    assert "two" in shown
    tty.send_line("/rewind 2")
    tty.wait_for_prompt()
    ask(tty, fake, "four")
    assert sent(fake.requests[-1]) == ["one", "two", "four"]
    assert [m["content"] for m in chat.messages("tree") if m["role"] == "user"] == ["one", "two", "four"]


def test_undoing_every_turn_leaves_an_empty_thread(fake: FakeOpenAI, terminal: OpenTerminal) -> None:
    tty = terminal("-t", "tree")
    tty.wait_for_prompt()
    ask(tty, fake, "one")
    ask(tty, fake, "two")
    tty.send_line("/undo 2")
    tty.wait_for_prompt("one")
    ask(tty, fake, " again")
    assert sent(fake.requests[-1]) == ["one again"]
    tty.send("/undo\rthree\r")  # entered before the prompt with the question
    fake.wait_for_requests(4)
    tty.wait_for_prompt()
    assert sent(fake.requests[-1]) == ["three"]
    tty.send_line("/undo 5")
    tty.wait_for("there is 1 turn to undo, not 5")
    assert "three" in history(tty)


def test_retry_and_edit_make_new_branches(fake: FakeOpenAI, terminal: OpenTerminal) -> None:
    tty = terminal("-t", "tree")
    tty.wait_for_prompt()
    ask(tty, fake, "one")
    ask(tty, fake, "two")
    ask(tty, fake, "/retry")
    assert sent(fake.requests[-1]) == ["one", "two"]
    tty.send_line("/edit 2")
    tty.wait_for_prompt("one")
    ask(tty, fake, ", but better")
    assert sent(fake.requests[-1]) == ["one, but better"]
    shown = history(tty)
    assert shown.count("two") == 2
    assert "one, but better" in shown


def test_a_question_without_an_answer_is_repeated_and_not_stored_twice(
    chat: Chat, fake: FakeOpenAI, terminal: OpenTerminal
) -> None:
    assert (
        chat(
            "-t", "tree", "-m", "openai:gpt-fake", "hello?", env={"OPENAI_BASE_URL": "http://127.0.0.1:9/v1"}
        ).returncode
        == 75
    )
    tty = terminal("-t", "tree")
    tty.wait_for("/retry asks it again")
    tty.wait_for_prompt()
    ask(tty, fake, "/retry")
    assert sent(fake.requests[-1]) == ["hello?"]
    assert [m["content"] for m in chat.messages("tree")] == ["hello?", "You said: hello?"]


def test_a_fork_is_a_thread_of_its_own(chat: Chat, fake: FakeOpenAI, terminal: OpenTerminal) -> None:
    tty = terminal("-t", "tree")
    tty.wait_for_prompt()
    ask(tty, fake, "one")
    tty.send_line("/fork branch")
    tty.wait_for("forked from tree")
    tty.wait_for_prompt()
    ask(tty, fake, "two")
    assert sent(fake.requests[-1]) == ["one", "two"]
    assert [m["content"] for m in chat.messages("tree") if m["role"] == "user"] == ["one"]
    assert [m["content"] for m in chat.messages("branch") if m["role"] == "user"] == ["one", "two"]


def test_threads_are_picked_renamed_and_deleted(chat: Chat, fake: FakeOpenAI, terminal: OpenTerminal) -> None:
    chat("-t", "aaa", "about apples")
    chat("-t", "bbb", "about bananas")
    tty = terminal("--resume")
    tty.wait_for("which thread?")
    tty.send_line("apples")
    tty.wait_for("You said: about apples")
    tty.wait_for_prompt()
    tty.send_line("/rename All about apples")
    tty.wait_for("renamed to")
    tty.send_line("/threads")
    tty.wait_for(lambda text: text.count("which thread?") >= 2)
    tty.send_line("bbb")
    tty.wait_for("You said: about bananas")
    tty.wait_for_prompt()
    tty.send_line("/delete")
    tty.wait_for("for ever? [y/N]")
    tty.send_line("n")
    tty.wait_for("nothing was changed")
    tty.wait_for_prompt()
    tty.send_line("/delete")
    tty.wait_for(lambda text: text.count("for ever? [y/N]") >= 2)
    tty.send_line("yes")
    tty.wait_for("deleted bbb")
    threads = json.loads(chat("threads", "list", "--json").stdout)
    assert [(thread["thread_id"], thread["title"]) for thread in threads] == [("aaa", "All about apples")]


@pytest.mark.parametrize("where", ["SQLite", "PostgreSQL"])
def test_a_thread_that_another_process_answers_on_is_not_deleted(
    where: str, chat: Chat, fake: FakeOpenAI, terminal: OpenTerminal, request: pytest.FixtureRequest
) -> None:
    if where == "PostgreSQL":
        chat.home.env["CHATCLI_STORE"] = request.getfixturevalue("postgres").new_database()
    chat("-t", "abc", "one")
    tty = terminal("-t", "abc")
    tty.wait_for_prompt()
    fake.script(Stall("half"))
    running = chat.start("--format", "jsonl", "-t", "abc", "more")
    running.wait_for_output("half")
    tty.send_line("/delete")
    tty.wait_for("for ever? [y/N]")
    tty.send_line("y")
    tty.wait_for("another chat is answering on thread 'abc'; nothing was deleted")
    for refused in (chat("threads", "delete", "abc"), chat("threads", "prune", "--older-than", "0d", "--yes")):
        assert refused.returncode == 5, refused
        assert "another chat is answering" in refused.stderr
    running.close()
    assert [thread["thread_id"] for thread in chat("threads", "list", "--json").json()] == ["abc"]
    tty.wait_for_prompt()
    tty.send_line("/delete yes")
    tty.wait_for("deleted abc")


@pytest.mark.parametrize("title", ["x" * 201, "a\x1b]0;b", "a\u202eb"])
def test_a_title_is_bounded_and_printable(title: str, chat: Chat, fake: FakeOpenAI, terminal: OpenTerminal) -> None:
    chat("-t", "abc", "one")
    refused = chat("threads", "rename", "abc", title)
    assert refused.returncode == 2
    assert "1 to 200 printable characters" in refused.stderr
    tty = terminal("-t", "abc")
    tty.wait_for_prompt()
    tty.send(f"/rename \x1b[200~{title}\x1b[201~\r")
    tty.wait_for("1 to 200 printable characters")
    (thread,) = chat("threads", "list", "--json").json()
    assert thread["title"] == "one"


def test_a_screen_reader_hears_a_list_to_pick_from(chat: Chat, fake: FakeOpenAI, terminal: OpenTerminal) -> None:
    chat("-t", "aaa", "about apples")
    tty = terminal("--resume", "--plain")
    tty.wait_for("which thread?")
    assert tty.text().index("about apples") < tty.text().index("which thread?")
    tty.send_line("apples")
    tty.wait_for("You said: about apples")


def test_a_thread_in_memory_is_saved_to_a_file(chat: Chat, fake: FakeOpenAI, terminal: OpenTerminal) -> None:
    tty = terminal("--no-save")
    tty.wait_for_prompt()
    tty.send_line("/save talk.md")
    tty.wait_for("was not written: there is no thread")
    ask(tty, fake, "one")
    tty.send_line("/save talk.md")
    tty.wait_for("saved to talk.md")
    assert "You said: one" in (chat.home.work / "talk.md").read_text()
    tty.send_line("/save talk.doc")
    tty.wait_for("ends in .md")


def test_save_asks_before_it_overwrites_a_file(home: Home, fake: FakeOpenAI, terminal: OpenTerminal) -> None:
    file = home.work / "my talk.md"
    file.write_text("older")
    tty = terminal()
    tty.wait_for_prompt()
    ask(tty, fake, "one")
    tty.wait_for_prompt()
    tty.send_line("/save my talk.md")
    tty.wait_for("my talk.md exists. Overwrite it? [y/N]")
    tty.send_line("")
    tty.wait_for("nothing was changed")
    tty.wait_for_prompt()
    assert file.read_text() == "older"
    tty.send_line("/save my talk.md")
    tty.wait_for(lambda text: text.count("Overwrite it? [y/N]") == 2)
    tty.send_line("y")
    tty.wait_for("saved to my talk.md")
    assert "You said: one" in file.read_text()
    file.with_name("folder.md").mkdir()
    tty.wait_for_prompt()
    tty.send_line("/save folder.md")
    tty.wait_for("folder.md was not written: folder.md is a folder")


def test_a_stopped_answer_belongs_to_its_turn(chat: Chat, fake: FakeOpenAI, terminal: OpenTerminal) -> None:
    fake.script(Stall("Half of an ans"))
    tty = terminal("-t", "tree")
    tty.wait_for_prompt()
    tty.send_line("one")
    tty.wait_for("Half of an ans")
    tty.send_key("ctrl-c")
    tty.wait_for_prompt()
    ask(tty, fake, "two")
    tty.send_line("/undo")
    tty.clear_prompt("two")
    ask(tty, fake, "three")
    assert sent(fake.requests[-1]) == ["one", "three"]
    assert [thread["turns"] for thread in chat("threads", "list", "--json").json()] == [2]
