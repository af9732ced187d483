"""The compiled LangGraph app."""

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph

from chatcli.graphs.chat.approval_node import APPROVE_NODE, approve_calls
from chatcli.graphs.chat.ask_node import MODEL_NODE, call_model
from chatcli.graphs.chat.state import ChatState, TurnContext
from chatcli.graphs.chat.tools_node import TOOLS_NODE, next_node, run_call

ChatGraph = CompiledStateGraph[ChatState, TurnContext, ChatState, ChatState]


def build_graph(checkpointer: BaseCheckpointSaver[str]) -> ChatGraph:
    """Return the plain chat on `checkpointer`: a question, the calls that the model asks for, an answer.

    The nodes of tools are always there, so that a thread is the same with and without them.
    """
    builder = StateGraph(ChatState, TurnContext)
    builder.add_node(MODEL_NODE, call_model)
    builder.add_node(APPROVE_NODE, approve_calls)
    builder.add_node(TOOLS_NODE, run_call)
    builder.add_edge(START, MODEL_NODE)
    builder.add_conditional_edges(MODEL_NODE, next_node, [APPROVE_NODE, TOOLS_NODE, MODEL_NODE, END])
    builder.add_conditional_edges(APPROVE_NODE, next_node, [TOOLS_NODE, MODEL_NODE, END])
    builder.add_edge(TOOLS_NODE, MODEL_NODE)
    return builder.compile(checkpointer=checkpointer)
