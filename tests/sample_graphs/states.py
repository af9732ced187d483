"""Graphs that keep more than messages, and graphs with breakpoints; none needs a model or a key."""

from typing import Annotated, Any

from langchain.agents.middleware.todo import PlanningState
from langchain_core.messages import AIMessage, AnyMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph, add_messages
from pydantic import BaseModel
from typing_extensions import TypedDict


def say(text: str) -> Any:
    """Return a node that says `text`."""
    return lambda state: {"messages": [AIMessage(text)]}


def two_steps(first: Any = None, second: Any = None, state: Any = MessagesState) -> StateGraph[Any]:
    """Return a graph of two nodes."""
    builder = StateGraph(state)
    builder.add_node("first", first or say("one"))
    builder.add_node("second", second or say("two"))
    builder.add_edge(START, "first")
    builder.add_edge("first", "second")
    return builder


before = two_steps().compile(interrupt_before=["second"])
before_in_memory = two_steps().compile(interrupt_before=["second"], checkpointer=InMemorySaver())
after = two_steps().compile(interrupt_after=["first"])
everywhere = two_steps().compile(interrupt_before="*")
after_last = two_steps().compile(interrupt_after=["second"])

_inside = StateGraph(MessagesState)
_inside.add_node("child", before)
_inside.add_node("last", say("three"))
_inside.add_edge(START, "child")
_inside.add_edge("child", "last")
inside = _inside.compile()


def silent_second(state: MessagesState) -> dict[str, Any]:
    """Say nothing after the breakpoint."""
    return {}


silent = two_steps(second=silent_second).compile(interrupt_before=["second"])


def add(old: int, new: int) -> int:
    """Reduce a counter."""
    return old + new


class Note(BaseModel):
    """A class of the graph's own in its state."""

    text: str
    stars: int = 0


class Work(PlanningState[Any]):
    """What deepagents and the to-do list keep: todos, files; and a counter, a note and an open choice."""

    files: dict[str, dict[str, Any]]
    turns: Annotated[int, add]
    language: str
    note: Note
    limit: int | None


def work(state: Work) -> dict[str, Any]:
    """Finish the first task, write a file, and say what the state holds."""
    todos = [dict(todo) for todo in state.get("todos", [])]
    asked = state["messages"][-1].text
    for todo in todos[:1]:
        todo["status"] = "completed"
    todos.append({"content": asked, "status": "pending"})
    return {
        "todos": todos,
        "files": {**state.get("files", {}), f"{len(todos)}.md": {"content": f"# {asked}\n\x1b[31mred\x1b[0m\n" * 40}},
        "turns": 1,
        "note": Note(text=asked),
        "messages": [AIMessage(f"{state.get('turns', 0)} before, in {state.get('language', 'no language')}")],
    }


working = StateGraph(Work).add_node("work", work).add_edge(START, "work").compile()
paused_work = (two_steps(work, lambda state: {"messages": [AIMessage(f"with {state['language']}")]}, Work)).compile(
    interrupt_before=["second"]
)


class Sides(TypedDict):
    """A state that two nodes write at the same time."""

    messages: Annotated[list[AnyMessage], add_messages]
    count: int


_sides: StateGraph[Any] = StateGraph(Sides)
_sides.add_node("left", say("left"))
_sides.add_node("right", say("right"))
_sides.add_node("join", lambda state: {"messages": [AIMessage(f"counted {state.get('count')}")]})
_sides.add_edge(START, "left")
_sides.add_edge(START, "right")
_sides.add_edge(["left", "right"], "join")
parallel = _sides.compile(interrupt_before=["join"])
