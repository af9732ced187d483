"""The values that an app on a server takes, by its JSON Schemas."""

from typing import Any

import pytest
from langchain_core.messages import BaseMessage

from chatcli.config.values import TypedText
from chatcli.errors import UsageError
from chatcli.graphs.server.schemas import ServerSchemas, find_shape
from chatcli.graphs.shape import GraphShape
from chatcli.graphs.values import GraphValues, Kind

CONTEXT: dict[str, Any] = {
    "$defs": {"Tone": {"enum": ["short", "long"]}},
    "properties": {
        "user_id": {"type": "string"},
        "limit": {"anyOf": [{"type": "integer", "minimum": 1}, {"type": "null"}]},
        "tone": {"$ref": "#/$defs/Tone"},
    },
    "required": ["user_id"],
}
SCHEMAS = ServerSchemas({"context_schema": CONTEXT, "input_schema": None, "state_schema": {"properties": {"a": {}}}})


@pytest.mark.parametrize(
    ("key", "typed", "settled"),
    [
        ("user_id", "7", "7"),
        ("user_id", '"7"', "7"),
        ("limit", "7", 7),
        ("limit", "null", None),
        ("tone", "long", "long"),
    ],
)
def test_a_value_is_read_as_its_type(key: str, typed: str, settled: Any) -> None:
    assert SCHEMAS.settle("context", key, TypedText(typed)) == settled


@pytest.mark.parametrize(
    ("kind", "key", "value", "words"),
    [
        ("context", "limit", TypedText("many"), "the field limit .* type integer | null: not 'many'"),
        ("context", "limit", 0, "the field limit"),
        ("context", "tone", "mid", "type Tone"),
        ("context", "nothing", 1, "has no field nothing"),
        ("configurable", "limit", "many", "the field limit"),
        ("configurable", "__x", 1, "set by chat itself"),
        ("input", "b", 1, "has no field b"),
    ],
)
def test_what_does_not_fit_is_refused(kind: Kind, key: str, value: Any, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        SCHEMAS.settle(kind, key, value)


def test_a_schema_that_the_server_can_not_describe_takes_anything() -> None:
    unknown = ServerSchemas({"context_schema": None, "input_schema": None, "state_schema": None})
    assert unknown.settle("context", "a", TypedText("[1]")) == [1]
    assert unknown.settle("input", "a", TypedText("x")) == "x"
    assert unknown.types() == {}
    odd = ServerSchemas({"context_schema": {"properties": {"a": {"$ref": "#/nowhere"}}}, "input_schema": []})
    assert odd.settle("context", "a", 1) == 1
    whole = ServerSchemas({"context_schema": {"$ref": "#/$defs/C", "$defs": {"C": CONTEXT}}})
    assert ("context", "limit") in whole.types()


def test_both_groups_are_sent_as_one() -> None:
    both = GraphValues(context={"user_id": "7"}, configurable={"other": 1})
    assert dict(SCHEMAS.run(both)[1]) == {"user_id": "7", "other": 1}
    assert SCHEMAS.run(both)[0] is None
    assert SCHEMAS.run(GraphValues(context={"user_id": "7"}))[0] == {"user_id": "7"}
    assert SCHEMAS.run(GraphValues())[0] is None
    assert SCHEMAS.run(GraphValues(context={"a": 1}, configurable={"a": 1}))[1] == {"a": 1}
    with pytest.raises(UsageError, match="takes one value of a"):
        SCHEMAS.run(GraphValues(context={"a": 1}, configurable={"a": 2}))


def test_an_older_server_has_the_context_under_another_name() -> None:
    older = ServerSchemas({"config_schema": CONTEXT, "input_schema": None})
    assert {("context", name) for name in CONTEXT["properties"]} == set(older.types())


def shape(taken: Any, given: Any = None, state: Any = None, **values: Any) -> GraphShape | None:
    schemas = {"input_schema": taken, "output_schema": given, "state_schema": state}
    return find_shape("app", schemas, GraphValues(**values))


TEXT = {"type": "string"}
QUESTION = {"properties": {"question": TEXT, "style": {"anyOf": [TEXT, {"type": "null"}]}}, "required": ["question"]}
ANSWER = {"properties": {"answer": TEXT, "documents": {"type": "array", "items": TEXT}}}
MESSAGES = {
    "properties": {"messages": {"type": "array", "items": {"oneOf": [{"$ref": "#/$defs/AIMessage"}]}}, "language": TEXT}
}
ENTRYPOINT: dict[str, Any] = {"properties": {"__end__": {}}}


def test_the_question_and_the_answer_are_found_in_the_schemas_of_an_app() -> None:
    assert shape(QUESTION, ANSWER) == GraphShape("app", str, "question", "answer")
    both = {"properties": {**QUESTION["properties"], **ANSWER["properties"]}}  # type: ignore[dict-item]
    assert shape(None, None, both) == GraphShape("app", str, "question", "answer")
    assert shape(QUESTION, ANSWER, input_key="style", output_key="documents") == GraphShape(
        "app", str, "style", "documents"
    )
    with pytest.raises(UsageError, match="the output of the graph 'app' has no field nothing"):
        shape(QUESTION, ANSWER, output_key="nothing")


def test_an_app_of_messages_has_no_other_shape() -> None:
    assert shape(MESSAGES, MESSAGES) is None
    assert shape(None, None, MESSAGES) is None
    assert shape(None, None, None) is None
    assert shape(MESSAGES, ANSWER) == GraphShape("app", list[BaseMessage], "messages", "answer", is_chat=True)


@pytest.mark.parametrize(
    ("taken", "hint"),
    [
        (TEXT, str),
        ({}, Any),
        ({"type": "string", "format": "date"}, Any),
        ({"enum": ["a"], "type": "string"}, Any),
        ({"type": "integer"}, int),
        ({"anyOf": [TEXT, {"type": "null"}]}, str),
        ({"anyOf": [TEXT, {"type": "array", "items": {"type": "integer"}}]}, str | list[int]),
        ({"type": "array", "items": {"$ref": "#/$defs/BaseMessage"}}, list[BaseMessage]),
        ({"$ref": "#/$defs/Odd"}, Any),
    ],
)
def test_an_entrypoint_takes_what_its_schema_says(taken: Any, hint: Any) -> None:
    assert shape(taken, {}, ENTRYPOINT) == GraphShape("app", hint)


def test_the_key_of_an_entrypoint_may_have_to_be_named() -> None:
    assert shape(QUESTION, {}, ENTRYPOINT) == GraphShape("app", str, "question")
    with pytest.raises(UsageError, match="does not say which key takes the question"):
        shape({"type": "object"}, {}, ENTRYPOINT)
    assert shape({"type": "object"}, {}, ENTRYPOINT, input_key="q") == GraphShape("app", Any, "q")
