"""Which classes a checkpoint of a user graph may name."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from chatcli.graphs.user.load import AnyPregel, import_graph, make_graph
from chatcli.graphs.user.project import stored_types
from chatcli.graphs.user.spec import GraphSpec, find_graph
from chatcli.store.location import StoreLocation
from chatcli.store.serde import CompressedSerializer

CODE = """
import dataclasses, enum, typing
from langgraph.graph import START, MessagesState, StateGraph
from chatcli.store.location import StoreLocation
from tests.sample_graphs.small import Settings

@dataclasses.dataclass
class Place:
    city: str

class Color(enum.Enum):
    RED = 1

class NotData:
    pass

class State(MessagesState):
    settings: list[Settings] | None

graph = StateGraph(State).add_node("say", lambda state: {}).add_edge(START, "say")
"""


def load(folder: Path) -> tuple[GraphSpec, AnyPregel]:
    (folder / "places.py").write_text(CODE)
    spec = find_graph(f"{folder / 'places.py'}:graph")

    async def make() -> AnyPregel:
        async with AsyncExitStack() as resources:
            return await make_graph(import_graph(spec), spec, InMemorySaver(), resources)

    return spec, asyncio.run(make())


def test_they_are_those_of_the_project_and_of_the_fields_of_the_state(tmp_path: Path) -> None:
    spec, graph = load(tmp_path)
    found = stored_types(graph, spec)
    assert {name for module, name in found if module.endswith("places")} == {"Place", "Color"}
    assert ("tests.sample_graphs.small", "Settings") in found
    assert ("chatcli.store.location", "StoreLocation") not in found  # imported, but of another package


def test_of_every_other_class_that_a_store_names_only_the_fields_are_read(tmp_path: Path, capfd: Any) -> None:
    spec, graph = load(tmp_path)
    serde = CompressedSerializer().with_msgpack_allowlist(stored_types(graph, spec))
    written = JsonPlusSerializer(allowed_msgpack_modules=True).dumps_typed(StoreLocation(uri="postgresql://elsewhere"))
    read = serde.loads_typed(written)
    assert isinstance(read, dict)
    assert read["uri"] == "postgresql://elsewhere"
    assert capfd.readouterr().err == ""
