"""Graphs whose code ends the program: in a node, a task of a node, a tool, or a factory, by each of two ways."""

import asyncio
import sys
from typing import Any, NoReturn

from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableConfig, RunnableLambda, RunnableParallel
from langchain_core.tools import tool
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode


def _graph(*nodes: Any) -> Any:
    builder = StateGraph(MessagesState)
    builder.add_sequence([(f"node{number}", node) for number, node in enumerate(nodes)])
    return builder.add_edge(START, "node0").compile()


def leave(state: Any) -> NoReturn:
    sys.exit(3)


async def leave_later(state: Any) -> NoReturn:
    await asyncio.sleep(0)
    sys.exit(3)


async def leave_in_a_task(state: Any) -> Any:
    await asyncio.gather(leave_later(state), asyncio.sleep(600))


async def interrupt_itself(state: Any) -> NoReturn:
    raise KeyboardInterrupt


@tool
async def leaving() -> str:
    """Leave."""
    sys.exit(3)


def call(state: Any) -> Any:
    return {"messages": [AIMessage("", tool_calls=[{"name": "leaving", "args": {}, "id": "1"}])]}


node = _graph(leave)
async_node = _graph(leave_later)
task = _graph(leave_in_a_task)
parallel = _graph(RunnableParallel(messages=RunnableLambda(leave_later)))
branch = StateGraph(MessagesState).add_node("node", call).add_edge(START, "node")
branch.add_conditional_edges("node", leave, ["node"])
tools = _graph(call, ToolNode([leaving]))
interrupt = _graph(interrupt_itself)


def factory(config: RunnableConfig) -> Any:
    sys.exit(3)


async def factory_later(config: RunnableConfig) -> Any:
    await leave_in_a_task(config)


def greet(state: Any) -> Any:
    return {"messages": [AIMessage("still here")]}


quick = _graph(greet)


def choose(state: Any) -> Any:
    if "leave" in state["messages"][-1].text:
        sys.exit(3)
    return greet(state)


chosen = _graph(choose)
