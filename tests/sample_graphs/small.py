"""Small graphs of a user's own, for `--graph tests/sample_graphs/small.py:NAME`; none needs a model or a key."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated, Any, TypedDict

from langchain_core.language_models.fake_chat_models import FakeListChatModel
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, ToolMessage
from langchain_core.runnables import RunnableConfig
from langgraph.config import get_stream_writer
from langgraph.constants import TAG_NOSTREAM
from langgraph.graph import START, MessagesState, StateGraph, add_messages
from langgraph.runtime import Runtime
from langgraph.types import interrupt

WEIGH = {"name": "weigh", "args": {"what": "a cat"}, "id": "call-1", "type": "tool_call"}


async def echo(state: MessagesState) -> dict[str, Any]:
    """Answer with the questions so far, a token at a time."""
    asked = [message.text for message in state["messages"] if isinstance(message, HumanMessage)]
    model = FakeListChatModel(responses=[f"You asked: {', '.join(asked)}."])
    return {"messages": [await model.ainvoke(state["messages"])]}


def builder_of(node: Any, name: str = "speak") -> StateGraph[Any]:
    """Return a graph of one node."""
    builder = StateGraph(MessagesState)
    builder.add_node(name, node)
    builder.add_edge(START, name)
    return builder


builder = builder_of(echo)
graph = builder.compile(name="compiled")


def factory(config: RunnableConfig) -> StateGraph[Any]:
    """Make the graph for a run."""
    assert config.get("configurable") is not None
    return builder


@asynccontextmanager
async def managed() -> AsyncIterator[Any]:
    """Make the graph within a context."""
    print("opened")  # noqa: T201 - what a graph prints is under test
    yield graph


def whole(state: MessagesState) -> dict[str, Any]:
    """Answer without streaming, as plain data."""
    return {"messages": [{"role": "assistant", "content": "all at once"}]}


async def hidden(state: MessagesState) -> dict[str, Any]:
    """Ask a model that nobody is to hear, and report on it."""
    get_stream_writer()({"progress": "thinking"})
    print("printed by a node")  # noqa: T201
    model = FakeListChatModel(responses=["a secret thought"])
    await model.ainvoke("think", {"tags": [TAG_NOSTREAM]})
    return {"messages": [AIMessage("the answer")]}


whole_graph = builder_of(whole)
hidden_graph = builder_of(hidden)


def weigh(state: MessagesState) -> dict[str, Any]:
    """Give the result of the call."""
    return {"messages": [ToolMessage("a cat: 4 kg", tool_call_id="call-1", name="weigh")]}


def weigh_plainly(state: MessagesState) -> dict[str, Any]:
    """Give the result as plain data, as LangGraph's memory agent does."""
    return {"messages": [{"role": "tool", "content": "a cat: 4 kg", "tool_call_id": "call-1"}]}


def _weighing(result: Any) -> StateGraph[Any]:
    builder = StateGraph(MessagesState)
    builder.add_node("plan", lambda state: {"messages": [AIMessage("Let me see.", tool_calls=[WEIGH])]})
    builder.add_node("weigh", result)
    builder.add_node(
        "team", builder_of(lambda state: {"messages": [AIMessage("It weighs 4 kg.")]}, "conclude").compile()
    )
    builder.add_edge(START, "plan")
    builder.add_edge("plan", "weigh")
    builder.add_edge("weigh", "team")
    return builder


tools = _weighing(weigh)
raw_tools = _weighing(weigh_plainly)


def approve(state: MessagesState) -> dict[str, Any]:
    """Ask the user, and answer with what they say."""
    given = interrupt({"question": "Shall I?", "amounts": [1, 2]})
    return {"messages": [AIMessage(f"You said {given!r}.")]}


def review(state: MessagesState) -> dict[str, Any]:
    """Ask for a decision on a tool call, in the shape of langchain's middleware."""
    request = {
        "action_requests": [{"name": "weigh", "args": {"what": "a cat"}, "description": "Weighing is costly."}],
        "review_configs": [{"action_name": "weigh", "allowed_decisions": ["approve", "edit", "reject"]}],
    }
    return {"messages": [AIMessage(f"Decided: {interrupt(request)}")]}


asking = builder_of(approve)
reviewing = builder_of(review)
two_questions = StateGraph(MessagesState)
for number in ("first", "second"):
    two_questions.add_node(number, lambda state, of=number: {"messages": [AIMessage(f"{of}: {interrupt(of)}")]})
    two_questions.add_edge(START, number)


def fail(state: MessagesState) -> dict[str, Any]:
    """Fail on every question but one."""
    if state["messages"][-1].text == "work":
        return {"messages": [AIMessage("fine")]}
    words: dict[str, str] = {}
    return {"messages": [AIMessage(words["missing"])]}


async def drag(state: MessagesState) -> dict[str, Any]:
    """Say something, and then take a minute."""
    model = FakeListChatModel(responses=["It begins"])
    await model.ainvoke("go")
    if state["messages"][-1].text == "slow":
        await asyncio.sleep(600)
    return {"messages": [AIMessage("and ends.")]}


failing = builder_of(fail)
slow = builder_of(drag)


class Numbers(TypedDict):
    """A state that is no conversation's."""

    count: int
    total: float


numbers = StateGraph(Numbers)
numbers.add_node("add", lambda state: {"count": 1})
numbers.add_edge(START, "add")


class Counted(TypedDict):
    """A state with more than messages, which are kept by a reducer of its own."""

    messages: Annotated[list[AnyMessage], add_messages]
    turns: Annotated[int, lambda old, new: old + new]


def count(state: Counted) -> dict[str, Any]:
    """Say how often this was called."""
    return {"turns": 1, "messages": [AIMessage(f"turn {state.get('turns', 0) + 1}")]}


counting = StateGraph(Counted)
counting.add_node("count", count)
counting.add_edge(START, "count")


@dataclass(kw_only=True)
class Settings:
    """A context in the shape of LangGraph's templates, which reads the environment where it is made."""

    model: str = "a default"

    def __post_init__(self) -> None:
        self.model = os.environ.get("MODEL", self.model)


class Wanted(TypedDict):
    """A context whose field is read only for one question."""

    user: str


def name_model(state: MessagesState, runtime: Runtime[Settings]) -> dict[str, Any]:
    """Answer with the context's field."""
    return {"messages": [AIMessage(f"by {runtime.context.model}")]}


def name_user(state: MessagesState, runtime: Runtime[Wanted]) -> dict[str, Any]:
    """Answer with what the context has, or must have."""
    read = runtime.context.__getitem__ if state["messages"][-1].text == "must" else runtime.context.get
    return {"messages": [AIMessage(f"for {read('user')}")]}


with_settings = StateGraph(MessagesState, Settings).add_node(name_model).add_edge(START, "name_model")
with_user = StateGraph(MessagesState, Wanted).add_node(name_user).add_edge(START, "name_user")

without_checkpointer = builder_of(echo).compile(checkpointer=False)


async def delegate(state: MessagesState) -> dict[str, Any]:
    """Let a graph answer that keeps nothing."""
    return {"messages": (await without_checkpointer.ainvoke(state))["messages"][-1:]}


delegating = builder_of(delegate)
silent = builder_of(lambda state: {})
