"""Graphs without messages: functional entrypoints, question/answer schemas, and answers that are no text."""

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.checks import assert_reported, valid, valid_events
from tests.e2e.conftest import OpenTerminal
from tests.e2e.program import Chat, Result

ANSWERS = Path(__file__).parent.parent / "sample_graphs" / "answers.py"


def spec(name: str) -> tuple[str, str]:
    return "--graph", f"{ANSWERS}:{name}"


def ok(result: Result) -> Result:
    assert result.returncode == 0, result
    return result


def answer(result: Result) -> Any:
    found = ok(result).json()
    valid("answer", found)
    return found


def contents(chat: Chat, thread: str) -> list[str]:
    return [message["content"] for message in chat.messages(thread)]


def test_a_graph_that_exits_is_a_failure_with_a_reason(chat: Chat, tmp_path: Path) -> None:
    path = tmp_path / "leaving.py"
    path.write_text("import sys\n\ndef reply(message: str, history: list) -> str:\n    sys.exit(3)\n")
    done = chat("--graph", f"{path}:reply", "-t", "kept", "hi")
    assert_reported(done, 1)
    assert "ended the program by sys.exit(3)" in done.stderr
    assert contents(chat, "kept") == ["hi"]


def test_an_entrypoint_takes_the_question_and_returns_the_answer(chat: Chat) -> None:
    assert ok(chat(*spec("text"), "-t", "t", "hi")).stdout == "You said: hi\n"
    again = answer(chat("-t", "t", "--json", "more"))
    assert (again["content"], again["messages_in_thread"], "output" in again) == ("You said: more", 4, False)
    assert contents(chat, "t") == ["hi", "You said: hi", "more", "You said: more"]
    assert json.loads(ok(chat("threads", "search", "more", "--json")).stdout)[0]["thread_id"] == "t"
    [listed] = json.loads(ok(chat("threads", "list", "--json")).stdout)
    assert (listed["title"], listed["turns"]) == ("hi", 2)
    assert "You said: more" in ok(chat("threads", "export", "t")).stdout

    events = ok(chat(*spec("text"), "--format", "jsonl", "hi")).events()
    valid_events(events)
    pieces = [event["text"] for event in events if event["type"] == "text_delta"]
    assert "".join(pieces) == events[-1]["content"] == "You said: hi"
    assert ok(chat(*spec("untyped"), "hi")).stdout == "got 'hi'\n"


def test_an_entrypoint_gets_what_its_type_hints_ask_for(chat: Chat) -> None:
    refused = chat(*spec("one_key"), "hi")
    assert (refused.returncode, "--input-key KEY" in refused.stderr) == (2, True)
    assert ok(chat(*spec("one_key"), "--input-key", "question", "-t", "t", "hi")).stdout == "You said: hi\n"
    assert ok(chat("-t", "t", "more")).stdout == "You said: more\n"  # the thread remembers the key

    missing = chat(*spec("essay"), "cats")
    assert (missing.returncode, "needs the field length" in missing.stderr) == (2, True)
    essay = answer(chat(*spec("essay"), "--input", "length=3", "--json", "cats"))
    assert (essay["content"], essay["output"]) == ("cats in 3 words", {"essay": "cats in 3 words", "score": 0.5})

    model = answer(chat(*spec("model"), "--json", "hi"))
    assert (model["content"], model["output"]["sources"]) == ("You said: hi", ["a.md"])
    ok(chat(*spec("model"), "-t", "polite", "--input", "polite=true", "hi"))
    # The object is built in another process: the store holds no class of the user graph.
    assert answer(chat("-t", "polite", "--resume-with", "yes", "--json"))["content"] == "You said: hi"

    assert ok(chat(*spec("number"), "41")).stdout == "42\n"
    refused = chat(*spec("number"), "-t", "no", "many")
    assert (refused.returncode, "takes int" in refused.stderr) == (2, True)
    assert chat("threads", "show", "no").returncode == 2  # nothing is stored
    refused = chat(*spec("text"), "--input-key", "question", "hi")
    assert (refused.returncode, "has no key question" in refused.stderr) == (2, True)


def test_a_conversation_of_an_entrypoint_is_whole(chat: Chat) -> None:
    for name in ("chatbot", "stateless"):
        assert ok(chat(*spec(name), "-t", name, "hi")).stdout == "message 1\n"
        assert ok(chat("-t", name, "more")).stdout == "message 3\n"
        assert contents(chat, name) == ["hi", "message 1", "more", "message 3"]


def test_branches_of_an_entrypoint_keep_what_it_remembers(chat: Chat, terminal: OpenTerminal) -> None:
    tty = terminal(*spec("counting"), "-t", "t")
    for line, shown in (("a", "so far: a"), ("b", "so far: a, b"), ("/undo", ""), ("c", "so far: a, c")):
        tty.clear_prompt("b" if line == "c" else "")
        tty.send_line(line)
        tty.wait_for(shown)
    tty.wait_for_prompt()
    tty.send_line("/retry")
    tty.wait_for(lambda text: text.count("so far: a, c") == 2)
    tty.wait_for_prompt()
    tty.send_line("/fork copy")
    tty.wait_for("forked from t")
    tty.wait_for_prompt()
    tty.send_line("d")
    tty.wait_for("so far: a, c, d")
    tty.wait_for_prompt()
    tty.send_line("/rewind 1")
    tty.wait_for_prompt()
    tty.send_line("e")
    tty.wait_for("so far: a, e")
    assert contents(chat, "t") == ["a", "so far: a", "c", "so far: a, c"]


def test_an_entrypoint_that_waits_is_answered_by_another_process(chat: Chat) -> None:
    asked = answer(chat(*spec("reviewed"), "-t", "t", "--json", "cats"))
    assert asked["finish_reason"] == "interrupt"
    assert asked["approvals"][0]["payload"] == {"review": "You said: cats"}
    assert contents(chat, "t") == ["cats"]
    assert chat("-t", "t", "dogs").returncode == 2
    done = answer(chat("-t", "t", "--resume-with", "yes", "--json"))
    assert done["output"] == {"essay": "You said: cats", "approved": "yes"}
    assert json.loads(done["content"]) == done["output"]
    assert len(contents(chat, "t")) == 2


def test_the_question_of_an_entrypoint_that_is_killed_or_fails_stays(chat: Chat) -> None:
    for number, code in ((signal.SIGKILL, -9), (signal.SIGINT, 130)):
        running = chat.start(*spec("slow"), "-t", number.name, "--format", "jsonl", "slow")
        running.wait_for_output("at work")
        running.signal(number)
        assert running.finish().returncode == code
        assert contents(chat, number.name) == ["slow"]
        assert ok(chat("-t", number.name, "quick")).stdout == "done: quick\n"
        assert contents(chat, number.name) == ["slow", "quick", "done: quick"]
    failed = chat(*spec("slow"), "-t", "f", "fail")
    assert (failed.returncode, "ValueError: not this one" in failed.stderr) == (1, True)
    assert contents(chat, "f") == ["fail"]


@pytest.mark.parametrize("name", ["killed", "killed_entrypoint"])
def test_an_answer_is_kept_when_the_process_is_killed_before_it_is_stored(chat: Chat, name: str) -> None:
    running = chat.start(*spec(name), "-t", "t", "hi", env={"KILL": "1"})
    assert running.finish().returncode == -signal.SIGKILL
    assert contents(chat, "t") == ["hi"]
    assert ok(chat("-t", "t", "more")).stdout == "You said: more\n"
    assert contents(chat, "t") == ["hi", "You said: hi", "more", "You said: more"]
    assert answer(chat("-t", "t", "--json", "again"))["messages_in_thread"] == 6
    [listed] = json.loads(ok(chat("threads", "list", "--json")).stdout)
    assert (listed["title"], listed["turns"]) == ("hi", 3)


def test_an_edit_of_the_state_is_no_answer(chat: Chat, terminal: OpenTerminal) -> None:
    ok(chat(*spec("killed"), "-t", "t", "hi"))
    tty = terminal("-t", "t")
    tty.wait_for_prompt()
    tty.send_line("/state answer=mine")
    tty.wait_for("answer is now mine")
    tty.wait_for_prompt()
    tty.send_line("more")
    tty.wait_for("You said: more")
    tty.wait_for_prompt()
    assert contents(chat, "t") == ["hi", "You said: hi", "more", "You said: more"]


def test_a_question_and_an_answer_are_found_in_the_schemas(chat: Chat) -> None:
    result = chat(*spec("question_answer"), "-t", "t", "--json", "hi")
    found = answer(result)
    assert found["content"] == "You said: hi"
    assert found["output"]["documents"][0]["metadata"] == {"source": "sky.md"}
    assert result.stderr == "searching\n"
    assert answer(chat("-t", "t", "--json", "more"))["messages_in_thread"] == 4
    assert contents(chat, "t") == ["hi", "You said: hi", "more", "You said: more"]

    assert ok(chat(*spec("template"), "hi")).stdout == "output from hi\n"
    assert ok(chat(*spec("summary"), "hi")).stdout == "1 messages\n"
    assert contents(chat, "t")[0] == "hi"


def test_fields_without_a_usual_name_are_named_by_options(chat: Chat) -> None:
    refused = chat(*spec("joke"), "cats")
    assert refused.returncode == 2
    assert "it holds: animal, audience, better, joke\nName the field that takes the question: --input-key" in (
        refused.stderr
    )
    refused = chat(*spec("joke"), "--input-key", "animal", "cats")
    assert (refused.returncode, "--output-key" in refused.stderr) == (2, True)
    for option in ("--input-key", "--output-key"):
        wrong = chat(*spec("joke"), "--input-key", "animal", "--output-key", "joke", option, "nothing", "cats")
        assert (wrong.returncode, "has no field nothing; it has: animal" in wrong.stderr) == (2, True)
    keys = ("--input-key", "animal", "--output-key", "joke", "--input", "audience=kids")
    assert ok(chat(*spec("joke"), *keys, "-t", "t", "cats")).stdout == "cats for kids\n"
    assert ok(chat("-t", "t", "dogs")).stdout == "dogs for kids\n"
    env = {"CHATCLI_INPUT_KEY": "animal", "CHATCLI_OUTPUT_KEY": "better"}
    assert ok(chat(*spec("joke"), "--input", "audience=kids", "cats", env=env)).stdout == "a better one\n"
    refused = chat("-m", "openai:x", "--input-key", "animal", "hi")
    assert (refused.returncode, "--input-key has no effect" in refused.stderr) == (2, True)


def test_a_program_gets_the_answer_alone_and_a_terminal_all_that_is_written(chat: Chat, terminal: OpenTerminal) -> None:
    assert ok(chat(*spec("rag"), "sky")).stdout == "found: a search for sky\n"
    assert answer(chat(*spec("rag"), "--json", "sky"))["content"] == "found: a search for sky"
    events = ok(chat(*spec("rag"), "--format", "jsonl", "sky")).events()
    valid_events(events)
    texts = [(event["node"], event.get("draft", False)) for event in events if event["type"] == "text_delta"]
    assert {*texts} == {("rewrite", True), ("answer", False)}

    assert ok(chat(*spec("counted"), "a b")).stdout == '{"words": 2}\n'
    found = answer(chat(*spec("counted"), "--json", "a b"))
    assert (json.loads(found["content"]), found["output"]["answer"]) == ({"words": 2}, {"words": 2})
    tty = terminal(*spec("counted"), "a b", "-i")
    tty.wait_for("Let me count.")
    tty.wait_for('{"words": 2}')
    tty.wait_for_prompt()


def test_breakpoints_stop_such_a_graph_too(chat: Chat) -> None:
    stopped = answer(chat(*spec("data"), "-t", "t", "--json", "hi"))
    assert stopped["content"] == ""
    assert contents(chat, "t") == ["hi"]


def test_a_graph_may_have_messages_that_are_its_own(chat: Chat) -> None:
    found = answer(chat(*spec("research"), "--input", 'fields={"a": 1}', "-t", "t", "--json", "cats"))
    assert (json.loads(found["content"]), found["output"]) == ({"about": "cats"}, {"info": {"about": "cats"}})
    assert contents(chat, "t") == ["cats", "looking", '{"about": "cats"}']


def test_a_structured_response_is_the_answer_where_there_is_no_text(chat: Chat) -> None:
    found = answer(chat(*spec("contact"), "-t", "t", "--json", "Bob"))
    assert (json.loads(found["content"]), found["finish_reason"]) == ({"name": "Bob"}, "stop")
    assert found["output"] == {"structured_response": {"name": "Bob"}}
    assert answer(chat("-t", "t", "--json", "Eve"))["content"] == '{"name": "Eve"}'
    assert contents(chat, "t")[-1] == '{"name": "Eve"}'


def test_an_older_answer_is_not_given_again(chat: Chat) -> None:
    first = answer(chat(*spec("structured"), "-t", "t", "--json", "hi"))
    assert (first["content"], first["output"]) == ('{"asked": "hi"}', {"structured_response": {"asked": "hi"}})
    talk = answer(chat("-t", "t", "--json", "talk"))
    assert (talk["content"], "output" in talk) == ("just talk", False)

    assert ok(chat(*spec("silent"), "-t", "s", "hi")).stdout == "said\n"
    nothing = answer(chat("-t", "s", "--json", "hush"))
    assert (nothing["content"], nothing["finish_reason"]) == ("", "no_answer")
    assert contents(chat, "s") == ["hi", "said", "hush"]


def test_a_runnable_may_return_an_object(chat: Chat) -> None:
    assert ok(chat(*spec("extractor"), "-t", "t", "Bob")).stdout == '[{"name": "Bob"}]\n'
    assert contents(chat, "t") == ["Bob", '[{"name": "Bob"}]']
    assert ok(chat(*spec("retriever"), "why?")).stdout == "It is blue.\n"
