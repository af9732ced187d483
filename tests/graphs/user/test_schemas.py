"""The values that a user graph takes, by its own schemas."""

import dataclasses
import operator
import sys
import typing
from datetime import date
from typing import Annotated, Any

import pydantic
import pytest
import typing_extensions
from langgraph.func import entrypoint
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.managed import RemainingSteps

from chatcli.config.values import TypedText
from chatcli.errors import MissingFieldError, UsageError
from chatcli.graphs.user.schemas import GraphSchemas, check_values
from chatcli.graphs.values import GivenValues, GraphValues, plain_values

UNTIL_3_12 = pytest.mark.skipif(sys.version_info >= (3, 12), reason="pydantic takes typing.TypedDict there")


class Inner(typing.TypedDict):
    """A type that pydantic refuses on Python 3.11."""

    x: int


class Unknown:
    """A type that can't be checked."""


class State(MessagesState):
    """A state of many types."""

    name: str
    count: int
    ratio: float
    sure: bool
    due: date
    words: Annotated[list[str], operator.add]
    tone: typing.Literal["short", "long"]
    maybe: typing_extensions.NotRequired[int | None]
    inner: Inner
    unknown: Unknown
    later: "Missing"  # type: ignore[name-defined]  # noqa: F821


@dataclasses.dataclass
class Data:
    """A state that no node can be called without."""

    topic: str
    words: Annotated[list[str], operator.add]
    steps: RemainingSteps
    hint: str = ""


class Model(pydantic.BaseModel):
    """The same, with an alias and its own check."""

    topic: str = pydantic.Field(alias="subject")
    size: int = 1

    @pydantic.field_validator("size", mode="before")
    @classmethod
    def _words(cls, value: Any) -> Any:
        return 2 if value == "two" else value


class Open(pydantic.BaseModel, extra="allow"):
    """A context that takes more than it names."""

    limit: int = 1


@dataclasses.dataclass
class Limit:
    """A context of two fields."""

    limit: int
    name: str = ""


def graph_of(state: Any, context: Any = None) -> Any:
    builder: Any = StateGraph(state, context_schema=context)
    return builder.add_node("go", lambda state: {}).add_edge(START, "go").compile()


def schemas_of(state: Any = MessagesState, context: Any = None) -> GraphSchemas:
    return GraphSchemas(graph_of(state, context))


@pytest.mark.parametrize(
    ("key", "typed", "settled"),
    [
        ("name", "7", "7"),
        ("name", "true", "true"),
        ("name", '"a b"', "a b"),
        ("name", '{"a": 1}', '{"a": 1}'),
        ("name", "", ""),
        ("count", "7", 7),
        ("ratio", "7", 7),
        ("ratio", "0.5", 0.5),
        ("sure", "false", False),
        ("due", "2026-01-31", "2026-01-31"),
        ("words", '["a"]', ["a"]),
        ("tone", "long", "long"),
        ("maybe", "null", None),
        pytest.param("inner", '{"x": "unchecked"}', {"x": "unchecked"}, marks=UNTIL_3_12),
        ("unknown", "[1", "[1"),
        ("later", "1", 1),
    ],
)
def test_a_value_is_read_as_its_type(key: str, typed: str, settled: Any) -> None:
    class Known(State):
        """The hints of this one can be read."""

        later: Any

    value = schemas_of(Known).settle("input", key, TypedText(typed))
    assert (value, type(value)) == (settled, type(settled))


@pytest.mark.parametrize(
    ("key", "typed"),
    [
        *[("count", "many"), ("count", "1.5"), ("count", "true"), ("count", '"7"'), ("ratio", "x"), ("sure", "1")],
        *[("due", "soon"), ("words", "a"), ("words", "[1]"), ("tone", "mid"), ("maybe", "x")],
    ],
)
def test_a_value_of_another_type_is_refused(key: str, typed: str) -> None:
    class Known(State):
        """The hints of this one can be read."""

        later: Any

    with pytest.raises(UsageError, match=f"the field {key} of the graph's input is of the type"):
        schemas_of(Known).settle("input", key, TypedText(typed))


def test_hints_that_can_not_be_read_are_not_checked() -> None:
    @dataclasses.dataclass
    class Context:
        later: "Missing"  # type: ignore[name-defined]  # noqa: F821

    schemas = schemas_of(context=Context)
    assert schemas.settle("context", "later", TypedText("x")) == "x"
    with pytest.raises(UsageError, match="no field other"):
        schemas.settle("context", "other", 1)


def test_an_input_gets_objects_of_its_types() -> None:
    class Known(State):
        """The hints of this one can be read."""

        later: Any

    schemas = schemas_of(Known)
    assert schemas.input({"due": "2026-01-31", "name": "a"}, {}) == {"due": date(2026, 1, 31), "name": "a"}


def test_only_an_input_that_no_node_can_be_called_without_is_required() -> None:
    assert schemas_of().input({}, {}) == {}
    with pytest.raises(MissingFieldError, match="the graph's input needs the field topic"):
        schemas_of(Data).input({}, {})  # what has a reducer has a value from the beginning
    assert schemas_of(Data).input({}, {"topic": "tea"}) == {}
    with pytest.raises(MissingFieldError, match="the field subject"):
        schemas_of(Model).input({}, {})

    def late(state: Data) -> dict[str, Any]:
        return {}

    builder: Any = StateGraph(Data)
    builder.add_node("first", lambda state: {"topic": "tea"}, input_schema=MessagesState)
    builder.add_node("late", late).add_edge(START, "first").add_edge("first", "late")
    assert GraphSchemas(builder.compile()).input({}, {}) == {}
    builder = StateGraph(Data)
    builder.add_node("late", late).set_conditional_entry_point(lambda state: "late", ["late"])
    with pytest.raises(MissingFieldError, match="the graph's input needs the field topic"):
        GraphSchemas(builder.compile()).input({}, {})


def test_a_model_has_its_aliases_and_its_own_conversions() -> None:
    schemas = schemas_of(context=Model)
    assert schemas.settle("context", "size", TypedText("two")) == "two"
    assert schemas.settle("context", "subject", TypedText("7")) == "7"
    with pytest.raises(UsageError, match="the field size"):
        schemas.settle("context", "size", TypedText("three"))
    made, _ = schemas.run(GraphValues(context={"subject": "tea", "size": "two"}))
    assert (made.topic, made.size) == ("tea", 2)
    with pytest.raises(UsageError, match="needs the field subject"):
        schemas.run(GraphValues())
    assert schemas_of(context=Open).settle("context", "anything", TypedText("1")) == 1


def test_an_entrypoint_has_the_fields_of_its_input() -> None:
    class Asked(typing.TypedDict):
        topic: str
        length: int

    @entrypoint()
    def write(asked: Asked) -> str:
        return ""

    @entrypoint()
    def anything(asked: dict[str, Any]) -> str:
        return ""

    schemas = GraphSchemas(write, "topic")
    assert schemas.settle("input", "length", TypedText("3")) == 3
    with pytest.raises(UsageError, match="takes the question"):
        schemas.settle("input", "topic", "x")
    with pytest.raises(UsageError, match="no field size"):
        schemas.settle("input", "size", 1)
    assert GraphSchemas(anything).settle("input", "size", TypedText("1")) == 1

    @entrypoint()
    def answer(asked: list[str]) -> str:
        return ""

    with pytest.raises(UsageError, match="the graph's input has no field size"):
        GraphSchemas(answer).settle("input", "size", 1)


def test_a_program_gives_plain_values() -> None:
    values = plain_values(context={"subject": "tea", "size": 3}, input={"topic": "x"}, input_key="q")
    graph = graph_of(Data, Model)
    assert check_values(graph, values).context == {"subject": "tea", "size": 3}
    assert check_values(graph.builder, values) == check_values(lambda: graph, values) == values
    for wrong in ({"size": "x"}, {"nothing": 1}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            check_values(graph, plain_values(context=wrong))
    with pytest.raises(TypeError, match="context must be a mapping, not list"):
        plain_values(context=[1])  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="keys of input must be texts"):
        plain_values(input={1: 2})  # type: ignore[dict-item]
    with pytest.raises(ValueError, match=r"context\['a'\]: .* is not a JSON value"):
        plain_values(context={"a": object()})
    with pytest.raises(ValueError, match="set by chat itself"):
        plain_values(configurable={"thread_id": "x"})


def test_values_are_read_back_as_they_were_kept() -> None:
    values = GraphValues(context={"a": 1}, input={"b": [None]}, input_key="q")
    assert GraphValues.read(values.as_json()) == values
    assert GraphValues.read({"context": 7, "input_key": [], "other": 1}) == GraphValues()
    over = GraphValues(context={"a": 2}).over(values)
    assert (over.context, over.input, over.input_key) == ({"a": 2}, {"b": [None]}, "q")
    assert not GraphValues()
    assert GivenValues().chosen == GraphValues()


def test_context_and_configurable_reach_a_graph_as_on_a_server() -> None:
    values = GraphValues(context={"limit": 2}, configurable={"limit": 3, "user": "ada"})
    assert schemas_of(context=Limit).run(values) == (Limit(2), {"limit": 3, "user": "ada"})
    copied = GraphValues(context={"name": "x"}, configurable={"limit": 3})
    assert schemas_of(context=Limit).run(copied) == (Limit(3, "x"), {"name": "x", "limit": 3})


def test_only_a_lacking_key_that_the_failure_names_is_missing() -> None:
    schemas = schemas_of()
    missing = schemas.missing_in(KeyError("name"), ["name", "count"])
    assert missing is not None
    assert missing.message == "the graph's input needs the field name"
    prompt = KeyError("Input to Prompt is missing variables {'count'}. Expected: ['count', 'name']")
    found = schemas.missing_in(prompt, ["name", "count"])
    assert found is not None
    assert "the field count" in found.message
    for other in (KeyError("elsewhere"), ValueError("name"), KeyError(), MissingFieldError(["name"])):
        assert schemas.missing_in(other, ["name", "count"]) is None
