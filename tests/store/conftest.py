"""A store of each kind, and a session on it that a real client of a scripted server answers."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from chatcli.config.secrets import Secret
from chatcli.config.settings import Settings
from chatcli.conversation.backend import LocalBackend, choose_backend
from chatcli.events import Event
from chatcli.graphs.chat.graph import ChatGraph, build_graph
from chatcli.graphs.chat.session import ChatSession
from chatcli.graphs.chat.state import TurnContext
from chatcli.models.build import build_model
from chatcli.models.names import ModelName
from chatcli.roles import Setup
from chatcli.sessions.requests import Ask
from chatcli.store.location import StoreLocation
from chatcli.store.open import Store, open_store
from tests.conftest import KEY
from tests.fakes.openai_server import FakeOpenAI

if TYPE_CHECKING:
    from tests.postgres import Postgres


@dataclass(frozen=True)
class Bench:
    """An open store, the graph on it, and what asks questions there."""

    store: Store
    graph: ChatGraph
    server: FakeOpenAI

    def session(self, thread_id: str, *, system: str | None = None, stored: Setup | None = None) -> ChatSession:
        """Return a session on `thread_id`, which has the setup `stored`, that the server answers."""
        settings = Settings(base_url=self.server.base_url, openai_api_key=Secret(KEY))
        model = build_model(ModelName("openai", "gpt-fake"), settings, lambda _: None)
        setup = Setup(system=system or "")
        return ChatSession(self.graph, self.store.threads, thread_id, TurnContext(model), setup=setup, stored=stored)

    async def ask(self, thread_id: str, text: str, *, system: str | None = None) -> list[Event]:
        """Run a turn; return its events."""
        return [event async for event in self.session(thread_id, system=system).run(Ask(text))]


@pytest.fixture
def server() -> Iterator[FakeOpenAI]:
    """Run a scripted model server."""
    with FakeOpenAI() as running:
        yield running


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def location(request: pytest.FixtureRequest, tmp_path: Path) -> StoreLocation:
    """Give the place of a new store of each kind."""
    if request.param == "postgres":
        server: Postgres = request.getfixturevalue("postgres")
        backend = choose_backend(Settings(store=server.new_database()))
        assert isinstance(backend, LocalBackend)
        return backend.location
    return StoreLocation(tmp_path / "threads.db" if request.param == "sqlite" else None)


@asynccontextmanager
async def open_bench(location: StoreLocation, server: FakeOpenAI) -> AsyncIterator[Bench]:
    """Open the store at `location`."""
    async with open_store(location) as store:
        yield Bench(store, build_graph(store.checkpointer), server)


NewStore = AbstractAsyncContextManager[Bench]


@pytest.fixture
def new_store(location: StoreLocation, server: FakeOpenAI) -> NewStore:
    """Give what opens a new store of each kind."""
    return open_bench(location, server)
