"""Lets the model write the title of a thread, after its first answer, while the prompt is idle.

One request a thread, ever: it is sent only while all answers of the thread are this process's, and this process sends
one. So nothing has to be stored that says that it was sent, and a process that is killed meanwhile changes nothing.
"""

import asyncio
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from chatcli.graphs.chat.session import ChatSession
    from chatcli.store.threads import Threads

IDLE_SECONDS = 1.0
"""Seconds without a new question before the request: what was typed ahead goes first."""


class TitleWriter:
    """Writes titles, one at a time, in a task that any turn stops, and any key at the prompt."""

    def __init__(self) -> None:
        self.on_end: Callable[[], None] = lambda: None
        """Called when there may be a new title."""
        self._turns: Counter[str] = Counter()
        """The turns of this process on each thread."""
        self._settled: set[str] = set()
        """The threads whose title stays."""
        self._task: asyncio.Task[None] | None = None

    def count(self, thread_id: str) -> None:
        """Note that a turn of this process on the thread has ended."""
        self._turns[thread_id] += 1

    def begin(self, session: "ChatSession", threads: "Threads") -> None:
        """Begin to write the title of the session's thread, unless that was tried before, or the user gave one."""
        self.stop()
        if session.thread_id not in self._settled:
            self._task = asyncio.create_task(self._write(session, threads))
            self._task.add_done_callback(self._ended)

    def stop(self) -> None:
        """Stop what is being written; once its request is sent, the thread keeps its title."""
        if self._task is not None:
            self._task.cancel()

    async def close(self) -> None:
        """Stop it, and wait until its request is closed."""
        self.stop()
        if self._task is not None:
            await asyncio.wait([self._task])

    def _ended(self, task: "asyncio.Task[None]") -> None:
        if not task.cancelled():
            task.exception()  # a store that fails is reported by the next turn
            self.on_end()

    async def _write(self, session: "ChatSession", threads: "Threads") -> None:
        thread_id = session.thread_id
        await asyncio.sleep(IDLE_SECONDS)
        title = await asyncio.to_thread(_replaceable, threads, thread_id, self._turns[thread_id])
        self._settled.add(thread_id)
        if title and (new := await session.ask_title()):
            await asyncio.to_thread(threads.rename, thread_id, new, title)


def _replaceable(threads: "Threads", thread_id: str, turns: int) -> str:
    """Return the title that the thread has from its question; empty if it has another, or more answers than `turns`."""
    answered = {answer.turn for answer in threads.usage(thread_id)}
    summary = threads.find(thread_id)
    if summary is None or not 1 <= len(answered) <= turns:
        return ""
    # A user's own title is none of those that the checkpoints have.
    return summary.title if summary.title in {step.title for step in threads.steps(thread_id)} else ""
