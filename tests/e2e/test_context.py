"""What is sent: trimmed, shown, summed up, and tried again smaller."""

import re

import pytest

from tests.e2e.checks import assert_reported
from tests.e2e.conftest import OpenTerminal
from tests.e2e.program import Chat
from tests.fakes.openai_server import FakeOpenAI
from tests.fakes.steps import Answer, Drop, Fail, Request, TokenCount, bob, content_filtered, context_too_long


def test_trimming_forgets_the_name_but_keeps_the_maths_and_says_so_once(chat: Chat, fake: FakeOpenAI) -> None:
    fake.default = Answer("Fine.")
    lines = ["Hi! I'm Bob.", "I like vanilla ice cream.", "What is 2 + 2?", "Thanks.", "Having fun?"]
    results = [chat("-t", "t", "--context-tokens", "65", line) for line in lines]
    fake.default = bob
    name = chat("-t", "t", "--context-tokens", "65", "What is my name?")
    assert name.stdout == "I don't know your name.\n"
    maths = chat("-t", "t", "--context-tokens", "65", "What maths problem did I ask?")
    assert any("2 + 2" in text for _, text in fake.requests[-2].messages), fake.requests[-2].messages
    assert sum("no longer sent" in result.stderr for result in [*results, name, maths]) == 1


def test_a_question_too_large_by_itself_is_refused_with_sizes(chat: Chat, fake: FakeOpenAI) -> None:
    result = chat("--context-tokens", "50", "word " * 400)
    assert_reported(result, 4)
    assert "50" in result.stderr
    assert not fake.requests


def test_an_overflow_is_tried_once_more_with_less(chat: Chat, fake: FakeOpenAI) -> None:
    for number in range(4):
        assert chat("-t", "t", f"question {number} " + "word " * 50).returncode == 0
    fake.script(context_too_long())
    assert chat("-t", "t", "the last question").returncode == 0
    refused, sent = fake.requests[-2:]
    assert len(sent.messages) < len(refused.messages)
    assert sent.last == "the last question"
    fake.default = context_too_long()
    count = len(fake.requests)
    assert_reported(chat("-t", "t", "another"), 4)
    assert len(fake.requests) == count + 2


def test_compact_sends_a_summary_and_the_thread_keeps_its_messages(
    terminal: OpenTerminal, chat: Chat, fake: FakeOpenAI
) -> None:
    for line in ("Hi! I'm Bob.", "I like tea.", "And coffee."):
        assert chat("-t", "t", line).returncode == 0
    fake.default = Answer("The user is called Bob.")
    tty = terminal("-t", "t")
    tty.wait_for_prompt()
    tty.send_line("/compact")
    tty.wait_for("The user is called Bob.")
    tty.send_line("/context")
    tty.wait_for("2 sent as a summary")
    tty.send_line("Who am I?")
    fake.wait_for_requests(5)
    sent = fake.requests[-1].messages
    assert "The user is called Bob." in sent[0][1]
    assert not any("I'm Bob" in text for _, text in sent)
    tty.wait_for_prompt()
    assert chat.messages("t")[0]["content"] == "Hi! I'm Bob."
    tty.send_line("/history")
    tty.wait_for("Hi! I'm Bob.")
    tty.send_line("/exit")
    # Another process goes on with the summary.
    assert chat("-t", "t", "And now?").returncode == 0
    assert "The user is called Bob." in fake.requests[-1].messages[0][1]
    tty = terminal("-t", "t")
    for count, line in enumerate(("/undo", "Who?", "/rewind 3", "Who now?"), 13):
        tty.wait_for_prompt("And now?" if line == "Who?" else "")
        tty.send_line("\x15" + line)
        fake.wait_for_requests(count // 2)
    tty.wait_for_prompt()
    behind_the_summary, before_it = fake.requests[-2:]
    assert "The user is called Bob." in behind_the_summary.messages[0][1]
    assert any("I'm Bob" in text for _, text in before_it.messages)


def test_automatic_compaction(chat: Chat, fake: FakeOpenAI) -> None:
    def answer(request: Request) -> Answer:
        return Answer("SUMMARY" if "Summarise" in request.messages[0][1] else "Fine.")

    fake.default = answer
    for number in range(6):
        result = chat("-t", "t", "--context-tokens", "120", "--auto-compact", f"question {number} " + "word " * 15)
        assert result.stdout == "Fine.\n", result
    assert any("SUMMARY" in text for _, text in fake.requests[-1].messages)


@pytest.mark.parametrize(
    ("summary", "told"),
    [
        (Answer(""), "no summary was made"),
        (content_filtered(), "no summary was made"),
        (Answer("A long story. " * 100), "as a summary"),
    ],
    ids=["none", "refused", "too long"],
)
def test_a_poor_summary_does_not_cost_the_question(
    chat: Chat, fake: FakeOpenAI, summary: Answer | Fail, told: str
) -> None:
    fake.default = lambda request: summary if "Summarise" in request.messages[0][1] else Answer("Fine.")
    for number in range(3):
        assert chat("-t", "t", f"question {number} " + "word " * 30).returncode == 0
    result = chat("-t", "t", "--context-tokens", "120", "--auto-compact", "And now?")
    assert result.stdout == "Fine.\n", result
    assert told in result.stderr
    assert fake.requests[-1].last == "And now?"


def test_a_summary_that_breaks_off_is_none(chat: Chat, fake: FakeOpenAI) -> None:
    for number in range(3):
        assert chat("-t", "t", f"question {number} " + "word " * 30).returncode == 0
    fake.script(Drop("Half a summ", "end"))
    compacting = ("-t", "t", "--context-tokens", "120", "--auto-compact")
    assert_reported(chat(*compacting, "And now?"), 75)
    fake.default = Answer("Whole.")
    assert chat(*compacting, "And now?").returncode == 0
    assert "Half" not in fake.requests[-1].messages[0][1]


def test_what_a_server_adds_to_a_short_question_is_not_taken_for_its_length(chat: Chat, fake: FakeOpenAI) -> None:
    fake.default = Answer("Fine.", usage=TokenCount(70, 3))  # a chat template's
    result = chat("--script", "-", "--context-tokens", "1000", input="hi\n" + "word " * 300)
    assert result.returncode == 0, result


def test_the_context_is_shown_in_numbers(chat: Chat, fake: FakeOpenAI) -> None:
    finished = chat("--format", "jsonl", "--context-tokens", "500", "hello").events()[-1]
    assert 0 < finished["context_tokens"] < 500
    assert finished["context_budget"] == 500


def test_a_joke_arrives_token_by_token(chat: Chat, fake: FakeOpenAI) -> None:
    fake.default = Answer("Why did the parrot wear a raincoat? To be polyunsaturated.", chunks=6, delay=0.2)
    events = chat("--format", "jsonl", "Tell me a joke.").events()
    assert len([event for event in events if event["type"] == "text_delta"]) >= 5


@pytest.mark.parametrize("refusal", [content_filtered(), context_too_long()], ids=["filtered", "too long"])
def test_a_question_that_is_refused_again_does_not_spoil_the_next_ones(
    chat: Chat, fake: FakeOpenAI, refusal: Fail
) -> None:
    def answer(request: Request) -> Answer | Fail:
        return refusal if any("bomb" in text for _, text in request.messages) else Answer("Fine.")

    fake.default = answer
    assert chat("-t", "t", "hello").returncode == 0
    assert chat("-t", "t", "a bomb").returncode == 4
    flowers = chat("-t", "t", "flowers")
    assert flowers.stdout == "Fine.\n", flowers
    assert "no longer sent" in flowers.stderr
    count = len(fake.requests)
    assert chat("-t", "t", "and bees").stderr == ""
    assert len(fake.requests) == count + 1
    assert [text for role, text in fake.requests[-1].messages if role == "user"] == ["hello", "flowers", "and bees"]
    assert [message["content"] for message in chat.messages("t")][2:4] == ["a bomb", "flowers"]


def test_what_takes_the_room_of_a_question_is_reported(chat: Chat, fake: FakeOpenAI) -> None:
    result = chat("--tools", "--context-tokens", "100", "-s", "Be brief.", "What time is it?")
    assert_reported(result, 4)
    told = r"the question takes about \d+ tokens, the system prompt \d+, the tools \d+, and the limit of .* is 100"
    assert re.search(told, result.stderr), result
    assert fake.requests == []
