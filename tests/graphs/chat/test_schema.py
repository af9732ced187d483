"""Schemas that are made to break what reads them, and answers that take long to check."""

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatcli.errors import UsageError
from chatcli.graphs.chat import answer_schema as module
from chatcli.graphs.chat.answer_schema import AnswerSchema, load_schema


def _load(folder: Path, schema: Any) -> AnswerSchema:
    (folder / "s.json").write_text(json.dumps(schema))
    return load_schema(folder / "s.json")


def _doubling(levels: int) -> dict[str, Any]:
    """Return a schema of a few lines that is checked 2 to the power of `levels` times."""
    parts = {f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(levels)}
    return {"$ref": "#/$defs/d0", "$defs": {**parts, f"d{levels}": {}}}


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        ({"$id": "http://[x"}, "URL"),
        ({"properties": {"a": {"$id": "http://[x"}}}, "URL"),
        ({"$schema": "http://[x"}, "URL"),
        ({"$schema": 5}, "no"),
        ({"$schema": []}, "no"),
        ({"$ref": "http://[x"}, "leads to no schema"),
        ({"$ref": "http://127.0.0.1:9/x.json"}, "leads to no schema"),
        ({"properties": {"a": {"$ref": "file:///etc/passwd"}}}, "leads to no schema"),
        ({"$ref": "#/a/b/%zz"}, "leads to no schema"),
        ({"$ref": "#/type/x", "type": ["object"]}, "leads to no schema"),
        ({"$ref": "#/x", "x": 5}, "leads to no schema"),
        ({"$schema": "http://json-schema.org/draft-04/schema#", "$ref": "#/x"}, "leads to no schema"),
        ({"$ref": "#"}, "without end"),
        ({"allOf": [{"$ref": "#"}]}, "without end"),
        ({"$dynamicRef": "#x", "$dynamicAnchor": "x"}, "without end"),
        ({"pattern": "a{99999999999999999999}"}, "too large"),
        ({"pattern": "(" * 5000 + ")" * 5000}, "too deep"),
    ],
)
def test_a_schema_that_cannot_be_followed_is_refused(tmp_path: Path, schema: Any, reason: str) -> None:
    with pytest.raises(UsageError, match=f"is not a valid JSON Schema: .*{reason}"):
        _load(tmp_path, schema)


def test_a_schema_may_come_through_a_pipe() -> None:
    reader, writer = os.pipe()
    os.write(writer, b'{"type": "null"}')
    os.close(writer)
    assert load_schema(Path(f"/dev/fd/{reader}")).problem("null") is None
    os.close(reader)


def test_references_within_the_schema_are_followed(tmp_path: Path) -> None:
    tree = _load(tmp_path, {"properties": {"left": {"$ref": "#"}}, "additionalProperties": False})
    assert tree.problem('{"left": {"left": {}}}') is None
    assert "right" in str(tree.problem('{"left": {"right": 1}}'))
    named = {"$ref": "b", "$defs": {"b": {"$id": "b", "$ref": "#c", "$defs": {"c": {"$anchor": "c", "type": "null"}}}}}
    assert _load(tmp_path, named).problem("null") is None


def test_a_schema_whose_check_never_ends_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_SECONDS", 0.5)
    with pytest.raises(UsageError, match=r"not checked within 0\.5 seconds"):
        _load(tmp_path, _doubling(40))


@pytest.mark.parametrize(
    "schema", [{"properties": {"a": {"pattern": "^(a+)+$"}}}, {"patternProperties": {"^(b+)+$": {}}}, {"not": {}}]
)
def test_an_answer_whose_check_never_ends_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, schema: dict[str, Any]
) -> None:
    monkeypatch.setattr(module, "MAX_SECONDS", 0.5)
    answer = json.dumps({"a": "a" * 50 + "!", "b" * 50 + "!": 1})
    loaded = _load(tmp_path, schema)
    if "not" in schema:
        assert loaded.problem(answer) is not None, "the limit is gone with the check before it"
        return
    with pytest.raises(UsageError, match=r"not checked within 0\.5 seconds"):
        loaded.problem(answer)


def test_a_schema_that_never_ends_for_some_answers_is_refused_with_them(tmp_path: Path) -> None:
    loaded = _load(tmp_path, {"properties": {"a": {"$ref": "#/properties/a"}}})
    assert loaded.problem("{}") is None
    with pytest.raises(UsageError, match="without end"):
        loaded.problem('{"a": 1}')


_KEYS = ["$id", "$ref", "$schema", "$anchor", "$dynamicRef", "$defs", "type", "pattern", "properties", "items"]
_KEYS += ["patternProperties", "allOf", "not", "enum", "const", "multipleOf", "format", "title", "a", "required"]
_TEXTS = (
    st.sampled_from(["#", "#/$defs/a", "#a", "http://[x", "urn:x", "a/%", "string", "(", "^a*$", "date"]) | st.text()
)
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | _TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(_KEYS) | st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(schema=_VALUES, answer=_VALUES)
def test_any_schema_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, schema: Any, answer: Any) -> None:
    folder = tmp_path_factory.getbasetemp()
    with suppress(UsageError):
        loaded = _load(folder, schema)
        assert isinstance(loaded.problem(json.dumps(answer)), str | None)
