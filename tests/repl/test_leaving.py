"""What a signal ends that comes between two steps of the work on a line."""

import asyncio
import io
from collections.abc import Iterator
from contextlib import suppress

import pytest
from prompt_toolkit.application import create_app_session
from prompt_toolkit.completion import DummyCompleter
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput

import chatcli.repl.prompt as prompt_module
from chatcli.commands.registry import Choice
from chatcli.config.settings import Settings
from chatcli.rendering.plain import PlainRenderer
from chatcli.repl.decisions import read_key
from chatcli.repl.handler import LineHandler
from chatcli.repl.prompt import Prompt
from tests.conversing import conversing
from tests.fakes.openai_server import FakeOpenAI
from tests.waiting import WAIT_SECONDS


@pytest.fixture
def prompt(own_folders: object, monkeypatch: pytest.MonkeyPatch) -> Iterator[Prompt]:
    """Give a prompt at whose keyboard nobody types."""
    with create_pipe_input() as pipe, create_app_session(input=pipe, output=DummyOutput()):
        monkeypatch.setattr(prompt_module, "create_input", lambda **_: pipe)
        monkeypatch.setattr(prompt_module, "create_output", lambda **_: DummyOutput())
        yield Prompt(DummyCompleter(), keep_history=False)


async def test_a_question_is_stored_and_not_asked(model: FakeOpenAI, prompt: Prompt) -> None:
    async with conversing(model) as conversation:
        renderer = PlainRenderer(io.StringIO(), io.StringIO())
        handler = await asyncio.to_thread(
            lambda: LineHandler(Settings(), conversation, renderer, prompt, (), toolbar=False)
        )
        await handler.handle("one")
        prompt.leave()
        await handler.handle("two")
        await handler.handle("/retry")
        for no_question in ("/model other", "!ls", "exit"):
            await handler.keep(no_question)
        said = [message.text for message in await (await conversation.session()).history()]
    assert [request.last for request in model.requests] == ["one"]
    assert said == ["one", "You said: one", "two"]


async def test_nothing_more_is_asked(prompt: Prompt, model: FakeOpenAI) -> None:
    async with conversing(model) as conversation:
        renderer = PlainRenderer(io.StringIO(), io.StringIO())
        handler = await asyncio.to_thread(
            lambda: LineHandler(Settings(), conversation, renderer, prompt, (), toolbar=False)
        )
        prompt.leave()
        async with asyncio.timeout(WAIT_SECONDS):
            with suppress(EOFError):
                pytest.fail(f"read {await prompt.read()!r}")
            assert await prompt.line("Key: ", hidden=True) is None
            assert await prompt.line("new arguments: ", default="{}") is None
            assert await read_key(prompt, lambda event: None, {"y": "yes"}) == ""
            assert await handler.choose("model", [Choice("one", "")]) == ""
            assert await handler.confirm("Delete it?", "/delete yes") is None
