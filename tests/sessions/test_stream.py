"""What the reader of LangGraph's stream makes of each kind of part."""

from collections.abc import Iterable, Mapping
from typing import Any

import pytest
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage, ToolMessage
from langgraph.types import Interrupt

from chatcli.config.providers import LANGFLOW
from chatcli.events import (
    Event,
    Notice,
    ReasoningDelta,
    TextDelta,
    TodosChanged,
    ToolCallFinished,
    ToolCallStarted,
    Usage,
)
from chatcli.sessions.stream import ANSWER, INTERRUPT, AnswerReader, GraphAnswer, as_requests, read_todos
from chatcli.store.usage import Tokens

CALL = {"name": "weigh", "args": {"what": "a cat"}, "id": "c1", "type": "tool_call"}
STARTED = ToolCallStarted("c1", "weigh", {"what": "a cat"})
FINISHED = ToolCallFinished("c1", "weigh", "4 kg", "success")
RESULT = ToolMessage("4 kg", tool_call_id="c1", name="weigh")


def said(message: BaseMessage, node: str = "model", ns: tuple[str, ...] = (), **metadata: Any) -> dict[str, Any]:
    return {"type": "messages", "ns": ns, "data": (message, {"langgraph_node": node, **metadata})}


def piece(text: str, message_id: str = "m", node: str = "model", ns: tuple[str, ...] = (), **fields: Any) -> Any:
    """Return what a model streams."""
    return said(AIMessageChunk(content=text, id=message_id, **fields), node, ns)


def own(text: str, message_id: str, node: str = "model", ns: tuple[str, ...] = (), **metadata: Any) -> dict[str, Any]:
    """Return a node's own message."""
    return said(AIMessage(text, id=message_id), node, ns, **metadata)


def wrote(update: Any, node: str = "model", ns: tuple[str, ...] = ()) -> dict[str, Any]:
    return {"type": "updates", "ns": ns, "data": {node: update}}


def reported(data: Any) -> dict[str, Any]:
    return {"type": "custom", "ns": (), "data": data}


def read(reader: AnswerReader, *parts: Mapping[str, Any]) -> list[Event]:
    return [event for part in parts for event in reader.read(part)]


def texts(events: Iterable[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


def test_pieces_are_shown_as_they_come_and_messages_one_after_the_other() -> None:
    reader = AnswerReader()
    events = read(reader, piece("He"), piece("Wait", "n"), piece("llo", chunk_position="last"), piece("ed", "n"))
    assert [event.text for event in events if isinstance(event, TextDelta)] == ["He", "llo", "\n\n", "Wait", "ed"]
    assert (reader.content, reader.newest) == ("Hello\n\nWaited", "Waited")
    assert reader.messages == [("m", "Hello"), ("n", "Waited")]
    assert list(reader.finish()) == []
    reader = AnswerReader()
    assert texts(read(reader, piece("one"), piece("two", "n"))) == "one"
    assert texts(reader.finish()) == "\n\ntwo"
    assert (AnswerReader().newest, AnswerReader().content) == ("", "")


def test_a_node_that_has_written_has_ended_its_own_messages_alone() -> None:
    reader = AnswerReader()
    read(reader, piece("a", "m", "one"), piece("b", "n", "two"))
    assert texts(read(reader, wrote({}, "three"))) == ""
    assert texts(read(reader, wrote({}, "one", ("inner:1",)))) == ""
    assert texts(read(reader, wrote({}, "one"))) == "\n\nb"


@pytest.mark.parametrize("mark", [{"lc_internal_call": True}, {"lc_source": "summarization"}])
def test_what_middleware_asks_a_model_for_itself_is_not_the_answer(mark: dict[str, Any]) -> None:
    reader = AnswerReader()
    summary = AIMessageChunk(content="a summary", id="s", usage_metadata=usage(5, 2))
    assert read(reader, said(summary, **mark)) == []
    assert (reader.content, reader.usage) == ("", Usage())
    assert read(reader, said(HumanMessage("not an answer"))) == []


@pytest.mark.parametrize(("ns", "label"), [((), "speak"), (("outer:1-2", "inner:3"), "outer/inner/speak")])
def test_a_text_of_a_users_graph_has_the_name_of_its_node(ns: tuple[str, ...], label: str) -> None:
    assert read(AnswerReader(named=True), piece("x", node="speak", ns=ns)) == [TextDelta("x", label)]
    assert read(AnswerReader(), piece("x", node="speak", ns=ns)) == [TextDelta("x")]


def usage(given: int, got: int, **details: int) -> Any:
    return {"input_tokens": given, "output_tokens": got, "total_tokens": given + got, "input_token_details": details}


def test_the_usage_of_a_turn_is_that_of_all_its_answers() -> None:
    reader = AnswerReader()
    read(reader, piece("", usage_metadata=usage(10, 1, cache_read=4)), piece("x", usage_metadata=usage(0, 2)))
    read(reader, piece("y", "n", usage_metadata=usage(20, 30, cache_creation=5)), piece("z", "n"))
    assert reader.usage == Usage(30, 33, 63)
    assert reader.tokens == Tokens(30, 33, 4, 5)


def test_the_last_reason_to_stop_counts_and_an_answer_that_says_none_changes_nothing() -> None:
    reader = AnswerReader()
    read(reader, piece("", response_metadata={"stop_reason": "tool_use"}))
    assert reader.finish_reason == "tool_calls"
    read(
        reader, piece("x", "n", response_metadata={"stop_reason": "max_tokens", LANGFLOW: {"a": "b"}}), piece("y", "n")
    )
    assert (reader.finish_reason, reader.flow) == ("length", {"a": "b"})


@pytest.mark.parametrize(
    "message",
    [
        AIMessageChunk(content="", id="m", additional_kwargs={"reasoning_content": "Hm."}),
        AIMessageChunk(content=[{"type": "reasoning", "reasoning": "Hm."}], id="m"),
    ],
)
def test_reasoning_is_no_text(message: AIMessage) -> None:
    reader = AnswerReader()
    assert read(reader, said(message)) == [ReasoningDelta("Hm.")]
    assert reader.content == ""


def test_a_call_begins_and_ends_once() -> None:
    reader = AnswerReader()
    asked, update = AIMessage("", id="m", tool_calls=[CALL]), {"messages": [RESULT]}
    events = read(reader, said(asked), wrote({"messages": [asked]}), wrote({"messages": [asked]}, "outer"))
    assert events == [STARTED]
    assert read(reader, wrote(update, "tools"), wrote(update, "outer"), said(RESULT, "tools")) == [FINISHED]
    assert list(reader.finish()) == []


@pytest.mark.parametrize("form", [lambda asked: [{}, {"messages": asked}], lambda asked: {"messages": (asked,)}])
def test_a_result_that_comes_before_its_call_is_shown_after_it(form: Any) -> None:
    reader, asked = AnswerReader(), AIMessage("", id="m", tool_calls=[CALL])
    assert read(reader, said(asked), said(RESULT)) == []
    assert read(reader, wrote(form(asked))) == [STARTED, FINISHED]
    reader = AnswerReader()
    read(reader, said(RESULT))
    assert list(reader.finish()) == [FINISHED]


def test_what_a_node_writes_of_earlier_turns_is_not_shown_again() -> None:
    reader = AnswerReader()
    old = AIMessage("old", id="old", tool_calls=[{**CALL, "id": "c0"}])
    assert read(reader, wrote({"messages": [old, ToolMessage("x", tool_call_id="c0")]}), wrote(None), wrote("x")) == []
    assert reader.content == ""


def test_a_message_that_is_plain_data_is_one() -> None:
    reader = AnswerReader()
    raw = {"role": "assistant", "content": "hi", "tool_calls": [CALL]}
    assert read(reader, wrote({"messages": [raw, ("ai", "there"), ("user", "me"), {"no": "message"}]})) == [
        *(TextDelta("hi"), STARTED, TextDelta("\n\n"), TextDelta("there"))
    ]
    assert reader.content == "hi\n\nthere"


def test_what_the_graph_waits_for_is_gathered_and_a_breakpoint_asks_nothing() -> None:
    reader = AnswerReader()
    assert (reader.paused, as_requests(reader.interrupts.values())) == (False, ())
    first = Interrupt("a?", id="1")
    second = Interrupt("b?", id="2", response_schema={"type": "string"})
    read(reader, wrote((first,), INTERRUPT), wrote((first, second), INTERRUPT, ("inner:1",)))
    assert not reader.paused
    requests = as_requests(reader.interrupts.values())
    assert [(each.interrupt_id, each.payload, each.among) for each in requests] == [("1", "a?", 2), ("2", "b?", 2)]
    assert [each.response_schema for each in requests] == [None, {"type": "string"}]
    read(reader, wrote((), INTERRUPT), wrote((first,), INTERRUPT))
    assert reader.paused


def test_the_list_of_what_is_to_be_done_is_the_outermost_graphs() -> None:
    def todos(*names: str) -> dict[str, Any]:
        return {"todos": [{"content": name} for name in names]}

    reader = AnswerReader()
    assert read(reader, wrote(todos("a"), ns=("inner:1",))) == [TodosChanged(({"content": "a"},))]
    assert read(reader, wrote(todos("b"), ns=("inner:1", "deep:2"))) == []
    assert read(reader, wrote(todos("c"))) == [TodosChanged(({"content": "c"},))]
    assert read(reader, wrote(todos("d"), ns=("inner:1",))) == []
    assert read(reader, wrote(todos("e")), wrote({"todos": []})) == [TodosChanged(({"content": "e"},))]
    assert read_todos({"todos": [{"content": "a"}, {"content": 1}, "b"]}) == ({"content": "a"},)
    assert read_todos({"todos": "a"}) == read_todos({}) == ()


def test_what_the_plain_chat_reports_is_kept_until_it_reports_something_else() -> None:
    reader = AnswerReader()
    sizes = {"messages_in_context": 1, "messages_in_thread": 2, "context_tokens": 3, "context_budget": 4}
    read(reader, reported({**sizes, "found": [], "memory_used": ["x"]}))
    said = [TextDelta("from a node"), Notice("n"), Notice("p", passing=True)]
    assert read(reader, *map(reported, said), reported("odd")) == said
    assert {name: getattr(reader, name) for name in sizes} == sizes
    assert (reader.found, reader.memory_used) == ([], ["x"])


@pytest.mark.parametrize(
    ("data", "words"), [({"notice": "n"}, "n"), ({"notice": 1, "b": 2}, "notice: 1, b: 2"), ("x", "x"), (5, "5")]
)
def test_what_a_users_node_reports_is_a_notice(data: object, words: str) -> None:
    assert read(AnswerReader(named=True), reported(data)) == [Notice(words, data=data)]


T = "langgraph_checkpoint_ns"


@pytest.mark.parametrize(
    ("model", "own_place", "repeats"),
    [
        # The node's run (a task) that a model streamed in, and the one that a node's own message comes from.
        ({T: "a:1"}, {T: "a:1"}, True),
        ({T: "a:1"}, {T: "a:2"}, False),
        ({T: "a:1|b:2"}, {T: "a:1"}, True),
        ({T: "a:1|b:2"}, {T: "a:1|b:2"}, True),
        ({T: "a:12|b:2"}, {T: "a:1"}, False),
        ({T: "a:1"}, {T: "a:1|b:2"}, False),
        # Without tasks, the names of the nodes and of the graphs around them decide.
        ({"node": "a"}, {"node": "a"}, True),
        ({"node": "a"}, {"node": "b"}, False),
        ({"node": "b", "ns": ("a:1",)}, {"node": "a"}, True),
        ({"node": "b", "ns": ("ab:1",)}, {"node": "a"}, False),
        ({"node": "c", "ns": ("x:1", "a:1")}, {"node": "a", "ns": ("x:1",)}, True),
        ({"node": "c", "ns": ("y:1", "a:1")}, {"node": "a", "ns": ("x:1",)}, False),
        ({"node": "a"}, {"node": "a", "ns": ("x:1",)}, False),
    ],
)
def test_a_node_may_repeat_what_its_model_or_its_graph_said(
    model: dict[str, Any], own_place: dict[str, Any], *, repeats: bool
) -> None:
    reader = AnswerReader()
    first = own("same", "m", **{"node": "a", "ls_model_type": "chat", **model})
    read(reader, first)
    assert texts(read(reader, own("same", "copy", **{"node": "a", **own_place}))) == ("" if repeats else "\n\nsame")
    # Each text once, for each run of a node.
    assert texts(read(reader, own("same", "again", **{"node": "a", **own_place}))) == "\n\nsame"


@pytest.mark.parametrize(
    ("text", "shown"), [("one", ""), ("two", ""), ("onetwo", ""), ("on", "\n\non"), ("twoone", "\n\ntwoone")]
)
def test_only_the_same_text_is_a_repetition_and_several_may_be_joined(text: str, shown: str) -> None:
    reader = AnswerReader()
    read(reader, *(piece(each, each, chunk_position="last") for each in ("one", "two")))
    assert texts(read(reader, own(text, "copy"))) == shown


def test_what_a_node_says_itself_is_no_repetition_of_its_own_words() -> None:
    reader = AnswerReader()
    assert texts(read(reader, own("x", "m"), own("x", "n"))) == "x\n\nx"


@pytest.mark.parametrize(
    ("written", "answer", "shown"),
    [
        ([], "42", [TextDelta("42")]),
        (["41", "42"], " 42\n", []),
        (["4", "2"], "4\n\n2", []),
        (["42", "no"], "42", [TextDelta("\n\n", ANSWER), TextDelta("42", ANSWER)]),
        (["42"], None, []),
        (["42"], "", []),
    ],
)
def test_an_answer_that_is_no_message_is_shown_unless_a_model_has_just_written_it(
    written: list[str], answer: str | None, shown: list[TextDelta]
) -> None:
    reader = AnswerReader()
    for number, text in enumerate(written):
        [*_, delta] = read(reader, said(AIMessage(text, id=str(number))))
        assert isinstance(delta, TextDelta)
    part = {"type": ANSWER, "ns": (), "data": GraphAnswer(answer, {"a": 1})}
    assert read(reader, part) == shown
    assert reader.output == {"a": 1}
    assert reader.content == ("\n\n".join(written) if answer is None else answer)


def test_what_the_state_alone_holds_is_read_of_answers_with_text() -> None:
    reader = AnswerReader()
    events = list(reader.read_stored([HumanMessage("q"), AIMessage("", id="e"), AIMessage("a", id="a")]))
    assert (texts(events), reader.content) == ("a", "a")
