"""Values beside the messages of a graph: `--context`, `--configurable`, `--input` and `/set`."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.e2e.conftest import OpenTerminal
from tests.e2e.program import Chat, Result

VALUES = Path(__file__).parent.parent / "sample_graphs" / "values.py"


def spec(name: str) -> tuple[str, str]:
    return "--graph", f"{VALUES}:{name}"


def ok(result: Result) -> str:
    assert result.returncode == 0, result
    return result.stdout.removesuffix("\n")


def refused(result: Result, *words: str) -> None:
    assert result.returncode == 2, result
    assert all(word in result.stderr for word in words), result.stderr


def test_the_tutorials_state_gets_its_language_and_keeps_it(chat: Chat) -> None:
    assert ok(chat(*spec("tutorial"), "--input", "language=Spanish", "-t", "t", "hi")) == "Answer in Spanish. hi?"
    assert ok(chat("-t", "t", "and")) == "Answer in Spanish. and?"
    assert ok(chat("-t", "t", "--input", "language=7", "now")) == "Answer in 7. now?"
    assert ok(chat("-t", "t", "--input", 'language="New York"', "now")) == "Answer in New York. now?"


def test_a_wrong_or_unknown_key_of_the_input_is_refused_before_anything_is_stored(chat: Chat) -> None:
    refused(chat(*spec("tutorial"), "--input", "langage=Spanish", "-t", "t", "hi"), "langage", "Did you mean language?")
    refused(chat(*spec("kept"), "--input", "count=many", "-t", "t", "hi"), "the field count", "type int", "'many'")
    refused(chat(*spec("kept"), "--input", "messages=[]", "-t", "t", "hi"), "takes the question")
    refused(chat(*spec("wanted"), "-t", "t", "hi"), "the graph's input needs the field topic", "--input topic=VALUE")
    assert chat("threads", "list", "--json").json() == []
    assert ok(chat(*spec("wanted"), "--input", "topic=tea", "-t", "t", "hi")) == "about tea"
    assert ok(chat("-t", "t", "more")) == "about tea"


def test_a_key_that_a_node_needs_is_named_when_it_is_missing(chat: Chat) -> None:
    missing = chat(*spec("tutorial"), "-t", "t", "--json", "hi")
    refused(missing, "the graph's input needs the field language", "--input language=VALUE")
    assert missing.json()["error"]["code"] == "usage"
    assert ok(chat(*spec("tutorial"), "-t", "t", "--input", "language=Welsh", "again")) == "Answer in Welsh. again?"


def test_what_the_state_keeps_is_sent_once(chat: Chat) -> None:
    given = ("--input", "count=5", "--input", 'documents=["a"]', "--input", "due=2026-01-31")
    assert ok(chat(*spec("kept"), *given, "-t", "t", "one")) == "6 ['a'] due 2026-01-31"
    assert ok(chat("-t", "t", "two")) == "7 ['a'] due 2026-01-31"
    assert ok(chat("-t", "t", "--input", 'documents=["b"]', "three")) == "8 ['a', 'b'] due 2026-01-31"


def test_the_context_has_the_types_of_its_schema(chat: Chat) -> None:
    given = ("--context", "user_id=7", "--context", "limit=3", "--context", "since=2026-01-31")
    answer = ok(chat(*spec("by_dataclass"), *given, "-t", "t", "hi"))
    assert answer == "user_id='7', limit=3, tags=[], since=datetime.date(2026, 1, 31)"
    assert ok(chat("-t", "t", "again")) == answer
    assert "limit=4" in ok(chat("-t", "t", "--context", "limit=4", "again"))
    assert "limit=4" in ok(chat("-t", "t", "again"))
    assert ok(chat(*spec("by_model"), "--context", "user_id=null", "hi")) == "user_id='null', limit=1, tone='short'"
    assert ok(chat(*spec("by_dict"), "--context", "a=[1]", "--context", "b=x y", "hi")) == "a=[1], b='x y'"
    # As on a LangGraph server, what is configurable is in the context too, and the reverse.
    same = ("--configurable", "user_id=7", "--configurable", "limit=3")
    assert ok(chat(*spec("by_dataclass"), *same, "hi")) == "user_id='7', limit=3, tags=[], since=None"


@pytest.mark.parametrize(
    ("graph", "given", "words"),
    [
        ("by_dataclass", ("limit=many", "user_id=7"), ("the field limit of the graph's context", "type int", "'many'")),
        ("by_dataclass", ("limit=1.5", "user_id=7"), ("the field limit", "type int", "not 1.5")),
        ("by_dataclass", ("limit=true", "user_id=7"), ("the field limit", "type int", "not true")),
        ("by_dataclass", ("tags=a", "limit=1", "user_id=7"), ("the field tags", "list[str]")),
        ("by_dataclass", ("limit=1", "user=7"), ("no field user", "Did you mean user_id?")),
        ("by_dataclass", ("limit=1",), ("needs the field user_id", "--context user_id=VALUE")),
        ("by_dataclass", (), ("needs the fields user_id, limit",)),
        ("by_model", ("user_id=7", "limit=40"), ("the field limit", "less than or equal to 10")),
        ("by_model", ("user_id=7", "tone=mid"), ("the field tone", "'short'", "'long'")),
        ("by_model", ("limit=4",), ("needs the field user_id",)),
        ("by_model", ("user_id=7", "size=4"), ("no field size", "user_id, limit, tone")),
        ("by_typed_dict", ("nick=a",), ("no field nick",)),
    ],
)
def test_a_context_that_does_not_fit_is_refused(
    chat: Chat, graph: str, given: tuple[str, ...], words: tuple[str, ...]
) -> None:
    options = [part for one in given for part in ("--context", one)]
    refused(chat(*spec(graph), *options, "-t", "t", "hi"), *words)
    assert chat("threads", "list", "--json").json() == []


def test_a_typed_dict_needs_what_is_read(chat: Chat) -> None:
    assert ok(chat(*spec("by_typed_dict"), "--context", "user_id=7", "hi")) == "7 called None"
    refused(chat(*spec("by_typed_dict"), "hi"), "needs the field user_id", "--context user_id=VALUE")


def test_configurable_keys_reach_the_config_and_not_the_store(chat: Chat) -> None:
    given = ("--configurable", "user_id=secret-7", "--configurable", 'limit={"a": 1}')
    answer = "user_id='secret-7', limit={'a': 1}, thread_id='t'"
    assert ok(chat(*spec("by_config"), *given, "-t", "t", "hi")) == answer
    assert ok(chat("-t", "t", "hi")) == answer
    with closing(sqlite3.connect(chat.home.root / ".local/share/chatcli" / "threads.db")) as store:
        rows = store.execute("SELECT metadata FROM checkpoints").fetchall()
    assert rows
    assert not any(b"secret-7" in bytes(row[0]) for row in rows)
    for key in ("thread_id", "checkpoint_id", "__pregel_read"):
        refused(chat(*spec("by_config"), "--configurable", f"{key}=x", "hi"), "is set by chat itself")
    # The context's schema has the types, also of what is configurable.
    refused(chat(*spec("by_config_of_user"), "--configurable", "limit=many", "hi"), "limit", "type int")
    context = ("--context", "user_id=9", "--context", "limit=2")
    assert ok(chat(*spec("by_config_of_user"), *context, "-t", "u", "hi")) == "user_id='9', limit=2, thread_id='u'"


def test_an_answer_to_an_interrupt_goes_on_with_the_values(chat: Chat) -> None:
    given = ("--context", "user_id=7", "--context", "limit=3")
    assert chat(*spec("asking"), *given, "-t", "t", "hi").returncode == 0
    refused(chat("-t", "t", "--resume-with", "yes", "--input", "a=1"), "continues a turn", "input")
    assert ok(chat("-t", "t", "--resume-with", "yes")) == "7 said yes"
    assert chat("-t", "t", "more").returncode == 0
    assert ok(chat("-t", "t", "--resume-with", "yes", "--context", "user_id=8")) == "8 said yes"
    assert chat("-t", "t", "more").returncode == 0
    assert ok(chat("-t", "t", "--resume-with", "no")) == "8 said no"


def test_the_environment_and_the_config_file_are_defaults_of_a_thread(chat: Chat) -> None:
    env = {"CHATCLI_CONTEXT": '{"user_id": "env", "limit": 1}'}
    assert "user_id='env', limit=1" in ok(chat(*spec("by_dataclass"), "-t", "t", "hi", env=env))
    assert "user_id='8', limit=1" in ok(chat("-t", "t", "--context", "user_id=8", "hi"))
    assert "user_id='8', limit=1" in ok(chat("-t", "t", "hi", env=env))  # the thread remembers its own
    refused(
        chat(*spec("by_dataclass"), "hi", env={"CHATCLI_CONTEXT": '{"limit": "x", "user_id": "7"}'}), "limit", "int"
    )
    refused(chat(*spec("by_dataclass"), "hi", env={"CHATCLI_CONTEXT": "[1"}), "--context")
    config = chat.home.root / ".config/chatcli" / "config.toml"
    config.parent.mkdir(parents=True, exist_ok=True)
    config.write_text('[context]\nuser_id = "file"\nlimit = 2\n')
    assert "user_id='file', limit=2" in ok(chat(*spec("by_dataclass"), "hi"))


def test_what_a_thread_remembers_for_another_graph_is_left_out(chat: Chat) -> None:
    given = ("--context", "user_id=7", "--context", "limit=3")
    assert ok(chat(*spec("by_dataclass"), *given, "-t", "t", "hi"))
    other = chat(*spec("by_typed_dict"), "-t", "t", "hi")
    assert ok(other) == "7 called None"
    assert "no field limit" in other.stderr
    assert "left out" in other.stderr


def test_a_store_of_somebody_else_gives_no_values(chat: Chat) -> None:
    given = ("--context", "user_id=mine", "--context", "limit=3")
    assert ok(chat(*spec("by_dataclass"), *given, "-t", "t", "hi"))
    copied = chat.home.work / "copied.db"
    copied.write_bytes((chat.home.root / ".local/share/chatcli" / "threads.db").read_bytes())
    store = ("--store", f"sqlite:///{copied}")
    refused(chat(*store, *spec("by_dataclass"), "-t", "t", "hi"), "needs the fields user_id, limit")
    assert ok(chat("threads", "fork", "t", "copy"))  # a copy here has them
    assert "user_id='mine'" in ok(chat("-t", "copy", "hi"))
    assert ok(chat("threads", "delete", "t", "--yes")) is not None
    refused(chat(*spec("by_dataclass"), "-t", "t", "hi"), "needs the fields")


def test_values_are_hidden_where_settings_are_shown(chat: Chat) -> None:
    env = {"CHATCLI_CONTEXT": '{"openai": "sk-hidden"}', "CHATCLI_INPUT": '{"x": "sk-hidden"}'}
    shown = chat("config", "show", "--json", env=env)
    assert shown.json()["context"]["value"] == {"openai": "***"}
    assert "sk-hidden" not in shown.stdout
    failed = chat(*spec("by_dataclass"), "--debug", "--context", "limit=1", "--context", "api_key=sk-hidden", "hi")
    refused(failed, "api_key")
    assert "sk-hidden" not in failed.stderr
    failed = chat(*spec("by_dataclass"), "--debug", "--configurable", "limit=[1]", "hi")
    refused(failed, "limit", "int")


@pytest.mark.parametrize("option", ["--context", "--configurable", "--input"])
def test_the_options_are_for_graphs_and_have_a_form(chat: Chat, option: str) -> None:
    refused(chat(option, "a=1", "hi"), f"{option} has no effect on a model", "--graph or --url")
    refused(chat(*spec("by_dict"), option, "novalue", "hi"), f"{option}: 'novalue' is not KEY=VALUE")
    refused(chat(*spec("by_dict"), option, "=1", "hi"), "is not KEY=VALUE")
    refused(chat(*spec("by_dict"), option, f"a={'[' * 200}{']' * 200}", "hi"), "nested too deeply")
    refused(chat(*spec("by_dict"), option, 'a="\\ud800"', "hi"), "not UTF-8")


def test_set_changes_values_in_a_conversation(chat: Chat, terminal: OpenTerminal) -> None:
    tty = terminal(*spec("by_dataclass"), "-t", "t")
    tty.wait_for_prompt()
    tty.send_line("hi")
    tty.wait_for("needs the fields user_id, limit")
    tty.wait_for_prompt()
    for typed, shown in (("user_id=7", "user_id=7"), ("limit=x", "type int"), ("limit=2", "limit=2")):
        tty.send_line(f"/set {typed}")
        tty.wait_for(shown)
        tty.wait_for_prompt()
    tty.send_line("hi")
    tty.wait_for("user_id='7', limit=2")
    tty.wait_for_prompt()
    tty.send_line("/set configurable.password=hidden-5")
    tty.wait_for("configurable.password=***")
    tty.wait_for_prompt()
    tty.send_line("/set")
    tty.wait_for("configurable.password")
    tty.wait_for("list[str]")
    tty.wait_for_prompt()
    tty.send("/set si")
    tty.send_key("tab")
    tty.wait_for("> /set since=")
    tty.send_line("null")
    tty.wait_for("\nsince=null\n")
    tty.wait_for_prompt()
    tty.send_line("/set nothing=1")
    tty.wait_for("no field nothing")
    tty.wait_for_prompt()
    tty.send_key("ctrl-d")
    assert tty.exit_code() == 0
    assert "user_id='7', limit=2" in ok(chat("-t", "t", "again"))
    state = chat.home.root / ".local/state/chatcli/threads"
    grants = [json.loads(path.read_text()) for path in state.rglob("*.json")]
    kept = [one["values"]["context"] for one in grants if "values" in one]
    assert kept == [{"user_id": "7", "limit": 2, "since": None}]


def test_an_input_that_was_set_goes_along_with_the_next_question_and_stays_after_undo(
    chat: Chat, terminal: OpenTerminal
) -> None:
    tty = terminal(*spec("tutorial"), "--input", "language=Spanish", "-t", "t")
    tty.wait_for_prompt()
    tty.send_line("one")
    tty.wait_for("Answer in Spanish. one?")
    tty.wait_for_prompt()
    tty.send_line("/set input.language=French")
    tty.wait_for("input.language=French")
    tty.wait_for_prompt()
    tty.send_line("two")
    tty.wait_for("Answer in French. two?")
    tty.wait_for_prompt()
    tty.send_line("/undo")
    tty.clear_prompt("two")
    tty.send_line("three")
    tty.wait_for("Answer in French. three?")
    tty.wait_for_prompt()
    tty.send_line("/retry")
    tty.wait_for(lambda text: text.count("Answer in French. three?") == 2)
    tty.wait_for_prompt()
    tty.send_line("/new")
    tty.wait_for_prompt()
    tty.send_line("four")
    tty.wait_for("Answer in Spanish. four?")  # a new thread begins with what the command line says


def test_retry_takes_an_input_that_was_missing(terminal: OpenTerminal) -> None:
    tty = terminal(*spec("tutorial"), "-t", "t")
    tty.wait_for_prompt()
    tty.send_line("one")
    tty.wait_for("needs the field language")
    tty.wait_for_prompt()
    tty.send_line("/set input.language=Welsh")
    tty.wait_for("input.language=Welsh")
    tty.wait_for_prompt()
    tty.send_line("/retry")
    tty.wait_for("Answer in Welsh. one?")


def test_values_in_memory_live_as_long_as_the_conversation(chat: Chat, terminal: OpenTerminal) -> None:
    tty = terminal(*spec("by_typed_dict"), "--no-save", "-t", "t")
    tty.wait_for_prompt()
    tty.send_line("/set user_id=first")
    tty.wait_for("\nuser_id=first\n")
    tty.wait_for_prompt()
    tty.send_line("hi")
    tty.wait_for("first called None")
    tty.wait_for_prompt()
    tty.send_line("/thread u")
    tty.wait_for_prompt()
    tty.send_line("hi")
    tty.wait_for("needs the field user_id")
    tty.wait_for_prompt()
    tty.send_line("/thread t")
    tty.wait_for_prompt()
    tty.send_line("hi")
    tty.wait_for(lambda text: text.count("first called None") == 3)  # the thread's answers are shown when it is opened
    tty.wait_for_prompt()
    tty.send_key("ctrl-d")
    assert tty.exit_code() == 0
    assert not (chat.home.root / ".local/state/chatcli/threads").exists()
