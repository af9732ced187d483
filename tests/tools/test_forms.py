"""The forms of MCP servers: which are taken, what a typed text means, and what does not fit."""

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chatcli.tools.forms import form_schema, read_form, read_reply


def field(**part: Any) -> Any:
    [read] = read_form({"type": "object", "properties": {"x": part}})
    return read


@pytest.mark.parametrize(
    ("part", "text", "value"),
    [
        ({"type": "string"}, "a b", "a b"),
        ({"type": "string", "format": "email"}, "a@b.c", "a@b.c"),
        ({"type": "string", "format": "date"}, "2026-11-23", "2026-11-23"),
        ({"type": "integer"}, "-7", -7),
        ({"type": "number"}, "1.5", 1.5),
        ({"type": "boolean"}, "Yes", True),
        ({"type": "boolean"}, "n", False),
        ({"type": "string", "enum": ["a", "b"], "enumNames": ["First", "Second"]}, "second", "b"),
        ({"type": "string", "oneOf": [{"const": "#f00", "title": "Red"}]}, "red", "#f00"),
        ({"type": "array", "items": {"type": "string", "enum": ["a", "b", "c"]}}, "c, a", ["c", "a"]),
        ({"type": "array", "items": {"anyOf": [{"const": "a", "title": "A a"}]}}, "A a", ["a"]),
    ],
)
def test_a_typed_text_means_a_value(part: dict[str, Any], text: str, value: Any) -> None:
    assert field(**part).parse(text) == value


@pytest.mark.parametrize(
    ("part", "text"),
    [
        ({"type": "string", "minLength": 3}, "ab"),
        ({"type": "string", "format": "email"}, "nobody"),
        ({"type": "string", "format": "date-time"}, "yesterday"),
        ({"type": "integer", "maximum": 9}, "10"),
        ({"type": "integer"}, "1.5"),
        ({"type": "number"}, "nan"),
        ({"type": "integer"}, "9" * 5000),
        ({"type": "boolean"}, "maybe"),
        ({"type": "string", "enum": ["a"]}, "b"),
        ({"type": "array", "minItems": 2, "items": {"enum": ["a", "b"]}}, "a"),
    ],
)
def test_a_text_that_does_not_fit_is_refused(part: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match="x "):
        field(**part).parse(text)


@pytest.mark.parametrize(
    "schema",
    [
        None,
        {"properties": []},
        {"properties": {"x": {"type": "object"}}},
        {"properties": {"x": {"type": "array", "items": {"type": "string"}}}},
        {"properties": {"x": {"enum": [{"const": 1}]}}},
        {"properties": {str(number): {"type": "string"} for number in range(51)}},
    ],
)
def test_what_is_no_flat_form_is_refused(schema: Any) -> None:
    with pytest.raises(ValueError, match=r"form|field|values"):
        read_form(schema)


def test_a_reply_has_all_that_is_needed_defaults_and_nothing_else() -> None:
    schema = {
        "properties": {"name": {"type": "string"}, "size": {"enum": ["s", "l"], "default": "s"}},
        "required": ["name"],
    }
    fields = read_form(schema)
    assert read_reply(fields, {"name": "Ada"}) == {"action": "accept", "content": {"name": "Ada", "size": "s"}}
    assert read_reply(fields, {"action": "accept", "content": {"name": "Ada", "size": "l"}})["content"]["size"] == "l"
    assert read_reply(fields, {"action": "cancel"}) == {"action": "cancel"}
    assert read_reply(fields, "No") == {"action": "decline"}
    assert read_reply(fields[:1], "Ada") == {"action": "accept", "content": {"name": "Ada"}}
    for wrong in ({"size": "l"}, {"name": "Ada", "age": 3}, {"name": 3}, "Ada", 7, {"action": "accept"}):
        with pytest.raises(ValueError, match=r"needed|no field|takes|JSON"):
            read_reply(fields, wrong)
    assert read_form(form_schema(fields)) == fields


def test_a_default_that_the_form_itself_refuses_is_none() -> None:
    assert field(type="integer", minimum=5, default=1).default is None
    assert field(type="boolean", default=False).question() == "x (yes or no; Enter for no)"


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
_PART = st.dictionaries(
    st.sampled_from(["type", "title", "enum", "oneOf", "items", "default", "minimum", "maxLength", "format"]),
    _JSON | st.sampled_from(["string", "integer", "boolean", "array", "email"]),
)


@example({"a": {"type": "string", "oneOf": [""], "default": {}}}, None)  # a default that no set can hold
@given(st.dictionaries(st.text(max_size=5), _PART, max_size=3), _JSON)
def test_no_schema_and_no_reply_breaks_it(properties: dict[str, Any], reply: Any) -> None:
    try:
        fields = read_form({"properties": properties, "required": reply})
        assert all("\n" not in each.question() or "\n" in each.name for each in fields)
        read_reply(fields, reply)
    except ValueError:
        pass
