"""The values that an app on a server takes, by its JSON Schemas."""

from typing import Any

import pytest

from chatcli.config.values import TypedText
from chatcli.errors import UsageError
from chatcli.graphs.server.schemas import ServerSchemas
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
    assert dict(SCHEMAS.run(both).configurable) == {"user_id": "7", "other": 1}
    assert SCHEMAS.run(both).context is None
    assert SCHEMAS.run(GraphValues(context={"user_id": "7"})).context == {"user_id": "7"}
    assert SCHEMAS.run(GraphValues()).context is None
