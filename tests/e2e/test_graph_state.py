"""What a graph keeps beside the messages: `/state`, and `chat threads show ID --state`."""

import json
from pathlib import Path
from typing import Any

import jsonschema

from chatcli.cli.schemas import read_schema
from tests.e2e.conftest import OpenTerminal
from tests.e2e.program import Chat, Result
from tests.e2e.terminal import Terminal
from tests.fakes.openai_server import FakeOpenAI

STATES = Path(__file__).parent.parent / "sample_graphs" / "states.py"


def spec(name: str) -> tuple[str, str]:
    return "--graph", f"{STATES}:{name}"


def ok(result: Result) -> Result:
    assert result.returncode == 0, result
    return result


def state_of(chat: Chat, thread: str) -> dict[str, Any]:
    shown = ok(chat("threads", "show", thread, "--state", "--json")).json()
    jsonschema.validate(shown, read_schema("thread"))
    state: dict[str, Any] = shown["state"]
    return state


def send(tty: Terminal, line: str, shown: str, *, prefilled: str = "") -> None:
    """Send `line`, and wait until the screen has `shown` below it, and a prompt, of which `prefilled` is cleared."""
    tty.send_line(line)
    tty.wait_for(lambda text: shown in text.rpartition(f"> {line}")[2] and f"> {line}" in text)
    tty.clear_prompt(prefilled)


def test_the_state_of_a_stored_thread_is_shown_without_its_graph(chat: Chat) -> None:
    for question in ("first", "second"):
        ok(chat(*spec("working"), "-t", "t", question))
    shown = ok(chat("threads", "show", "t", "--state", env={"PYTHONPATH": "/nowhere"}))
    assert shown.stderr == ""
    rows = dict(line.split(maxsplit=1) for line in shown.stdout.splitlines())
    assert list(rows) == ["key", "todos", "files", "turns", "note"]
    assert rows["turns"] == "2"
    assert json.loads(rows["note"]) == {"text": "second", "stars": 0}  # an object of a class of the graph's own
    assert rows["files"].endswith("...")
    assert "\x1b" not in shown.stdout
    state = state_of(chat, "t")
    assert state["todos"][0] == {"content": "first", "status": "completed"}
    assert len(state["files"]["1.md"]["content"]) > 500


def test_a_plain_chat_shows_what_it_keeps(chat: Chat, fake: FakeOpenAI) -> None:
    ok(chat("-t", "t", "--system", "Be brief.", "hi"))
    state = state_of(chat, "t")
    assert state["system"] == "Be brief."
    assert (state["role"], state["variables"], state["temperature"]) == ("", {}, None)  # not stored, but what holds
    assert "messages" not in state
    assert "Be brief." in ok(chat("threads", "show", "t", "--state")).stdout


def test_the_state_in_a_conversation(chat: Chat, terminal: OpenTerminal) -> None:
    tty = terminal(*spec("working"), "-t", "t", size=(100, 60))
    tty.wait_for_prompt()
    send(tty, "/state", "nothing beside its messages")
    send(tty, "/state watch", "the changes of each turn are shown")
    send(tty, "first", "state: todos 0 -> 1 items, files = {")
    send(tty, "/state turns", "1")
    send(tty, "/state language", "language has no value yet; it is of the type str")
    send(tty, "/state nothing", "the state has no key nothing")
    send(tty, '/state turns="many"', "does not fit the key turns, which is of the type int")
    send(tty, "/state language=Spanish", "language is now Spanish")
    send(tty, "second", "1 before, in Spanish")
    send(tty, "/state watch", "not shown any more")
    tty.send_line("/exit")
    assert tty.exit_code() == 0
    assert state_of(chat, "t")["language"] == "Spanish"


def test_tab_completes_the_keys_of_the_state(terminal: OpenTerminal) -> None:
    tty = terminal(*spec("working"), "-t", "t", size=(100, 60))
    tty.wait_for_prompt()
    send(tty, "/state", "nothing beside its messages")
    for typed, line in (("lang", "language"), ("wat", "watch")):
        tty.send(f"/state {typed}")
        tty.send_key("tab")
        tty.wait_for(f"> /state {line}")
        send(tty, "", {"language": "of the type str", "watch": "are shown"}[line])
    tty.send("/state ")
    tty.send_key("tab")
    tty.wait_for(lambda text: all(key in text.rpartition("> /state")[2] for key in ("todos", "turns", "watch")))


def test_an_edit_is_left_by_undo(chat: Chat, terminal: OpenTerminal) -> None:
    tty = terminal(*spec("working"), "-t", "t", size=(100, 60))
    tty.wait_for_prompt()
    send(tty, "first", "0 before")
    send(tty, "/state turns=10", "turns is now 11")  # its reducer adds, as with LangGraph's update_state
    send(tty, '/state note={"text": "mine", "stars": 5}', "note is now")
    tty.send_line("/exit")
    assert tty.exit_code() == 0
    assert state_of(chat, "t")["note"] == {"text": "mine", "stars": 5}
    tty = terminal("-t", "t", size=(100, 60))
    tty.wait_for_prompt()
    send(tty, "/undo", "thread t")
    send(tty, "/state note", '"text": "first"')
    tty.send_line("/exit")
    assert tty.exit_code() == 0
    assert (state_of(chat, "t")["turns"], state_of(chat, "t")["note"]["text"]) == (11, "first")
    tty = terminal("-t", "t", size=(100, 60))
    tty.wait_for_prompt()
    send(tty, "/undo 1", "thread t")
    send(tty, "/state turns", "1")
    send(tty, "second", "1 before, in no language")
    send(tty, "/undo 2", "thread t", prefilled="first")
    send(tty, "/state turns", "0")  # the empty beginning, as LangGraph makes it


def test_an_edit_at_a_breakpoint_keeps_the_step_that_waits(chat: Chat, terminal: OpenTerminal) -> None:
    ok(chat(*spec("paused_work"), "-t", "t", "first"))
    tty = terminal("-t", "t", size=(100, 60))
    tty.wait_for_prompt()
    send(tty, "/state language=Spanish", "language is now Spanish")
    send(tty, "/state language=French", "language is now French")
    send(tty, "/undo", "thread t")
    send(tty, "another", "stopped at a breakpoint before second")
    send(tty, "/continue", "with Spanish")
    tty.send_line("/exit")
    assert tty.exit_code() == 0

    ok(chat(*spec("parallel"), "-t", "u", "first"))  # two nodes ran last
    tty = terminal("-t", "u", size=(100, 60))
    tty.wait_for_prompt()
    send(tty, "/state count=7", "count is now 7")
    send(tty, "/continue", "counted 7")


def test_a_plain_chat_has_nothing_to_edit(chat: Chat, fake: FakeOpenAI, terminal: OpenTerminal) -> None:
    tty = terminal("-t", "t")
    tty.wait_for_prompt()
    send(tty, "/state system=hello", "keeps nothing to edit")
