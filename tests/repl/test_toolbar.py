"""What the line below the input line says."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from chatcli.config.settings import Settings
from chatcli.conversation.conversation import Conversation
from chatcli.conversation.engine import Engine
from chatcli.events import Progress, TurnFinished, Usage
from chatcli.models.names import ModelName
from chatcli.repl.toolbar import NARROW, Toolbar
from chatcli.store.location import StoreLocation


def never(on_progress: Callable[[Progress], None]) -> Awaitable[Engine]:
    """Stand for an engine that nothing here opens."""
    raise AssertionError


@pytest.mark.parametrize(
    ("costs", "budget", "said"),
    [
        ((None, None), None, " work · openai:gpt · context 900 · 2.4k tokens so far"),
        ((0.0123, None), 8000, " work · openai:gpt · context 900/8.0k · 2.4k tokens, $0.0123 so far"),
        ((0.01, 0.02), 8000, " work · openai:gpt · context 900/8.0k · 2.4k tokens, $0.0300 so far"),
    ],
)
def test_the_context_and_what_was_spent(
    monkeypatch: pytest.MonkeyPatch, costs: tuple[float | None, ...], budget: int | None, said: str
) -> None:
    conversation = Conversation(Settings(), StoreLocation(), "work", ModelName("openai", "gpt"), never)
    toolbar = Toolbar(conversation, dict)

    async def talk() -> None:
        assert toolbar.text(100) == " work · openai:gpt"
        for cost in costs:
            conversation.context_usage = 900, budget
            usage = Usage(1000, 200, 1200)
            toolbar.note(TurnFinished("work", "", "openai:gpt", "", "stop", usage, 1, 1, 1, 900, budget, cost))
        assert toolbar.text(100) == said
        assert toolbar.text(NARROW - 1) == ""
        conversation.new_thread()
        assert "context" not in toolbar.text(100)

    asyncio.run(talk())
