"""What the line below the input line says, and which thread draws it."""

import asyncio
import io
from collections.abc import Awaitable, Callable

import pytest
from prompt_toolkit.application import Application
from prompt_toolkit.completion import DummyCompleter

from chatcli.config.settings import Settings
from chatcli.conversation.compose import Composition, compose
from chatcli.conversation.conversation import Conversation
from chatcli.conversation.engine import Engine
from chatcli.events import Progress, TurnFinished, Usage
from chatcli.rendering.plain import PlainRenderer
from chatcli.repl.handler import LineHandler
from chatcli.repl.prompt import Prompt
from chatcli.repl.toolbar import NARROW, Toolbar


def never(on_progress: Callable[[Progress], None]) -> Awaitable[Engine]:
    """Stand for an engine that nothing here opens."""
    raise AssertionError


def composed() -> Composition:
    return compose(Settings(no_save=True, model="openai:gpt"), "work")


@pytest.mark.parametrize(
    ("costs", "budget", "said"),
    [
        ((None, None), None, " work · openai:gpt · context 900 · 2.4k tokens so far"),
        ((0.0123, None), 8000, " work · openai:gpt · context 900/8.0k · 2.4k tokens, $0.0123 so far"),
        ((0.01, 0.02), 8000, " work · openai:gpt · context 900/8.0k · 2.4k tokens, $0.0300 so far"),
    ],
)
async def test_the_context_and_what_was_spent(
    monkeypatch: pytest.MonkeyPatch, costs: tuple[float | None, ...], budget: int | None, said: str
) -> None:
    conversation = Conversation(composed(), never)
    toolbar = Toolbar(conversation, PlainRenderer(io.StringIO(), io.StringIO()), dict)

    assert toolbar.text(100) == " work · openai:gpt"
    for cost in costs:
        conversation.context_usage = 900, budget
        usage = Usage(1000, 200, 1200)
        toolbar.render(TurnFinished("work", "", "openai:gpt", "", "stop", usage, 1, 1, 1, 900, budget, cost))
    assert toolbar.text(100) == said
    assert toolbar.text(NARROW - 1) == ""
    conversation.new_thread()
    assert "context" not in toolbar.text(100)


async def test_the_thread_that_builds_the_handler_draws_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    # prompt-toolkit's own method fails there when a line ends at the same moment: "no running event loop".
    drawn: list[Application[str]] = []
    monkeypatch.setattr(Application, "invalidate", drawn.append)
    renderer = PlainRenderer(io.StringIO(), io.StringIO())

    def begin() -> Conversation:
        return Conversation(composed(), never)

    prompt = Prompt(DummyCompleter(), keep_history=False)
    await asyncio.to_thread(lambda: LineHandler(Settings(), begin(), renderer, prompt, (), toolbar=True))
    assert prompt.toolbar(100) == " work · openai:gpt"
    assert drawn == []
