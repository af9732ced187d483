"""A conversation as one run of the program holds it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from chatcli.config.settings import Settings
from chatcli.conversation.backend import LocalBackend
from chatcli.conversation.compose import compose
from chatcli.conversation.conversation import Conversation
from chatcli.events import Event
from chatcli.graphs.chat.answer_schema import load_schema
from chatcli.sessions.requests import Ask
from tests.fakes.openai_server import FakeOpenAI


@asynccontextmanager
async def conversing(
    server: FakeOpenAI,
    thread: str = "work",
    *,
    backend: LocalBackend | None = None,
    can_ask: bool = True,
    **settings: Any,
) -> AsyncIterator[Conversation]:
    """Hold a conversation that `server` answers."""
    loaded = Settings.load({"model": "openai:gpt-fake", "base_url": server.base_url, **settings})
    schema = load_schema(loaded.schema_file) if loaded.schema_file else None
    composed = replace(compose(loaded, thread, backend=backend), schema=schema, can_ask=can_ask)
    conversation = composed.conversation()
    try:
        yield conversation
    finally:
        await conversation.close()


async def ask(conversation: Conversation, text: str = "go", *, typed: bool = False) -> list[Event]:
    """Ask, and return all events of the turn."""
    return [event async for event in conversation.run(Ask(text, typed=typed))]
