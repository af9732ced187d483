"""The compiled LangGraph app."""

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph

from chatcli.graph.nodes import MODEL_NODE, call_model
from chatcli.graph.state import ChatState, TurnContext

ChatGraph = CompiledStateGraph[ChatState, TurnContext, ChatState, ChatState]


def build_graph(checkpointer: BaseCheckpointSaver[str]) -> ChatGraph:
    """Return the plain chat: one question, one answer, on `checkpointer`."""
    builder = StateGraph(ChatState, TurnContext)
    builder.add_node(MODEL_NODE, call_model)
    builder.add_edge(START, MODEL_NODE)
    builder.add_edge(MODEL_NODE, END)
    return builder.compile(checkpointer=checkpointer)
