"""Agents of a user's own, on langchain's `create_agent`; the model is the environment's OpenAI-compatible server."""

import asyncio
from typing import Any

from langchain.agents import create_agent
from langchain.agents.middleware import HumanInTheLoopMiddleware, SummarizationMiddleware
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.config import get_stream_writer
from langgraph.graph import START, MessagesState, StateGraph

MODEL = ChatOpenAI(model="gpt-fake", max_retries=0, stream_usage=True)


@tool
async def weigh(what: str) -> str:
    """Weigh something."""
    if what == "an elephant":
        get_stream_writer()("lifting it")
        await asyncio.sleep(600)
    return f"{what}: 4 kg"


agent = create_agent(MODEL, [weigh], checkpointer=InMemorySaver())
careful = create_agent(MODEL, [weigh], middleware=[HumanInTheLoopMiddleware(interrupt_on={"weigh": True})])
each = create_agent(
    MODEL, [weigh], middleware=[HumanInTheLoopMiddleware(interrupt_on={"weigh": True}, interrupt_mode="per_call")]
)
summarising = create_agent(
    MODEL, [], middleware=[SummarizationMiddleware(MODEL, trigger=("messages", 4), keep=("messages", 2))]
)


async def speak(state: MessagesState) -> dict[str, Any]:
    """Ask the model."""
    return {"messages": [await MODEL.ainvoke(state["messages"])]}


both = StateGraph(MessagesState)
for name in ("left", "right"):
    both.add_node(name, speak)
    both.add_edge(START, name)
