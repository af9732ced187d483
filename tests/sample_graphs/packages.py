"""Graphs of a user's own on packages that LangGraph apps use; each follows the pattern of the package's own pages."""

from dataclasses import dataclass
from typing import Annotated, Any, TypedDict

from deepagents import create_deep_agent
from langchain.agents import create_agent
from langchain.agents.middleware import TodoListMiddleware
from langchain.agents.structured_output import ToolStrategy
from langchain_core.messages import AnyMessage
from langgraph.graph import START, MessagesState, StateGraph, add_messages
from langgraph.store.memory import InMemoryStore
from langgraph_supervisor import create_supervisor
from langgraph_swarm import create_handoff_tool, create_swarm
from langmem import create_manage_memory_tool, create_search_memory_tool
from pydantic import BaseModel
from trustcall import create_extractor

from tests.sample_graphs.notes import notes as notes
from tests.sample_graphs.scripted import Scripted

MEMORIES = [create_manage_memory_tool(namespace=("memories",)), create_search_memory_tool(namespace=("memories",))]

remembering = create_agent(Scripted(), MEMORIES)
own_memory = create_agent(Scripted(), MEMORIES, store=InMemoryStore())

planning = create_agent(Scripted(), [], middleware=[TodoListMiddleware()])
deep = create_deep_agent(
    model=Scripted(),
    subagents=[{"name": "helper", "description": "Helps.", "system_prompt": "Help.", "tools": []}],
)

adder = create_agent(Scripted(prefix="adder: "), [], name="adder")
poet = create_agent(Scripted(prefix="poet: "), [], name="poet")
supervisor = create_supervisor([adder, poet], model=Scripted(prefix="supervisor: "))

alice = create_agent(Scripted(prefix="alice: "), [create_handoff_tool(agent_name="bob")], name="alice")
bob = create_agent(Scripted(prefix="bob: "), [create_handoff_tool(agent_name="alice")], name="bob")
swarm = create_swarm([alice, bob], default_active_agent="alice")


class Person(BaseModel):
    """A person that is found in a text."""

    name: str
    age: int


class People(TypedDict):
    """The state of `extracting`."""

    messages: Annotated[list[AnyMessage], add_messages]
    people: list[Person]


EXTRACTOR = create_extractor(Scripted(), tools=[Person], tool_choice="Person")


async def extract(state: People) -> dict[str, Any]:
    """Find a person in the question, and say who is known from the questions before."""
    known = [person.name for person in state.get("people", [])]
    result = await EXTRACTOR.ainvoke({"messages": state["messages"][-1:]})
    found = [Person.model_validate(person.model_dump()) for person in result["responses"]]
    people = [*state.get("people", []), *found]
    return {"people": people, "messages": [("ai", f"found {found[0].name}, knew {known}")]}


extracting = StateGraph(People).add_node("extract", extract).add_edge(START, "extract")


@dataclass
class Place:
    """A place, as the answer of `placing`."""

    city: str


class PlaceState(MessagesState):
    """The state of `placing`."""

    structured_response: Any


async def place(state: PlaceState) -> dict[str, Any]:
    """Say what was kept, by its class, and keep the question."""
    kept = state.get("structured_response")
    return {"structured_response": Place(state["messages"][-1].text), "messages": [("ai", f"kept {kept!r}")]}


placing = StateGraph(PlaceState).add_node("place", place).add_edge(START, "place")
formatting = create_agent(Scripted(), response_format=ToolStrategy(Person))
