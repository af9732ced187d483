"""The apps on the tests' LangGraph server; they need no model and no key."""

import asyncio
from dataclasses import dataclass, field
from typing import Any, TypedDict

from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, AnyMessage, ToolMessage
from langchain_core.runnables import RunnableConfig
from langgraph.config import get_config
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition
from langgraph.runtime import Runtime
from langgraph.types import interrupt


async def answer(state: MessagesState, config: RunnableConfig) -> dict[str, list[AnyMessage]]:
    """Stream what was asked, and by whom; `slowly` and `silent` take a while, and `fail` is not answered."""
    question = state["messages"][-1].text
    if "silent" in question:
        await asyncio.sleep(20)
    if "fail" in question:
        raise ValueError("the app can't answer that")
    user = config["configurable"].get("langgraph_auth_user_id", "")
    words = f"You said: {question} (message {len(state['messages'])}, {user})"
    if "slowly" in question:
        words += " and so on" * 100
    model = GenericFakeChatModel(messages=iter([AIMessage(words)]))
    chunks = []
    async for chunk in model.astream(state["messages"]):
        chunks.append(chunk)
        if "slowly" in question:
            await asyncio.sleep(0.1)
    return {"messages": [AIMessage("".join(chunk.text for chunk in chunks), id=chunks[0].id)]}


def ask(state: MessagesState) -> dict[str, list[AnyMessage]]:
    """Ask for an approval, and say what came."""
    approval: Any = interrupt({"question": "Send it?", "to": "bob@example.org"})
    return {"messages": [AIMessage(f"The answer was {approval!r}.")]}


def forecast(city: str) -> str:
    """Return the weather in a city."""
    return f"{city}: sunny"


def look_up(state: MessagesState) -> dict[str, list[AnyMessage]]:
    """Call the tool, then repeat what it said."""
    last = state["messages"][-1]
    if isinstance(last, ToolMessage):
        return {"messages": [AIMessage(f"I looked: {last.text}")]}
    return {"messages": [AIMessage("", tool_calls=[{"name": "forecast", "args": {"city": "Rome"}, "id": "call-1"}])]}


class Numbers(TypedDict):
    """A state that holds no messages."""

    numbers: list[int]


echo = StateGraph(MessagesState).add_node("answer", answer).add_edge(START, "answer").compile()
approve = StateGraph(MessagesState).add_node("ask", ask).add_edge(START, "ask").compile()
count = StateGraph(Numbers).add_node("count", lambda state: state).add_edge(START, "count").compile()
weather = (
    StateGraph(MessagesState)
    .add_node("look_up", look_up)
    .add_node("tools", ToolNode([forecast]))
    .add_edge(START, "look_up")
    .add_conditional_edges("look_up", tools_condition)
    .add_edge("tools", "look_up")
    .compile()
)


@dataclass
class Greeting:
    """A context with defaults."""

    words: str = "Good morning"


@dataclass
class Addressed(Greeting):
    """A context that needs a value."""

    name: str = field(kw_only=True)


async def greet(state: MessagesState, runtime: Runtime[Greeting]) -> dict[str, list[AnyMessage]]:
    """Say the words of the context, by a graph that keeps nothing."""
    return {"messages": (await saying.ainvoke({"messages": [AIMessage(runtime.context.words)]}))["messages"]}


saying = StateGraph(MessagesState).add_node("say", lambda state: {}).add_edge(START, "say").compile(checkpointer=False)
greeting = StateGraph(MessagesState, Greeting).add_node("greet", greet).add_edge(START, "greet").compile()
addressed = StateGraph(MessagesState, Addressed).add_node("greet", lambda state: {}).add_edge(START, "greet").compile()


class Translated(MessagesState):
    """A state that needs a value beside the messages."""

    language: str


def describe(state: Translated, runtime: Runtime[Addressed]) -> dict[str, list[AnyMessage]]:
    """Say all that was given beside the messages."""
    configurable = get_config()["configurable"]
    given = configurable.get("name"), configurable.get("extra")
    return {"messages": [AIMessage(f"{runtime.context.name}, {given}, in {state['language']}")]}


valued = StateGraph(Translated, Addressed).add_node("describe", describe).add_edge(START, "describe").compile()
