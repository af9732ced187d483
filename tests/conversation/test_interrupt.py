import asyncio

import pytest

from chatcli.events import TurnFinished, TurnInterrupted, TurnStarted
from tests.conversing import ask, conversing
from tests.fakes.openai_server import FakeOpenAI
from tests.fakes.steps import Hang
from tests.waiting import WAIT_SECONDS

STEPS = 40
"""More steps of the event loop than a turn takes before it is at the server."""


@pytest.mark.parametrize("branches", [False, True])
async def test_an_interrupt_is_taken_at_any_moment(model: FakeOpenAI, branches: bool) -> None:
    async with conversing(model, no_save=True) as conversation:
        assert isinstance((await ask(conversation))[-1], TurnFinished)
        model.default = Hang()
        [first] = await (await conversation.session()).turns()
        for steps in range(1, STEPS):
            conversation.branching = first if branches else None
            asking = asyncio.create_task(ask(conversation))
            for _ in range(steps):
                await asyncio.sleep(0)
            conversation.interrupt()
            events = await asyncio.wait_for(asking, WAIT_SECONDS)
            kinds = [type(event) for event in events if isinstance(event, TurnStarted | TurnFinished | TurnInterrupted)]
            assert kinds == [TurnStarted, TurnInterrupted], steps
