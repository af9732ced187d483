"""Graphs that stop at a breakpoint: how a turn ends there, and how it goes on."""

import asyncio
from pathlib import Path

import pytest
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

from tests.e2e.checks import valid_events
from tests.e2e.conftest import OpenTerminal
from tests.e2e.program import Chat, Result
from tests.sample_graphs import states

STATES = Path(__file__).parent.parent / "sample_graphs" / "states.py"


def spec(name: str) -> tuple[str, str]:
    return "--graph", f"{STATES}:{name}"


def ok(result: Result) -> Result:
    assert result.returncode == 0, result
    return result


@pytest.mark.parametrize(
    ("name", "stops"),
    [
        ("before", [("one", "second"), ("two", "")]),
        ("after", [("one", "second"), ("two", "")]),
        ("everywhere", [("", "first"), ("one", "second"), ("two", "")]),
        ("inside", [("one", "child/second"), ("two\n\nthree", "")]),
        ("after_last", [("one\n\ntwo", "")]),
        ("parallel", [("left\n\nright", "join"), ("counted None", "")]),
    ],
)
def test_a_graph_goes_on_from_each_of_its_breakpoints(chat: Chat, name: str, stops: list[tuple[str, str]]) -> None:
    arguments: tuple[str, ...] = (*spec(name), "hi")
    for content, node in stops:
        turn = ok(chat("-t", "t", "--json", *arguments))
        assert turn.json()["content"] == content
        assert turn.json()["finish_reason"] == ("breakpoint" if node else "stop")
        assert (f"stopped at a breakpoint before {node}; /continue" in turn.stderr) == bool(node), turn.stderr
        assert ("Go on with: chat --thread t --resume-with null" in turn.stderr) == bool(node)
        arguments = ("--resume-with", "null")
    assert chat("-t", "t", "--resume-with", "null").returncode == 2


def test_a_thread_that_ends_with_the_program_is_not_offered_again(chat: Chat, terminal: OpenTerminal) -> None:
    turn = ok(chat(*spec("before_in_memory"), "hi"))
    assert "The thread ends here. To go on with such a thread, ask in a conversation.\n" in turn.stderr
    assert "--resume-with" not in turn.stderr
    talk = terminal(*spec("before_in_memory"))
    talk.wait_for_prompt()
    talk.send_line("hi")
    talk.wait_for("/continue goes on")
    talk.wait_for_prompt()
    talk.send_line("/continue")
    talk.wait_for("two\n")
    talk.wait_for_prompt()
    talk.send_key("ctrl-d")
    assert talk.exit_code() == 0
    assert "Resume this conversation" not in talk.text()


def test_a_question_at_a_breakpoint_is_refused_and_throws_nothing_away(chat: Chat) -> None:
    ok(chat(*spec("before"), "-t", "t", "hi"))
    refused = chat("-t", "t", "--json", "another")
    assert refused.returncode == 2
    assert refused.json()["error"]["message"] == "the graph of the thread t stopped at a breakpoint before second"
    assert "--resume-with null" in refused.stderr
    assert chat("-t", "t", "--resume-with", "yes").returncode == 2
    assert [m["content"] for m in chat.messages("t")] == ["hi", "one"]
    assert ok(chat("-t", "t", "--resume-with", "null")).stdout == "two\n"
    assert ok(chat("-t", "t", "another")).stdout == "one\n"


@pytest.mark.parametrize(
    ("name", "nodes", "rest"),
    [
        ("before", "second", "two"),
        ("after", "second", "two"),
        ("inside", "child/second", "two\n\nthree"),
        ("parallel", "join", "counted None"),
    ],
)
def test_a_breakpoint_that_another_program_reached(chat: Chat, name: str, nodes: str, rest: str) -> None:
    path = chat.home.work / "theirs.db"

    async def run_another_program() -> None:
        async with AsyncSqliteSaver.from_conn_string(str(path)) as saver:
            graph = getattr(states, name).copy(update={"checkpointer": saver})
            await graph.ainvoke({"messages": [("user", "hi")]}, {"configurable": {"thread_id": "t"}})

    asyncio.run(run_another_program())
    options = (*spec(name), "--store", f"sqlite:///{path}", "-t", "t")
    refused = chat(*options, "another")
    assert refused.returncode == 2, refused
    assert f"stopped at a breakpoint before {nodes}" in refused.stderr
    assert ok(chat(*options, "--resume-with", "null")).stdout == f"{rest}\n"
    assert ok(chat(*options, "--json", "another")).json()["finish_reason"] == "breakpoint"


def test_the_events_of_a_breakpoint(chat: Chat) -> None:
    events = ok(chat(*spec("before"), "-t", "t", "--format", "jsonl", "hi")).events()
    valid_events(events)
    assert (events[-1]["type"], events[-1]["finish_reason"]) == ("turn_finished", "breakpoint")
    assert "before second" in events[-2]["text"]
    events = ok(chat("-t", "t", "--resume-with", "null", "--format", "jsonl")).events()
    valid_events(events)
    assert events[-1]["finish_reason"] == "stop"


def test_what_was_shown_before_the_breakpoint_is_not_shown_again(chat: Chat) -> None:
    ok(chat(*spec("silent"), "-t", "t", "hi"))
    rest = ok(chat("-t", "t", "--resume-with", "null", "--json"))
    assert (rest.json()["content"], rest.json()["finish_reason"]) == ("", "no_answer")


def test_a_script_stops_at_a_breakpoint(chat: Chat) -> None:
    (chat.home.work / "script.txt").write_text("hi\nanother\n")
    played = chat(*spec("before"), "-t", "t", "--script", "script.txt")
    assert (played.returncode, played.stdout) == (0, "User: hi\nAI: one\n")
    assert "the script stopped at line 1; its thread is t" in played.stderr
    assert "--resume-with null" in played.stderr
    (chat.home.work / "script.txt").write_text("hi\n")
    ended = chat(*spec("before"), "-t", "u", "--script", "script.txt")
    assert "the script stopped" not in ended.stderr
    assert "--resume-with null" in ended.stderr


def test_a_breakpoint_in_a_conversation(chat: Chat, terminal: OpenTerminal) -> None:
    tty = terminal(*spec("before"), "-t", "t")
    tty.wait_for_prompt()
    tty.send_line("hi")
    tty.wait_for("breakpoint before second; /continue goes on")
    tty.wait_for_prompt()
    tty.send_line("another")
    tty.wait_for("in a conversation by /continue")
    tty.wait_for_prompt()
    tty.send_line("/exit")
    assert tty.exit_code() == 0

    again = terminal("-t", "t")  # another process says where the thread stands
    again.wait_for("breakpoint before second; /continue goes on")
    again.wait_for_prompt()
    again.send_line("/continue")
    again.wait_for("two")
    again.wait_for_prompt()
    again.send_line("/continue")
    again.wait_for("has nothing to go on with")
    again.wait_for_prompt()
    for line, shown in (
        ("more", "before second"),
        ("/undo", "thread t"),
        ("instead", "before second"),
        ("null", "two"),
    ):
        again.send_line(line)
        again.wait_for(lambda text, line=line, shown=shown: shown in text.partition(f"> {line}")[2])  # type: ignore[misc]
        again.clear_prompt("more" if line == "/undo" else "")
    again.send_line("/exit")
    assert again.exit_code() == 0
    assert [m["content"] for m in chat.messages("t")] == ["hi", "one", "two", "instead", "one", "two"]
