"""A graph in the shape of a researcher: most of what its models write is no part of its answer."""

from typing import Any

from langchain_core.language_models.fake_chat_models import FakeListChatModel
from langchain_core.messages import AIMessage
from langgraph.graph import START, MessagesState, StateGraph

NOTES = "First note.\n\nSecond note."


async def say(text: str) -> AIMessage:
    """Let a model write `text`."""
    return await FakeListChatModel(responses=[text]).ainvoke("go")


class State(MessagesState):
    """What the nodes know."""

    notes: list[str]


async def clarify(state: State) -> dict[str, Any]:
    """Write what is not for people, and keep none of it."""
    await say('{"need_clarification": false}')
    return {}


async def take_note(state: MessagesState) -> dict[str, Any]:
    """Add a note to the messages of the inner graph."""
    return {"messages": [await say(NOTES)]}


researcher = StateGraph(MessagesState).add_node(take_note).add_edge(START, "take_note").compile()


async def research(state: State) -> dict[str, Any]:
    """Let another graph take notes."""
    found = await researcher.ainvoke({"messages": state["messages"]})
    return {"notes": [found["messages"][-1].text]}


async def report(state: State) -> dict[str, Any]:
    """Write the answer, and a headline before it."""
    headline = await say("Cats, summed up")
    answer = await say(f"There are {len(state['notes'])} notes.")
    return {"messages": [AIMessage(f"# {headline.text}"), answer]}


async def check(state: State) -> dict[str, Any]:
    """Write a word on the report that nobody keeps."""
    await say("It is short.")
    return {}


async def redact(state: State) -> dict[str, Any]:
    """Change the answer in its place."""
    return {"messages": [state["messages"][-1].model_copy(update={"content": "There are some notes."})]}


async def note_in_parallel(state: State) -> dict[str, Any]:
    """Write a note that nobody keeps."""
    await say("A note beside it.")
    return {}


def _builder(*nodes: Any) -> Any:
    return StateGraph(State).add_sequence(nodes).add_edge(START, nodes[0].__name__)


graph = _builder(clarify, research, report).compile()
checked = _builder(clarify, research, report, check).compile()
redacted = _builder(research, report, redact).compile()
parallel = _builder(clarify, research, report).add_node(note_in_parallel).add_edge(START, "note_in_parallel").compile()
