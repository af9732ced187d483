"""Graphs that keep the questions in LangGraph's store."""

from typing import Any

from langgraph.graph import START, MessagesState, StateGraph
from langgraph.runtime import Runtime
from langgraph.store.memory import InMemoryStore


async def remember(state: MessagesState, runtime: Runtime) -> dict[str, Any]:
    """Keep the question in the store, and say what was in it."""
    assert runtime.store is not None
    known = sorted(item.value["text"] for item in await runtime.store.asearch(("notes",)))
    await runtime.store.aput(("notes",), f"note-{len(known)}", {"text": state["messages"][-1].text})
    return {"messages": [("ai", f"I knew: {', '.join(known)}")]}


def remember_blocking(state: MessagesState, runtime: Runtime) -> dict[str, Any]:
    """Do the same by the methods that block."""
    assert runtime.store is not None
    known = sorted(item.value["text"] for item in runtime.store.search(("notes",)))
    runtime.store.put(("notes",), f"note-{len(known)}", {"text": state["messages"][-1].text})
    return {"messages": [("ai", f"I knew: {', '.join(known)}")]}


async def remember_in_loop(state: MessagesState, runtime: Runtime) -> dict[str, Any]:
    """Block within the event loop, as many do."""
    return remember_blocking(state, runtime)


notes = StateGraph(MessagesState).add_node("remember", remember).add_edge(START, "remember").compile()
blocking = StateGraph(MessagesState).add_node("remember", remember_blocking).add_edge(START, "remember").compile()
in_loop = StateGraph(MessagesState).add_node("remember", remember_in_loop).add_edge(START, "remember").compile()
inner = StateGraph(MessagesState).add_node("child", notes).add_edge(START, "child").compile()
own_notes = (
    StateGraph(MessagesState).add_node("remember", remember).add_edge(START, "remember").compile(store=InMemoryStore())
)
