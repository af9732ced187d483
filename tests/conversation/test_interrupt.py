import asyncio

from chatcli.config.settings import Settings
from chatcli.conversation.backend import LocalBackend
from chatcli.conversation.compose import compose
from chatcli.conversation.conversation import Conversation
from chatcli.events import Event, TurnFinished, TurnInterrupted, TurnStarted
from chatcli.sessions.requests import Ask
from chatcli.store.location import StoreLocation
from tests.fakes.openai_server import FakeOpenAI
from tests.fakes.steps import Hang

STEPS = 40
"""More steps of the event loop than a turn takes before it is at the server."""


async def test_an_interrupt_is_taken_at_any_moment(model: FakeOpenAI) -> None:
    settings = Settings.load({"model": "openai:gpt-fake", "base_url": model.base_url})
    conversation = compose(settings, "work", backend=LocalBackend(StoreLocation())).conversation()
    assert isinstance((await _asked(conversation))[-1], TurnFinished)
    model.default = Hang()
    for steps in range(1, STEPS):
        asking = asyncio.create_task(_asked(conversation))
        for _ in range(steps):
            await asyncio.sleep(0)
        conversation.interrupt()
        events = await asyncio.wait_for(asking, 10)
        kinds = [type(event) for event in events if isinstance(event, TurnStarted | TurnFinished | TurnInterrupted)]
        assert kinds == [TurnStarted, TurnInterrupted], steps
    await conversation.close()


async def _asked(conversation: Conversation) -> list[Event]:
    return [event async for event in conversation.run(Ask("hello"))]
