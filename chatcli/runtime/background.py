"""Runs what blocks in a thread that nobody has to wait for, unlike those of `asyncio.to_thread`."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import TypeVar

_Result = TypeVar("_Result")


async def in_background(work: Callable[[], _Result]) -> _Result:
    """Return the result of `work`, run in a daemon thread: a task that is cancelled does not have to wait for it."""
    done: Future[_Result] = Future()
    done.set_running_or_notify_cancel()  # so that a cancelled task leaves it to the thread

    def run() -> None:
        with suppress(RuntimeError):  # the loop is closed: no task waits any more
            try:
                done.set_result(work())
            except Exception as error:  # noqa: BLE001 - it is raised again in the task that waits
                done.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return await asyncio.wrap_future(done)
