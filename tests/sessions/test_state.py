"""The state beside the messages as plain data, its changes in a line, and the types of its keys."""

from dataclasses import dataclass
from typing import Annotated, Any, TypedDict

import pytest
from langchain_core.documents import Document
from langgraph.graph import START, MessagesState, StateGraph
from pydantic import BaseModel

from chatcli.errors import UsageError
from chatcli.sessions.state import StateKey, changes, in_one_line, plain_state, state_keys


class Place(BaseModel):
    """A pydantic model in a state."""

    name: str


@dataclass
class Point:
    """A dataclass in a state."""

    x: int


class Task(TypedDict):
    """A TypedDict that pydantic refuses before Python 3.12."""

    content: str


class Many(MessagesState):
    """A state with keys of many types."""

    count: Annotated[int, lambda old, new: old + new]
    share: float
    place: Place | None
    point: Point
    tasks: list[Task]
    anything: Any


KEYS = state_keys(StateGraph(Many).add_node("n", lambda state: {}).add_edge(START, "n").compile())


class Odd:
    """An object that no JSON has a form for."""

    def __repr__(self) -> str:
        return "odd"


def test_objects_become_their_fields() -> None:
    values = {
        "messages": ["hidden"],
        "branch:to:n": None,
        "__end__": 1,
        "chatcli_asked": "hidden",
        "place": Place(name="Rome"),
        "point": Point(1),
        "found": [Document("text")],
        "tags": {"one"},
        "bytes": b"\xff",
        "odd": Odd(),
        "nan": float("nan"),
    }
    state = plain_state(values)
    assert state["found"][0]["page_content"] == "text"
    del state["found"]
    assert state == {
        "place": {"name": "Rome"},
        "point": {"x": 1},
        "tags": ["one"],
        "bytes": "_w==",
        "odd": "odd",
        "nan": "NaN",
    }
    assert plain_state("the value of an entrypoint") == {}
    assert plain_state(Point(3)) == {"x": 3}
    loop: list[Any] = []
    loop.append(loop)
    assert plain_state({"loop": loop}) == {"loop": "[[...]]"}


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("count", "3", 3),
        ("share", "3", 3.0),
        ("place", "null", None),
        ("place", '{"name": "Rome"}', Place(name="Rome")),
        ("point", '{"x": 1}', Point(1)),
        ("tasks", '[{"content": "a"}]', [{"content": "a"}]),
        ("anything", "some words", "some words"),
    ],
)
def test_a_value_that_fits_is_read(key: str, text: str, value: object) -> None:
    assert KEYS[key].read(text) == value


@pytest.mark.parametrize(
    ("key", "text", "kind"),
    [
        ("count", '"3"', "int"),
        ("count", "true", "int"),
        ("count", "many", "int"),
        ("share", "[]", "float"),
        ("place", '{"name": 5}', "Place | None"),
        ("point", '{"y": 1}', "Point"),
        ("tasks", "{}", "list"),
    ],
)
def test_a_value_of_another_type_is_refused_with_the_type(key: str, text: str, kind: str) -> None:
    with pytest.raises(UsageError, match="does not fit the key") as refused:
        KEYS[key].read(text)
    assert key in refused.value.message
    assert kind in refused.value.message


def test_a_text_that_looks_like_json_is_a_text_where_one_is_wanted() -> None:
    assert StateKey("language", str).read("5") == "5"
    assert StateKey("language", str).read('"Spanish"') == "Spanish"
    with pytest.raises(UsageError, match="nested too deeply"):
        StateKey("deep").read("[" * 500 + "]" * 500)


def test_messages_and_langgraphs_own_keys_are_not_of_the_state() -> None:
    assert set(KEYS) == {"count", "share", "place", "point", "tasks", "anything"}


def test_changes_are_one_line() -> None:
    old = {"count": 1, "todos": ["a"], "files": {"a": "1", "b": "2"}, "gone": "x"}
    new = {"count": 2, "todos": ["a", "b"], "files": {"a": "3", "c": "4"}, "language": "two\nlines"}
    assert changes(old, new) == ("count 1 -> 2, todos 1 -> 2 items, files ~a +c -b, language = two lines, gone = null")
    assert changes(new, new) == ""
    assert len(changes({}, {str(n): "word" for n in range(500)})) == 200
    assert in_one_line("x" * 1000).endswith("...")
