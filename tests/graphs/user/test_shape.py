"""How a question becomes a graph's input, and an output the answer."""

from dataclasses import dataclass
from typing import Any, NotRequired, TypedDict

import pytest
from langchain_core.documents import Document
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, ToolMessage
from langgraph.graph import START, StateGraph
from pydantic import BaseModel

from chatcli.errors import UsageError
from chatcli.graphs.shape import GraphShape, new_answers, read_answer
from chatcli.graphs.user.schemas import find_shape
from chatcli.graphs.values import GraphValues
from chatcli.sessions.stream import GraphAnswer


class Person(BaseModel):
    name: str


@dataclass
class Place:
    city: str
    size: int = 0


CALL = {"name": "Person", "args": {"name": "Bob"}, "id": "call-1", "type": "tool_call"}


@pytest.mark.parametrize(
    ("value", "text", "output"),
    [
        ("hi", "hi", None),
        (None, "", None),
        (42, "42", 42),
        ([1, "é"], '[1, "é"]', [1, "é"]),
        (AIMessage("hi"), "hi", None),
        ([HumanMessage("one"), AIMessage("two")], "two", None),
        ({"messages": [HumanMessage("one"), AIMessage("two")]}, "two", None),
        ({"answer": "hi", "reason": "so"}, "hi", {"answer": "hi", "reason": "so"}),
        ({"joke": "hi", "score": 7}, "hi", {"joke": "hi", "score": 7}),
        ({"one": "a", "two": "b"}, '{"one": "a", "two": "b"}', {"one": "a", "two": "b"}),
        (Person(name="Bob"), "Bob", {"name": "Bob"}),
        (Place("Rome"), "Rome", {"city": "Rome", "size": 0}),
        # What trustcall's extractors return.
        (
            {"messages": [AIMessage("", tool_calls=[CALL])], "responses": [Person(name="Bob")], "attempts": 1},
            '[{"name": "Bob"}]',
            {"responses": [{"name": "Bob"}], "attempts": 1},
        ),
        ({"answer": {"far": float("inf"), "raw": b"a"}}, '{"far": "Infinity", "raw": "YQ=="}', None),
        ({"answer": None}, "", {"answer": None}),
        ({"output": "late", "answer": "hi"}, "hi", {"output": "late", "answer": "hi"}),
        ({"messages": [AIMessage("one"), HumanMessage("two")]}, "", None),
        ([AIMessage("one"), HumanMessage("two")], "", None),
    ],
)
def test_the_answer_in_an_output(value: Any, text: str, output: Any) -> None:
    found = read_answer(value)
    assert found.text == text
    if output is not None:
        assert found.output == output


def test_an_output_is_json_whatever_it_holds() -> None:
    found = read_answer({"answer": "hi", "documents": [Document("blue")], "other": object})
    assert found.output["documents"][0]["page_content"] == "blue"
    assert isinstance(found.output["other"], str)


def shape_of(taken: dict[str, Any], given: dict[str, Any], **values: Any) -> GraphShape | None:
    """Return the shape of a graph whose input and output have these fields."""
    inputs: Any = TypedDict("inputs", taken)  # type: ignore[misc]  # made here
    outputs: Any = TypedDict("outputs", given)  # type: ignore[misc]  # made here
    state: Any = TypedDict("state", {**taken, **given})  # type: ignore[misc]  # made here
    builder = StateGraph(state, input_schema=inputs, output_schema=outputs)
    builder.add_node("node", lambda state: {}).add_edge(START, "node")
    return find_shape(builder.compile(), "graph", GraphValues(**values))


@pytest.mark.parametrize(
    ("taken", "given", "values", "keys"),
    [
        ({"a": str}, {"b": str}, {}, ("a", "b")),
        ({"a": str, "n": int}, {"b": str, "n": int}, {}, ("a", "b")),
        ({"a": str | None, "n": int}, {"b": list[str]}, {}, ("a", "b")),
        ({"question": str, "context": str, "answer": str},) * 2 + ({}, ("question", "answer")),
        ({"question": str, "context": str, "answer": dict},) * 2 + ({}, ("question", "answer")),
        ({"text": str, "place": str}, {"b": str}, {"input": {"text": "x"}}, ("place", "b")),
        ({"a": str, "b": str}, {"c": str, "d": str}, {"input_key": "b", "output_key": "d"}, ("b", "d")),
        ({"a": str}, {"a": str}, {}, ("a", "a")),
        ({"mail": dict[str, Any]}, {"b": str}, {}, ("mail", "b")),
        ({"a": str, "b": NotRequired[str]}, {"c": str}, {}, ("a", "c")),
        ({"answer": str}, {"answer": str, "b": str}, {}, ("answer", "b")),
        (
            {"messages": list[AnyMessage]},
            {"messages": list[AnyMessage], "structured_response": dict},
            {},
            ("messages", "structured_response"),
        ),
    ],
)
def test_the_fields_of_question_and_answer(
    taken: dict[str, Any], given: dict[str, Any], values: dict[str, Any], keys: tuple[str, str]
) -> None:
    shape = shape_of(taken, given, **values)
    assert shape is not None
    assert (shape.question, shape.answer) == keys


def test_what_is_not_clear_is_refused_with_the_fields() -> None:
    with pytest.raises(UsageError, match="it holds: a, b") as refused:
        shape_of({"a": str, "b": str}, {"c": str})
    assert "--input-key" in refused.value.remedy
    with pytest.raises(UsageError, match="it holds: c, d") as refused:
        shape_of({"a": str}, {"c": str, "d": str})
    assert "--output-key" in refused.value.remedy
    with pytest.raises(UsageError, match="the input of the graph 'graph' has no field c; it has: a, b"):
        shape_of({"a": str, "b": str}, {"c": str}, input_key="c")
    with pytest.raises(UsageError, match="the output of the graph 'graph' has no field d; it has: c"):
        shape_of({"a": str}, {"c": str}, output_key="d")
    messages = {"messages": list[AnyMessage]}
    assert shape_of(messages, {"c": str, "d": str, "e": int}) is None, "its messages are the answer"


def test_a_question_is_read_as_what_the_graph_takes() -> None:
    def built(taken: Any, question: Any) -> Any:
        return GraphShape("graph", taken, "key").build([HumanMessage(question)], {"other": 1})

    assert built(str, "hi") == {"key": "hi", "other": 1}
    assert built(dict[str, int], '{"a": 1}') == {"key": {"a": 1}, "other": 1}
    with pytest.raises(UsageError, match="the field key of the graph 'graph' takes"):
        built(dict[str, int], "hi")
    image = [{"type": "text", "text": "what?"}, {"type": "image", "base64": "", "mime_type": "image/png"}]
    with pytest.raises(UsageError, match="takes text"):
        built(str, image)
    with pytest.raises(UsageError, match="takes the question alone"):
        GraphShape("graph", str).build([HumanMessage("hi")], {"other": 1})
    assert GraphShape("graph", str, "key").build([HumanMessage("hi")], {"key": "other"}) == {"key": "hi"}


def test_a_question_may_take_the_whole_thread_or_an_object() -> None:
    thread = [HumanMessage("one"), AIMessage("two"), HumanMessage("three")]
    assert GraphShape("graph", list[AnyMessage], whole_thread=True).build(thread, {}) == thread
    assert GraphShape("graph", list[AnyMessage]).build(thread, {}) == thread[-1:]
    assert GraphShape("graph", AnyMessage, "last").build(thread, {}) == {"last": thread[-1]}
    place = GraphShape("graph", str, "city", whole=Place)
    assert place.build([HumanMessage("Rome")], {"size": 3}) == {"city": "Rome", "size": 3}
    with pytest.raises(UsageError, match="the input of the graph 'graph': size: ") as refused:
        place.build([HumanMessage("Rome")], {"size": "large"})
    assert "large" not in refused.value.message


def test_a_turn_has_the_answer_that_it_wrote_itself() -> None:
    shape = GraphShape("graph", str, "key", "answer")
    assert shape.read_turn({"answer": "hi"}, [], is_new=True).text == "hi"
    assert shape.read_turn({"answer": "old"}, [], is_new=False).text is None
    with pytest.raises(UsageError, match=r"has no field answer; it has: other$"):
        shape.read_turn({"other": 1, "__internal": 2}, [], is_new=True)
    fallback = GraphShape("graph", list, "messages", "structured_response", is_fallback=True, is_chat=True)
    value = {"messages": [], "structured_response": {"a": 1}}
    assert fallback.read_turn({"messages": []}, [], is_new=True).text is None
    assert fallback.read_turn(value, [AIMessage("said")], is_new=True) == GraphAnswer(
        None, {"structured_response": {"a": 1}}
    )
    for since in ([], [AIMessage("")], [AIMessage("said"), ToolMessage("x", tool_call_id="1")]):
        assert fallback.read_turn(value, since, is_new=True).text == '{"a": 1}'


def test_an_answer_is_kept_once() -> None:
    question, said, other = HumanMessage("hi", id="1"), AIMessage("hello", id="2"), AIMessage("new", id="3")

    def kept(answer: GraphAnswer) -> list[str]:
        return [message.text for message in new_answers(answer, [question, said], [question, said])]

    assert kept(GraphAnswer("", {"a": 1})) == kept(GraphAnswer(None, None)) == kept(GraphAnswer("hello", None)) == []
    assert kept(GraphAnswer("hi", None)) == ["hi"], "an answer may repeat the question"
    assert kept(GraphAnswer("new", None, (said, other))) == ["new"]
    assert kept(GraphAnswer("new", None, (said,))) == ["new"]
    assert read_answer([question, said]).messages == (said,)
