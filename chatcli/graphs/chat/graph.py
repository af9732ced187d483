"""The compiled graph of the plain chat, and the setup in the state of its threads."""

from collections.abc import Mapping
from dataclasses import fields
from functools import partial
from typing import Any, cast

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph

from chatcli.graphs.chat.approval_node import APPROVE_NODE, approve_calls
from chatcli.graphs.chat.ask_node import MODEL_NODE, call_model
from chatcli.graphs.chat.retrieve_node import RETRIEVE_NODE, first_node, retrieve
from chatcli.graphs.chat.state import ChatState, TurnContext
from chatcli.graphs.chat.tools_node import TOOLS_NODE, next_node, run_call
from chatcli.roles import Setup

ChatGraph = CompiledStateGraph[ChatState, TurnContext, ChatState, ChatState]
_SETUP = [field.name for field in fields(Setup)]
"""The fields of a setup, which a thread's state has too."""


def build_graph(checkpointer: BaseCheckpointSaver[str]) -> ChatGraph:
    """Return the plain chat on `checkpointer`: a question, what documents say about it, calls of tools, an answer."""
    # The nodes for tools and documents are always there, so that a thread is the same with and without them.
    builder = StateGraph(ChatState, TurnContext)
    nodes = {MODEL_NODE: call_model, APPROVE_NODE: approve_calls, TOOLS_NODE: run_call, RETRIEVE_NODE: retrieve}
    for name, node in nodes.items():
        # LangGraph searches the bytecode of a plain function for other graphs, for 3 ms. There are none.
        builder.add_node(name, partial(node))
    builder.add_conditional_edges(START, first_node, [RETRIEVE_NODE, MODEL_NODE])
    builder.add_edge(RETRIEVE_NODE, MODEL_NODE)
    builder.add_conditional_edges(MODEL_NODE, next_node, [APPROVE_NODE, TOOLS_NODE, MODEL_NODE, END])
    builder.add_conditional_edges(APPROVE_NODE, next_node, [TOOLS_NODE, MODEL_NODE, END])
    builder.add_edge(TOOLS_NODE, MODEL_NODE)
    return builder.compile(checkpointer=checkpointer)


async def read_values(graph: ChatGraph, thread_id: str) -> Mapping[str, Any] | None:
    """Return the newest state of the thread without its messages, None if there is no such thread."""
    checkpointer = graph.checkpointer
    assert isinstance(checkpointer, BaseCheckpointSaver)
    newest = await checkpointer.aget_tuple({"configurable": {"thread_id": thread_id}})
    if newest is None:
        return None
    values: Mapping[str, Any] = newest.checkpoint["channel_values"]
    return values


def setup_of(values: Mapping[str, Any] | None) -> Setup | None:
    """Return the setup in a thread's `values`; None if there are none, since there is no such thread."""
    if values is None:
        return None
    return Setup(**{name: values[name] for name in _SETUP if values.get(name) is not None})


def setup_values(setup: Setup) -> ChatState:
    """Return the part of a thread's state that `setup` is."""
    return cast("ChatState", {name: getattr(setup, name) for name in _SETUP} | {"variables": dict(setup.variables)})


def setup_update(setup: Setup, stored: Setup | None) -> dict[str, Any]:
    """Return the update that stores `setup` in the state of a thread that has `stored`, None if nobody knows."""
    # A thread without a setup gets no empty field but `system`, which every thread of the chat has: each is named three
    # times in each of its checkpoints. Another thread gets all fields, since another process may have changed it.
    update, empty = setup_values(setup), setup_values(Setup())
    if stored != Setup():
        return dict(update)
    return {name: value for name, value in update.items() if name == "system" or value != empty.get(name)}


def with_empty_fields(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return `values`, the state of a thread of the plain chat, with the fields of its setup that are not stored."""
    return {**(setup_values(Setup()) if "system" in values else {}), **values}
