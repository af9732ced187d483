"""The context of a user graph: what its schema's constructor makes of what is given."""

import dataclasses
import typing
from typing import Any

import pydantic
import pytest
import typing_extensions

from chatcli.errors import UsageError
from chatcli.graphs.user.schemas import build_context


@dataclasses.dataclass
class Data:
    user: str
    tone: str = "kind"
    tags: list[str] = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class Failing:
    def __post_init__(self) -> None:
        raise ValueError("no weather today")


class Model(pydantic.BaseModel):
    user: str
    tone: str = "kind"


class Typed(typing.TypedDict):
    user: str
    tone: typing_extensions.NotRequired[str]


class Extended(typing_extensions.TypedDict):
    user: str


class Plain:
    def __init__(self, tone: str = "kind") -> None:
        self.tone = tone


@pytest.mark.parametrize("schema", [Data, Model])
def test_the_constructor_adds_the_defaults(schema: Any) -> None:
    context = build_context(schema, {"user": "7"})
    assert isinstance(context, schema)
    assert (context.user, context.tone) == ("7", "kind")


@pytest.mark.parametrize("schema", [Data, Model])
def test_a_required_field_that_is_missing_is_named(schema: Any) -> None:
    with pytest.raises(UsageError, match="needs the field user"):
        build_context(schema, {})


@pytest.mark.parametrize("schema", [Typed, Extended])
def test_a_typed_dict_misses_a_field_only_where_it_is_read(schema: Any) -> None:
    assert build_context(schema, {"user": "7"}) == {"user": "7"}
    context = build_context(schema, {})
    assert context
    assert context.get("user", "nobody") == "nobody"
    with pytest.raises(UsageError, match="needs the field user"):
        context["user"]
    with pytest.raises(KeyError, match="other"):
        context["other"]


def test_other_schemas() -> None:
    assert build_context(Plain, {}).tone == "kind"
    assert build_context(dict, {"a": 1}) == {"a": 1}
    assert build_context(None, {}) is None
    with pytest.raises(UsageError, match=r"\(Failing\) can't be built: ValueError: no weather today .*line \d+"):
        build_context(Failing, {})
    with pytest.raises(UsageError, match=r"can't be built: .*other"):
        build_context(Plain, {"other": 1})
