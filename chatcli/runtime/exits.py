"""Keeps the code of a graph from ending the program: what calls `sys.exit` fails, and nothing else."""

# asyncio lets SystemExit and KeyboardInterrupt out of any task and through the loop, so each task has to keep its own.

import asyncio
import signal
import traceback
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

from chatcli.errors import ExitCallError

T = TypeVar("T")
_contains: ContextVar[bool] = ContextVar("contains_exits", default=False)
"""Whether the tasks that are begun keep what would end the program."""


@contextmanager
def exits_contained() -> Iterator[None]:
    """Raise `ExitCallError` where code of the block, or of a task begun in it, would end the program."""
    # Not in an asynchronous generator: its consumer would share what is set here.
    token = _contains.set(True)
    try:
        with _own_tasks():
            yield
    except (SystemExit, KeyboardInterrupt) as end:
        raise _as_error(end) from end
    finally:
        _contains.reset(token)


def _as_error(end: BaseException) -> BaseException:
    """Return `end` as an error; itself where it is, or may be, the user's Ctrl-C."""
    if isinstance(end, KeyboardInterrupt):
        # A handler of SIGINT raised it, perhaps: that of Python itself leaves no trace, so it may always have.
        handler = signal.getsignal(signal.SIGINT)
        code = getattr(getattr(handler, "func", handler), "__code__", None)
        frames = traceback.walk_tb(end.__traceback__)
        if handler is signal.default_int_handler or any(frame.f_code is code for frame, _ in frames):
            return end
    return ExitCallError(end).with_traceback(end.__traceback__)


class _Contained(Coroutine[Any, Any, Any]):
    """The work of a task, which raises errors alone; otherwise it is `work`, also for who looks at its frames."""

    def __init__(self, work: Coroutine[Any, Any, Any]) -> None:
        self._work = work

    def __getattr__(self, name: str) -> Any:
        return getattr(self._work, name)

    def __await__(self) -> Iterator[Any]:  # type: ignore[override]  # a generator in typeshed; any iterator will do
        return self

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        return self.send(None)

    def send(self, value: Any) -> Any:
        return self._step(self._work.send, value)

    def throw(self, *error: Any) -> Any:
        return self._step(self._work.throw, *error)

    def _step(self, step: Callable[..., Any], *given: Any) -> Any:
        try:
            return step(*given)
        except (SystemExit, KeyboardInterrupt) as end:
            raise _as_error(end) from end

    def close(self) -> None:
        self._work.close()


def contained(work: Coroutine[Any, Any, T]) -> Coroutine[Any, Any, T]:
    """Return `work` for a task of its own, where `ExitCallError` takes the place of what would end the program."""
    return _Contained(work)


class _TaskFactory:
    """Makes a loop's tasks, as the one `before` did where there is one."""

    def __init__(self, before: Any) -> None:
        self.before = before
        self.users = 0

    def __call__(self, loop: asyncio.AbstractEventLoop, work: Any, **options: Any) -> Any:
        context = options.get("context")
        if _contains.get() if context is None else context.get(_contains, False):
            work = _Contained(work)
        return self.before(loop, work, **options) if self.before else asyncio.Task(work, loop=loop, **options)


@contextmanager
def _own_tasks() -> Iterator[None]:
    """Let the running loop, if there is one, make its tasks by `_TaskFactory`; after the last use it is as before."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        yield
        return
    before = loop.get_task_factory()
    factory = before if isinstance(before, _TaskFactory) else _TaskFactory(before)
    loop.set_task_factory(factory)
    factory.users += 1
    try:
        yield
    finally:
        factory.users -= 1
        if not factory.users and loop.get_task_factory() is factory:
            loop.set_task_factory(factory.before)
