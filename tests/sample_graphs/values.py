"""Graphs that take values beside the messages, for `--graph tests/sample_graphs/values.py:NAME`."""

import operator
from dataclasses import dataclass, field
from datetime import date
from typing import Annotated, Any, Literal, NotRequired, TypedDict

from langchain_core.messages import AIMessage, AnyMessage
from langchain_core.prompts import ChatPromptTemplate, MessagesPlaceholder
from langchain_core.runnables import RunnableConfig
from langgraph.graph import START, MessagesState, StateGraph, add_messages
from langgraph.runtime import Runtime
from langgraph.types import interrupt
from pydantic import BaseModel, Field


def say(text: str) -> dict[str, Any]:
    """Return the update that answers with `text`."""
    return {"messages": [AIMessage(text)]}


def graph_of(node: Any, state: Any = MessagesState, context: Any = None) -> StateGraph[Any, Any, Any, Any]:
    """Return a graph of one node."""
    return StateGraph(state, context_schema=context).add_node("answer", node).add_edge(START, "answer")


class Tutorial(TypedDict):
    """The state of LangGraph's chatbot tutorial."""

    messages: Annotated[list[AnyMessage], add_messages]
    language: str


prompt = ChatPromptTemplate.from_messages([("system", "Answer in {language}."), MessagesPlaceholder("messages")])


def in_language(state: Tutorial) -> dict[str, Any]:
    """Answer with the prompt and the last question."""
    asked = prompt.invoke(dict(state)).to_messages()
    return say(f"{asked[0].text} {asked[-1].text}?")


tutorial = graph_of(in_language, Tutorial).compile()


class Kept(MessagesState):
    """A state that a graph goes on with: a counter, and a list with a reducer."""

    count: NotRequired[int]
    documents: Annotated[list[str], operator.add]
    due: NotRequired[date]


def count_up(state: Kept) -> dict[str, Any]:
    """Count, and answer with all that the state holds."""
    number = state.get("count", 0) + 1
    due = state["due"].isoformat() if "due" in state else "never"
    return {**say(f"{number} {state['documents']} due {due}"), "count": number}


kept = graph_of(count_up, Kept)


@dataclass
class Wanted:
    """An input without which no node can be called."""

    topic: str
    messages: Annotated[list[AnyMessage], add_messages] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)


def on_topic(state: Wanted) -> dict[str, Any]:
    """Answer with the topic."""
    return say(f"about {state.topic}")


wanted = graph_of(on_topic, Wanted)


@dataclass
class User:
    """A context with required fields."""

    user_id: str
    limit: int
    tags: list[str] = field(default_factory=list)
    since: date | None = None


class Model(BaseModel):
    """A context that checks itself."""

    user_id: str
    limit: int = Field(default=1, ge=1, le=10)
    tone: Literal["short", "long"] = "short"


class Loose(TypedDict):
    """A context whose fields are required only where they are read."""

    user_id: str
    nickname: str


def describe(state: MessagesState, runtime: Runtime[Any]) -> dict[str, Any]:
    """Answer with the context."""
    context = runtime.context
    fields = context if isinstance(context, dict) else vars(context)
    return say(", ".join(f"{name}={value!r}" for name, value in fields.items()))


def read_user(state: MessagesState, runtime: Runtime[Loose]) -> dict[str, Any]:
    """Answer with a field that must be there and one that may be missing."""
    return say(f"{runtime.context['user_id']} called {runtime.context.get('nickname')}")


def read_config(state: MessagesState, config: RunnableConfig) -> dict[str, Any]:
    """Answer with what is configurable."""
    found = {key: config["configurable"].get(key) for key in ("user_id", "limit", "thread_id")}
    return say(", ".join(f"{key}={value!r}" for key, value in found.items()))


def ask_first(state: MessagesState, runtime: Runtime[User]) -> dict[str, Any]:
    """Ask, and answer with the context and what was said."""
    given = interrupt("Sure?")
    return say(f"{runtime.context.user_id} said {given}")


by_dataclass = graph_of(describe, context=User)
by_model = graph_of(describe, context=Model)
by_typed_dict = graph_of(read_user, context=Loose)
by_dict = graph_of(describe, context=dict)
by_config = graph_of(read_config)
by_config_of_user = graph_of(read_config, context=User)
asking = graph_of(ask_first, context=User)
