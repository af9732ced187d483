"""A conversation written down: `--script FILE`."""

import signal

import pytest

from tests.e2e.checks import assert_reported
from tests.e2e.program import Chat
from tests.fakes.openai_server import FakeOpenAI
from tests.fakes.steps import Answer, Stall, bob, unknown_model

SESSION = "Hi! I'm Bob.\n\nWhat's my name?\n"


def test_a_script_is_one_conversation_with_its_sequencer(chat: Chat, fake: FakeOpenAI) -> None:
    fake.default = bob
    (chat.home.work / "questions.txt").write_text(SESSION)
    result = chat("--script", "questions.txt", "-t", "abc123")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == (
        "User: Hi! I'm Bob.\nAI: Your name is Bob.\nUser: What's my name?\nAI: Your name is Bob.\n"
    )
    assert len(chat.messages("abc123")) == 4


def test_a_script_comes_through_a_pipe(chat: Chat, fake: FakeOpenAI) -> None:
    result = chat("--script", "-", input=SESSION)
    assert result.returncode == 0, result
    assert [request.last for request in fake.requests] == ["Hi! I'm Bob.", "What's my name?"]
    assert len(fake.requests[1].messages) == 3


def test_json_is_one_object_a_turn(chat: Chat, fake: FakeOpenAI) -> None:
    turns = chat("--json", "--script", "-", input=SESSION).events()
    assert [turn["content"] for turn in turns] == ["You said: Hi! I'm Bob.", "You said: What's my name?"]
    assert turns[0]["thread_id"] == turns[1]["thread_id"]
    kinds = [event["type"] for event in chat("--format", "jsonl", "--script", "-", input=SESSION).events()]
    assert kinds.count("turn_finished") == 2


def test_a_script_stops_at_the_first_failure_and_says_where(chat: Chat, fake: FakeOpenAI) -> None:
    fake.script(Answer("One."), unknown_model())
    result = chat("--script", "-", "-t", "work", input="first\n\nsecond\nthird\n")
    assert result.returncode == 4, result
    assert result.stdout == "User: first\nAI: One.\nUser: second\n"
    assert "line 3" in result.stderr
    assert "work" in result.stderr
    assert len(fake.requests) == 2

    assert chat("--script", "-", "-t", "work", input="third\n").returncode == 0
    assert fake.requests[-1].messages[0] == ("user", "first")


def test_an_interrupted_script_asks_nothing_more(chat: Chat, fake: FakeOpenAI) -> None:
    (chat.home.work / "questions.txt").write_text("first\nsecond\n")
    fake.script(Stall("Half"))
    running = chat.start("--script", "questions.txt")
    running.wait_for_output("Half")
    running.signal(signal.SIGTERM)
    result = running.finish()
    assert result.returncode == 130, result
    assert len(fake.requests) == 1


def test_a_file_goes_along_with_the_first_line(chat: Chat, fake: FakeOpenAI) -> None:
    (chat.home.work / "notes.txt").write_text("the notes\n")
    chat("-f", "notes.txt", "--script", "-", input="one\ntwo\n")
    assert "the notes" in fake.requests[0].last
    assert fake.requests[1].last == "two"


@pytest.mark.parametrize(
    "args",
    [
        ("--script", "missing.txt"),
        ("--script", "-"),
        ("--script", "-", "a prompt"),
        ("--script", "-", "-i"),
        ("--script", "-", "-f", "-"),
    ],
)
def test_a_script_that_cannot_be_played_is_a_usage_error(chat: Chat, fake: FakeOpenAI, args: tuple[str, ...]) -> None:
    assert_reported(chat(*args, input=" \n" if args == ("--script", "-") else "hello\n"), 2)
    assert fake.requests == []
