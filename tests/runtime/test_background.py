"""Work that a user stops."""

import asyncio

import pytest

from chatcli.errors import InterruptedTurnError
from chatcli.runtime.background import Stoppable


async def test_all_that_runs_is_stopped_and_nothing_else() -> None:
    work, never = Stoppable(), asyncio.Event()
    assert not work.stop()
    running = [asyncio.create_task(work.run(never.wait(), f"stopped {name}")) for name in ("one", "two")]
    assert await work.run(asyncio.sleep(0, "done"), "stopped") == "done"  # it leaves the others alone
    assert work.stop()
    for task, name in zip(running, ("one", "two"), strict=True):
        with pytest.raises(InterruptedTurnError, match=f"stopped {name}"):
            await task
    assert not work.stop()
