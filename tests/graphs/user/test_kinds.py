"""What a user graph may be, told by its parameters alone."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest
from langchain_core.language_models.fake_chat_models import FakeListChatModel
from langchain_core.runnables import RunnableConfig
from langgraph.func import entrypoint
from langgraph.graph import MessagesState, StateGraph

from chatcli.errors import UsageError
from chatcli.graphs.user.kinds import Kind, kind_of, name_of, takes_history
from tests.sample_graphs.small import builder, graph


def reply(message: str, history: list[Any]) -> str: ...  # type: ignore[empty-body]
def plain(message, history): ...  # type: ignore[no-untyped-def]
def by_types(said: str, before: list[str]) -> str: ...  # type: ignore[empty-body]
def without_history(message: str) -> str: ...  # type: ignore[empty-body]
def with_more(message: str, history: list[Any], *, loud: bool = False) -> str: ...  # type: ignore[empty-body]
def keyed(key: str, message: str, history: list[Any]) -> str: ...  # type: ignore[empty-body]


def nothing() -> Any: ...
def config(config: RunnableConfig) -> Any: ...
def by_annotation(run: RunnableConfig) -> Any: ...
def both(config: RunnableConfig, runtime: Any) -> Any: ...
def defaults(model: str = "gpt-4o-mini", prompt: str = "") -> Any: ...
@contextmanager
def managed() -> Iterator[Any]:
    yield graph


def too_many(one: str, two: str, three: str) -> str: ...  # type: ignore[empty-body]
def others(one: str, two: int) -> str: ...  # type: ignore[empty-body]
def keyword(*, message: str) -> str: ...  # type: ignore[empty-body]
def pieces_of_nothing() -> Iterator[str]:
    yield ""


@entrypoint()
def flow(question: str) -> str:
    return question


class Bot:
    def __call__(self, message: str, history: list[Any]) -> str: ...  # type: ignore[empty-body]


@pytest.mark.parametrize(
    ("found", "kind"),
    [
        *((found, Kind.GRAPH) for found in (graph, builder, flow)),
        (FakeListChatModel(responses=[]), Kind.RUNNABLE),
        *((found, Kind.FUNCTION) for found in (reply, plain, by_types, without_history, with_more, Bot())),
        (partial(keyed, "key"), Kind.FUNCTION),
        *((found, Kind.FACTORY) for found in (nothing, config, by_annotation, both, defaults, managed)),
        (lambda question="x": graph, Kind.FACTORY),
        (lambda message="x": graph, Kind.FUNCTION),
    ],
)
def test_the_kind_of_what_may_be_a_graph(found: object, kind: Kind) -> None:
    assert kind_of(found, "it") is kind


@pytest.mark.parametrize("found", [3, "graph", None, {}, StateGraph, too_many, others, keyword, pieces_of_nothing])
def test_what_can_be_no_graph(found: object) -> None:
    with pytest.raises(UsageError, match=r"^it is "):
        kind_of(found, "it")


def test_a_function_gets_the_history_if_it_takes_it() -> None:
    assert takes_history(reply)
    assert not takes_history(without_history)


def test_the_name_of_a_graph_is_its_own() -> None:
    unnamed = StateGraph(MessagesState)
    assert [name_of(found) for found in (graph, flow, reply, partial(keyed, "key"))] == [
        *("compiled", "flow", "reply", "keyed"),
    ]
    assert [name_of(found) for found in (unnamed, lambda: graph, Bot())] == ["graph", "graph", "graph"]
