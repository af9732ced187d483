"""The threads that a graph's blocking nodes run in."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any


class WorkerThreads(ThreadPoolExecutor):
    """A loop's threads, of which a TimeoutError comes with the place where it was raised.

    Until Python 3.14, asyncio makes another exception of one of exactly that class, which has no traceback.
    """

    def submit(self, work: Callable[..., Any], /, *args: Any, **options: Any) -> Future[Any]:
        """Run `work` in a thread."""
        return super().submit(_run, work, *args, **options)


class _TimeoutError(TimeoutError):
    """A TimeoutError for all who look at it."""


_TimeoutError.__name__ = _TimeoutError.__qualname__ = TimeoutError.__name__
_TimeoutError.__module__ = TimeoutError.__module__


def _run(work: Callable[..., Any], /, *args: Any, **options: Any) -> Any:
    try:
        return work(*args, **options)
    except TimeoutError as error:
        if type(error) is not TimeoutError:
            raise
        raise _TimeoutError(*error.args).with_traceback(error.__traceback__) from error.__cause__
