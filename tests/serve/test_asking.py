"""What a graph asks, as a form, as choices and in words; what a call is shown as."""

from pathlib import Path
from typing import Any

import pytest

from chatcli.events import ApprovalRequested
from chatcli.message import is_review
from chatcli.serve.acp.asking import choices_of, form_of, payload_text, read_words, words_decide
from chatcli.serve.acp.updates import diff_of, kind_of, locations_of, title_of

ROOT = Path("/project")


def asked(payload: Any, schema: dict[str, Any] | None = None) -> ApprovalRequested:
    return ApprovalRequested("1", payload, schema)


@pytest.mark.parametrize(
    ("payload", "schema", "labels", "values"),
    [
        (["red", "blue"], None, ["red", "blue"], ["red", "blue"]),
        ([1, 2.5], None, ["1", "2.5"], [1, 2.5]),
        ({"question": "?", "options": ["a", "b"]}, None, ["a", "b"], ["a", "b"]),
        ({"choices": [{"title": "A", "id": 7}]}, None, ["A"], [7]),
        ({"choices": [{"label": "A"}]}, None, ["A"], ["A"]),
        ([{"value": "x"}], None, ["x"], ["x"]),
        ("Sure?", {"type": "boolean"}, ["Yes", "No"], [True, False]),
        ("Which?", {"type": "string", "enum": ["a", "b"]}, ["a", "b"], ["a", "b"]),
        (["a", "a"], None, [], []),
        (["two\nlines"], None, [], []),
        (["x" * 300], None, [], []),
        ([["a"]], None, [], []),
        ([{"a": 1}], None, [], []),
        ([], None, [], []),
        (list(range(50)), None, [], []),
        ("text", None, [], []),
        (None, None, [], []),
        ({"options": "none"}, None, [], []),
    ],
)
def test_choices(payload: Any, schema: Any, labels: list[str], values: list[Any]) -> None:
    choices = choices_of(asked(payload, schema))
    assert list(choices) == labels
    assert list(choices.values()) == values


@pytest.mark.parametrize(
    ("payload", "schema", "properties", "required"),
    [
        ("Name?", None, {"answer": {"type": "string", "title": "Answer"}}, ["answer"]),
        (["a", "b"], None, {"answer": {"type": "string", "title": "Answer", "enum": ["a", "b"]}}, ["answer"]),
        ("How many?", {"type": "integer"}, {"answer": {"title": "Answer", "type": "integer"}}, ["answer"]),
        ("Sure?", {"type": "boolean"}, {"answer": {"title": "Answer", "type": "boolean"}}, ["answer"]),
        (
            "Who?",
            {
                "type": "object",
                "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
                "required": ["name"],
            },
            {"name": {"type": "string"}, "age": {"type": "integer"}},
            ["name"],
        ),
        (
            "Deep?",
            {"type": "object", "properties": {"a": {"type": "object"}}},
            {"answer": {"type": "string", "title": "Answer"}},
            ["answer"],
        ),
    ],
)
def test_forms(payload: Any, schema: Any, properties: dict[str, Any], required: list[str]) -> None:
    form, _ = form_of(asked(payload, schema))
    assert form == {"type": "object", "properties": properties, "required": required}


def test_words() -> None:
    assert read_words(asked({"options": [{"label": "Red", "value": "r"}]}), " red ") == "r"
    assert read_words(asked("?"), '{"a": 1}') == {"a": 1}
    assert read_words(asked("?"), "[1]") == [1]
    assert read_words(asked("?"), "17") == "17"
    assert read_words(asked("?"), "[" * 100_000) == "[" * 100_000


REVIEW = {"action_requests": [{"name": "weigh", "args": {}}], "review_configs": []}


def test_only_a_word_of_its_own_decides() -> None:
    assert words_decide(asked(REVIEW), " Approve ") == {"decisions": [{"type": "approve"}]}
    assert words_decide(asked(REVIEW), "no") == {"decisions": [{"type": "reject"}]}
    for text in ("a", "approve the design of this?", "no idea why", ""):
        assert words_decide(asked(REVIEW), text) is None
    only_edits = {**REVIEW, "review_configs": [{"action_name": "weigh", "allowed_decisions": ["edit"]}]}
    assert words_decide(asked(only_edits), "approve") is None


@pytest.mark.parametrize(
    "payload",
    [
        {"action_requests": "text"},
        {"action_requests": []},
        {"action_requests": ["text"]},
        {"action_requests": [{"name": "a", "args": ["x"]}]},
        {"action_requests": [{"name": "a"}], "review_configs": "none"},
        {"action_requests": [{"name": "a"}], "review_configs": [1]},
        {"type": "tool_approval", "args": "text"},
        "action_requests",
    ],
)
def test_what_only_looks_like_a_review_is_asked_like_anything_else(payload: Any) -> None:
    assert not is_review(payload)
    assert payload_text(payload)
    assert form_of(asked(payload))[0]["properties"].keys() == {"answer"}
    assert read_words(asked(payload), "fine") == "fine"


def test_a_payload_in_markdown() -> None:
    assert payload_text({"question": "Go?", "to": ["a", "b"]}) == '- question: Go?\n- to: ["a", "b"]'
    assert payload_text(["x", 1]) == "- x\n- 1"
    assert payload_text(None) == "null"


def test_calls_have_kinds_titles_places_and_changes() -> None:
    names = ("read_file", "edit_file", "search-web", "run_shell", "fetch_url", "write_todos", "delete_row", "weigh")
    assert [kind_of(name) for name in names] == [
        *("read", "edit", "search", "execute", "fetch", "edit", "delete", "other")
    ]
    assert title_of("run_shell", {"command": "ls -l"}) == "ls -l"
    assert title_of("weigh", {"what": "a cat"}) == 'weigh(what="a cat")'
    assert locations_of({"path": "a.txt", "first_line": 3}, ROOT) == [{"path": "/project/a.txt", "line": 3}]
    assert locations_of({"file_path": "/other/b.txt"}, ROOT) == [{"path": "/other/b.txt"}]
    assert locations_of({"path": "https://example.org"}, ROOT) == []
    edit = {"file_path": "a", "old_string": "x", "new_string": "y"}
    assert diff_of("edit_file", edit, ROOT) == [{"type": "diff", "path": "/project/a", "oldText": "x", "newText": "y"}]
    assert diff_of("write_file", {"path": "a", "content": "y"}, ROOT) == [
        {"type": "diff", "path": "/project/a", "newText": "y"}
    ]
    assert diff_of("read_file", {"path": "a", "content": "y"}, ROOT) == []
