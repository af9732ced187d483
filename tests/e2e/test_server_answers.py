"""`--url` and apps without messages: what `test_graph_answers.py` tests of graphs that run here."""

import json
import secrets
import signal
from collections.abc import Callable
from typing import Any

import pytest

from tests.e2e.checks import valid, valid_events
from tests.e2e.conftest import OpenTerminal
from tests.e2e.program import Chat, Result
from tests.langgraph_server import OtherProgram


@pytest.fixture
def thread() -> str:
    """Give the name of a thread that no other test uses: the server is shared."""
    return f"answers-{secrets.token_hex(4)}"


def app(name: str) -> tuple[str, str]:
    return "--assistant", name


def ok(result: Result) -> Result:
    assert result.returncode == 0, result
    return result


def answer(result: Result) -> Any:
    found = ok(result).json()
    valid("answer", found)
    return found


def contents(chat: Chat, thread: str) -> list[str]:
    return [message["content"] for message in chat.messages(thread)]


def test_a_thread_keeps_the_questions_and_answers(at_server: Chat, other: OtherProgram, thread: str) -> None:
    word = secrets.token_hex(4)
    first = at_server(*app("question_answer"), "-t", thread, "--json", f"hi {word}")
    assert (answer(first)["content"], first.stderr) == (f"You said: hi {word}", "searching\n")
    again = answer(at_server("-t", thread, "--json", "more"))  # another process, and the app of the thread
    assert (again["content"], again["messages_in_thread"]) == ("You said: more", 4)
    assert again["output"]["documents"][0]["metadata"] == {"source": "sky.md"}
    said = [f"hi {word}", f"You said: hi {word}", "more", "You said: more"]
    assert contents(at_server, thread) == said

    [listed] = [row for row in at_server("threads", "list", "--json").json() if row["thread_id"] == thread]
    assert (listed["title"], listed["turns"], listed["model"]) == (f"hi {word}", 2, "langgraph:question_answer")
    found = json.loads(ok(at_server("threads", "search", word, "--json")).stdout)
    assert {match["thread_id"] for match in found} == {thread}
    assert "You said: more" in ok(at_server("threads", "export", thread)).stdout
    assert ok(at_server("threads", "show", thread, "--state", "--json")).json()["state"]["question"] == "more"

    copy, beginning = f"{thread}-copy", f"{thread}-beginning"
    ok(at_server("threads", "fork", thread, copy))
    ok(at_server("threads", "fork", thread, beginning, "--at", answer(first)["checkpoint_id"]))
    ok(at_server("threads", "delete", thread))
    assert contents(at_server, copy) == said
    assert ok(at_server("-t", beginning, "other")).stdout == "You said: other\n"
    assert contents(at_server, beginning) == [*said[:2], "other", "You said: other"]
    ok(at_server("threads", "delete", copy, beginning))
    assert word not in json.dumps(other.client.store.search_items(["chatcli"], limit=1000)["items"])


def test_an_entrypoint_takes_what_its_type_hint_asks_for(at_server: Chat, thread: str) -> None:
    events = ok(at_server(*app("text"), "-t", thread, "--format", "jsonl", "hi")).events()
    valid_events(events)
    pieces = [event["text"] for event in events if event["type"] == "text_delta"]
    assert "".join(pieces) == events[-1]["content"] == "You said: hi"
    assert "output" not in answer(at_server("-t", thread, "--json", "more"))
    assert contents(at_server, thread) == ["hi", "You said: hi", "more", "You said: more"]

    assert ok(at_server(*app("untyped"), "hi")).stdout == "got 'hi'\n"
    assert ok(at_server(*app("number"), "41")).stdout == "42\n"
    assert ok(at_server(*app("counted"), "a b")).stdout == '{"words": 2}\n'
    refused = at_server(*app("number"), "-t", f"{thread}-no", "many")
    assert (refused.returncode, "takes int" in refused.stderr) == (2, True)
    assert at_server("threads", "show", f"{thread}-no").returncode == 2  # nothing is stored
    refused = at_server(*app("one_key"), "hi")
    assert (refused.returncode, "--input-key KEY" in refused.stderr) == (2, True)
    assert ok(at_server(*app("one_key"), "--input-key", "question", "hi")).stdout == "You said: hi\n"
    for message in ("message 1\n", "message 3\n"):  # the server itself remembers what was said
        assert ok(at_server(*app("chatbot"), "-t", f"{thread}-chat", "hi")).stdout == message
    assert contents(at_server, f"{thread}-chat") == ["hi", "message 1", "hi", "message 3"]


def test_keys_and_values_are_given_by_options_and_remembered(at_server: Chat, thread: str) -> None:
    refused = at_server(*app("joke"), "cats")
    assert (refused.returncode, "Name the field that takes the question: --input-key" in refused.stderr) == (2, True)
    for option in ("--input-key", "--output-key"):
        wrong = at_server(*app("joke"), "--input-key", "animal", "--output-key", "joke", option, "nothing", "cats")
        assert (wrong.returncode, "has no field nothing; it has: animal" in wrong.stderr) == (2, True)
    keys = ("--input-key", "animal", "--output-key", "joke", "--input", "audience=kids")
    assert ok(at_server(*app("joke"), *keys, "-t", thread, "cats")).stdout == "cats for kids\n"
    assert ok(at_server("-t", thread, "dogs")).stdout == "dogs for kids\n"
    refused = at_server("-t", thread, "--input", "animal=cow", "dogs")
    assert (refused.returncode, "takes the question" in refused.stderr) == (2, True)


def test_an_app_that_waits_is_answered_by_another_process(at_server: Chat, thread: str) -> None:
    asked = answer(at_server(*app("reviewed"), "-t", thread, "--json", "cats"))
    assert asked["finish_reason"] == "interrupt"
    assert asked["approvals"][0]["payload"] == {"review": "You said: cats"}
    assert contents(at_server, thread) == ["cats"]
    assert at_server("-t", thread, "dogs").returncode == 2
    done = answer(at_server("-t", thread, "--resume-with", "yes", "--json"))
    assert done["output"] == {"essay": "You said: cats", "approved": "yes"}
    assert [json.loads(text) if "{" in text else text for text in contents(at_server, thread)] == [
        "cats",
        done["output"],
    ]


def test_such_an_app_stops_at_its_breakpoints(at_server: Chat, thread: str) -> None:
    stopped = answer(at_server(*app("data"), "-t", thread, "--json", "hi"))
    assert (stopped["content"], stopped["finish_reason"]) == ("", "breakpoint")
    assert answer(at_server("-t", thread, "--resume-with", "null", "--json"))["finish_reason"] == "breakpoint"
    assert ok(at_server("-t", thread, "--resume-with", "null")).stdout == "You said: hi\n"
    assert contents(at_server, thread) == ["hi", "You said: hi"]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGKILL, -9), (signal.SIGINT, 130)])
def test_the_question_of_a_run_that_is_stopped_stays(
    at_server: Chat, other: OtherProgram, thread: str, number: signal.Signals, code: int
) -> None:
    running = at_server.start(*app("slow"), "-t", thread, "--format", "jsonl", "slow")
    running.wait_for_output("at work")
    running.signal(number)
    assert running.finish().returncode == code
    assert contents(at_server, thread) == ["slow"]
    if number == signal.SIGKILL:  # its run goes on for a minute, and the next one would wait for it
        [row] = other.client.threads.search(metadata={"chatcli_thread": thread})
        [run] = other.client.runs.list(row["thread_id"], status="running")
        other.client.runs.cancel(row["thread_id"], run["run_id"], wait=True)
    assert ok(at_server("-t", thread, "quick")).stdout == "done: quick\n"
    assert contents(at_server, thread) == ["slow", "quick", "done: quick"]


def test_what_had_arrived_of_an_answer_is_kept(at_server: Chat, thread: str) -> None:
    running = at_server.start(*app("slow"), "-t", thread, "--format", "jsonl", "aloud")
    running.wait_for_output("text_delta")
    running.signal(signal.SIGINT)
    assert running.finish().returncode == 130
    asked, partial = at_server.messages(thread)
    assert (asked["content"], partial["interrupted"]) == ("aloud", True)
    assert partial["content"].startswith("w")
    assert ok(at_server("-t", thread, "quick")).stdout == "done: quick\n"
    assert len(contents(at_server, thread)) == 4


def test_a_question_whose_run_never_began_is_not_kept(at_server: Chat, other: OtherProgram, thread: str) -> None:
    ok(at_server(*app("slow"), "-t", thread, "quick"))
    [row] = other.client.threads.search(metadata={"chatcli_thread": thread})
    text: Any = "slow"
    run = other.client.runs.create(row["thread_id"], "slow", input=text)
    waiting = at_server.start("-t", thread, "--format", "jsonl", "later")
    waiting.wait_for_output("waiting for it")
    waiting.signal(signal.SIGINT)
    assert waiting.finish().returncode == 130
    other.client.runs.cancel(row["thread_id"], run["run_id"], wait=True)
    assert contents(at_server, thread) == ["quick", "done: quick"]
    assert ok(at_server("-t", thread, "again")).stdout == "done: again\n"
    assert contents(at_server, thread) == ["quick", "done: quick", "again", "done: again"]


def test_the_question_of_a_run_that_fails_stays(at_server: Chat, thread: str) -> None:
    failed = at_server(*app("slow"), "-t", thread, "fail")
    assert (failed.returncode, "ValueError: not this one" in failed.stderr) == (1, True)
    assert contents(at_server, thread) == ["fail"]


def test_branches_of_a_conversation(at_server: Chat, terminal: OpenTerminal, thread: str) -> None:
    tty = terminal(*app("counting"), "-t", thread, "--url", at_server.home.env["CHATCLI_URL"])

    def send(line: str, shown: str | Callable[[str], bool] = "") -> None:
        tty.wait_for_prompt()
        tty.send_line(line)
        tty.wait_for(shown)

    send("a", "so far: a")
    send("b", "so far: a, b")
    send("/undo")
    tty.clear_prompt("b")
    send("c", "so far: a, c")
    send("/retry", lambda text: text.count("so far: a, c") == 2)
    send("/history", "you are here")
    send(f"/fork {thread}-copy", "forked from")
    send("d", "so far: a, c, d")
    send("/rewind 1")
    send("e", "so far: a, e")
    assert contents(at_server, thread) == ["a", "so far: a", "c", "so far: a, c"]
    assert contents(at_server, f"{thread}-copy") == ["a", "so far: a", "e", "so far: a, e"]
    send("/undo 2")
    tty.clear_prompt("a")
    send("f", "so far: f")
    tty.wait_for_prompt()
    assert contents(at_server, f"{thread}-copy") == ["f", "so far: f"]
    [listed] = [row for row in at_server("threads", "list", "--json").json() if row["thread_id"] == f"{thread}-copy"]
    assert (listed["title"], listed["turns"]) == ("f", 1)


def test_the_state_is_edited_between_two_questions(at_server: Chat, terminal: OpenTerminal, thread: str) -> None:
    tty = terminal(*app("counted"), "-t", thread, "--url", at_server.home.env["CHATCLI_URL"])
    for line, shown in (
        ("one", '{"words": 1}'),
        ('/state answer={"words": 9}', 'answer is now {"words": 9}'),
        ("/undo", ""),  # only the edit: the line after it is empty
        ("two words", '{"words": 2}'),
    ):
        tty.wait_for_prompt()
        tty.send_line(line)
        tty.wait_for(shown)
    tty.wait_for_prompt()
    assert contents(at_server, thread) == ["one", '{"words": 1}', "two words", '{"words": 2}']


def test_a_question_that_was_stopped_is_asked_again(at_server: Chat, terminal: OpenTerminal, thread: str) -> None:
    failed = at_server(*app("slow"), "-t", thread, "fail")
    assert failed.returncode == 1
    tty = terminal("-t", thread, "--url", at_server.home.env["CHATCLI_URL"])
    tty.wait_for_prompt()
    tty.send_line("/retry")
    tty.wait_for("ValueError: not this one")
    tty.wait_for_prompt()
    tty.send_line("next")
    tty.wait_for("done: next")
    tty.wait_for_prompt()
    tty.send_line("/undo")
    tty.clear_prompt("next")
    tty.send_line("other")
    tty.wait_for("done: other")
    tty.wait_for_prompt()
    assert contents(at_server, thread) == ["fail", "other", "done: other"]


def test_an_app_may_have_messages_that_are_its_own(at_server: Chat, thread: str) -> None:
    # Named, since the server can't describe every input: it may know the state alone, which has messages.
    keys = ("--input-key", "topic", "--output-key", "info", "--input", 'fields={"a": 1}')
    found = answer(at_server(*app("research"), *keys, "-t", thread, "--json", "cats"))
    assert json.loads(found["content"]) == {"about": "cats"}
    assert contents(at_server, thread) == ["cats", '{"about": "cats"}']


def test_a_structured_response_is_the_answer_where_there_is_no_text(at_server: Chat, thread: str) -> None:
    found = answer(at_server(*app("contact"), "-t", thread, "--json", "Bob"))
    assert (json.loads(found["content"]), found["finish_reason"]) == ({"name": "Bob"}, "stop")
    assert answer(at_server("-t", thread, "--json", "Eve"))["content"] == '{"name": "Eve"}'
    assert contents(at_server, thread)[-1] == '{"name": "Eve"}'

    first = answer(at_server(*app("structured"), "-t", f"{thread}-old", "--json", "hi"))
    assert (first["content"], first["output"]) == ('{"asked": "hi"}', {"structured_response": {"asked": "hi"}})
    talk = answer(at_server("-t", f"{thread}-old", "--json", "talk"))
    assert (talk["content"], "output" in talk) == ("just talk", False)
