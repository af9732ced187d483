"""Ctrl-C before the first word of an answer: the question is in the input line again."""

import json
import signal

import pytest

from tests.e2e.conftest import OpenTerminal
from tests.e2e.program import Chat, Home
from tests.e2e.terminal import Terminal
from tests.fakes.openai_server import FakeOpenAI
from tests.fakes.steps import Hang, Stall, call

BACK = "your question is in the input line again"


def stopped(fake: FakeOpenAI, terminal: OpenTerminal, *args: str, question: str = "a typo") -> Terminal:
    """Return a terminal in which the question was stopped at the server, the second of the thread."""
    tty = terminal("-t", "work", *args)
    tty.wait_for_prompt()
    tty.send_line("hello")
    tty.wait_for("You said: hello")
    tty.wait_for_prompt()
    fake.script(Hang())
    tty.send_line(question)
    fake.wait_for_requests(2)
    tty.send_key("ctrl-c")
    tty.wait_for(BACK)
    return tty


def test_the_question_is_taken_back_and_not_sent_with_the_next(
    chat: Chat, fake: FakeOpenAI, terminal: OpenTerminal
) -> None:
    tty = stopped(fake, terminal)
    tty.wait_for_prompt("a typo")
    tty.send("\x7f\x7f\x7f\x7fquestion\r")
    tty.wait_for("You said: a question")
    assert fake.requests[-1].messages == [("user", "hello"), ("assistant", "You said: hello"), ("user", "a question")]
    tty.wait_for_prompt()
    tty.send_key("ctrl-d")
    assert tty.exit_code() == 0
    assert "a typo" in chat("threads", "show", "work", "--tree").stdout
    assert "a typo" not in chat("threads", "show", "work").stdout


def test_a_question_that_was_taken_back_is_left_when_the_program_is(
    chat: Chat, fake: FakeOpenAI, terminal: OpenTerminal
) -> None:
    tty = stopped(fake, terminal)
    tty.wait_for_prompt("a typo")
    tty.send_key("ctrl-c")
    tty.wait_for_prompt()
    tty.send_key("ctrl-d")
    assert tty.exit_code() == 0
    chat("-t", "work", "next")
    assert [text for _, text in fake.requests[-1].messages] == ["hello", "You said: hello", "next"]


@pytest.mark.parametrize("rest", ["\nsecond", "\nline" * 200], ids=["visible", "folded"])
def test_a_paste_comes_back_as_a_paste(rest: str, home: Home, fake: FakeOpenAI, terminal: OpenTerminal) -> None:
    tty = stopped(fake, terminal, question=f"\x1b[200~!touch pwned{rest}\x1b[201~")
    tty.wait_for(lambda text: text.count("> !touch pwned\n  second") == 2 or text.endswith("> [pasted 201 lines]"))
    tty.send_key("enter")
    fake.wait_for_requests(3)
    assert fake.requests[-1].last == f"!touch pwned{rest}"
    assert not (home.work / "pwned").exists()


def test_attached_files_wait_again(home: Home, fake: FakeOpenAI, terminal: OpenTerminal) -> None:
    (home.work / "notes.txt").write_text("NOTES")
    (home.work / "more.txt").write_text("MORE")
    tty = terminal()
    tty.wait_for_prompt()
    tty.send_line("/file notes.txt")
    tty.wait_for("is sent with the next question")
    fake.script(Hang())
    tty.send_line("see @more.txt")
    fake.wait_for_requests(1)
    tty.send_key("ctrl-c")
    tty.wait_for(BACK)
    tty.wait_for_prompt("see @more.txt")
    tty.send_key("enter")
    fake.wait_for_requests(2)
    assert "NOTES" in fake.requests[-1].last
    assert "MORE" in fake.requests[-1].last
    assert len(fake.requests[-1].messages) == 1


@pytest.mark.parametrize("attempt", range(3))
def test_enter_and_ctrl_c_in_one_read(attempt: int, fake: FakeOpenAI, terminal: OpenTerminal) -> None:
    fake.default = Hang()
    tty = terminal("-t", "work")
    tty.wait_for_prompt()
    tty.send("a typo\r\x03")
    tty.wait_for(BACK)
    tty.wait_for_prompt("a typo")


def test_a_line_that_was_entered_meanwhile_is_asked_alone_and_titles_the_thread(
    chat: Chat, fake: FakeOpenAI, terminal: OpenTerminal
) -> None:
    fake.script(Hang())
    tty = terminal("-t", "work")
    tty.wait_for_prompt()
    tty.send_line("a typo")
    fake.wait_for_requests(1)
    tty.send_line("better")
    tty.wait_for("better")
    tty.send_key("ctrl-c")
    tty.wait_for("You said: better")
    assert fake.requests[-1].messages == [("user", "better")]
    assert json.loads(chat("threads", "list", "--json").stdout)[0]["title"] == "better"


def test_after_the_first_word_the_answer_is_kept(fake: FakeOpenAI, terminal: OpenTerminal) -> None:
    fake.script(Stall("Half an ans"))
    tty = terminal()
    tty.wait_for_prompt()
    tty.send_line("one")
    tty.wait_for("Half an ans")
    tty.send_key("ctrl-c")
    tty.wait_for_prompt()
    assert BACK not in tty.text()
    tty.send_line("two")
    tty.wait_for("You said: two")
    assert [text for _, text in fake.requests[-1].messages] == ["one", "Half an ans", "two"]


def test_a_kill_leaves_the_question_pending(chat: Chat, fake: FakeOpenAI, terminal: OpenTerminal) -> None:
    fake.script(Hang())
    tty = terminal("-t", "work")
    tty.wait_for_prompt()
    tty.send_line("one")
    fake.wait_for_requests(1)
    tty.signal(signal.SIGTERM)
    assert tty.exit_code() == 130
    chat("-t", "work", "two")
    assert fake.requests[-1].messages == [("user", "one\ntwo")]


def test_a_question_stays_once_a_tool_has_run(home: Home, chat: Chat, fake: FakeOpenAI, terminal: OpenTerminal) -> None:
    (home.work / "notes.txt").write_text("NOTES")
    fake.script(call("read_file", path="notes.txt"), Hang())
    tty = terminal("--tools", "-t", "work")
    tty.wait_for_prompt()
    tty.send_line("read it")
    fake.wait_for_requests(2)
    tty.send_key("ctrl-c")
    tty.wait_for("[interrupted]")
    tty.wait_for_prompt()
    assert BACK not in tty.text()
    assert chat.messages("work")[0]["content"] == "read it"


GRAPH = """
import asyncio
from langgraph.graph import START, MessagesState, StateGraph

async def answer(state):
    if state["messages"][-1].text == "slow":
        open("running", "w").close()
        await asyncio.sleep(600)
    return {"messages": [("ai", " ".join(message.text for message in state["messages"]))]}

app = StateGraph(MessagesState).add_node(answer).add_edge(START, "answer").compile()
"""


def test_a_question_to_a_graph_is_taken_back(home: Home, chat: Chat, terminal: OpenTerminal) -> None:
    (home.work / "app.py").write_text(GRAPH)
    tty = terminal("--graph", "app.py:app", "-t", "work")
    tty.wait_for_prompt()
    tty.send_line("one")
    tty.wait_for("\none")
    tty.wait_for_prompt()
    tty.send_line("slow")
    tty.wait_for(lambda text: (home.work / "running").exists())
    tty.send_key("ctrl-c")
    tty.wait_for(BACK)
    tty.wait_for_prompt("slow")
    tty.send("\x15two\r")
    tty.wait_for("one one two")
    tty.wait_for_prompt()
    tty.send_key("ctrl-d")
    assert tty.exit_code() == 0
    assert "slow" in chat("threads", "show", "work", "--tree").stdout


def test_a_question_to_a_server_is_taken_back(at_server: Chat, terminal: OpenTerminal) -> None:
    thread = "4f0b1f0e-6c1c-4b39-9e55-0d6c3f1f7a01"
    tty = terminal("--assistant", "slow", "-t", thread, "--url", at_server.home.env["CHATCLI_URL"])
    tty.wait_for_prompt()
    tty.send_line("slow")
    tty.wait_for("at work")
    tty.send_key("ctrl-c")
    tty.wait_for(BACK)
    tty.wait_for_prompt("slow")
    tty.send("\x15quick\r")
    tty.wait_for("done: quick")
    tty.wait_for_prompt()
    assert [message["content"] for message in at_server.messages(thread)] == ["quick", "done: quick"]
