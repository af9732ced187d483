"""Runs what nobody has to wait for: what blocks in a thread, unlike those of `asyncio.to_thread`; what a user stops."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, TypeVar

from chatcli.errors import InterruptedTurnError

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


class Stoppable:
    """Work that the user may stop."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def stop(self) -> bool:
        """Stop all work that runs; return whether some does."""
        running = [task for task in self._tasks if task.cancel()]
        return bool(running)

    async def run(self, work: Coroutine[Any, Any, _Result], stopped: str) -> _Result:
        """Return the result of `work`; raise InterruptedTurnError with the message `stopped` where it is stopped."""
        self._tasks.add(task := asyncio.create_task(work))
        try:
            await asyncio.wait([task])
        finally:
            self._tasks.discard(task)
            task.cancel()
        if task.cancelled():
            raise InterruptedTurnError(stopped)
        return task.result()
