"""The graph: it counts the questions of its user, and asks before it forgets them."""

from dataclasses import dataclass
from typing import Any

from langgraph.graph import START, MessagesState, StateGraph
from langgraph.runtime import Runtime
from langgraph.types import interrupt


@dataclass
class Context:
    """What a run knows of its user."""

    user: str = "stranger"


def answer(state: MessagesState, runtime: Runtime[Context]) -> dict[str, Any]:
    """Answer the newest question."""
    asked = [message for message in state["messages"] if message.type == "human"]
    if asked[-1].text == "forget":
        sure = interrupt({"question": "Forget everything?"})
        return {"messages": [("assistant", f"The answer was {sure}.")]}
    return {"messages": [("assistant", f"Question {len(asked)} of {runtime.context.user}: {asked[-1].text}")]}


builder = StateGraph(MessagesState, context_schema=Context)
builder.add_node("answer", answer)
builder.add_edge(START, "answer")
