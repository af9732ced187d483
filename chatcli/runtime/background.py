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
    return await asyncio.wrap_future(begin(work))


def begin(work: Callable[[], _Result]) -> Future[_Result]:
    """Run `work` in a daemon thread; return its future."""
    done: Future[_Result] = Future()
    done.set_running_or_notify_cancel()  # so that a cancelled task leaves it to the thread

    def run() -> None:
        with suppress(RuntimeError):  # the loop is closed: no task waits any more
            try:
                done.set_result(work())
            except BaseException as error:  # noqa: BLE001 - it is raised again where the result is awaited
                done.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return done
