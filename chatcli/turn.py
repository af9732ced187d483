"""One turn: runs the graph on a question, and makes the one end of it, whatever cuts it short."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from langchain_core.messages import HumanMessage

from chatcli.errors import InterruptedTurnError
from chatcli.events import (
    Event,
    FlowAnswer,
    Notice,
    TerminalEvent,
    TextDelta,
    TurnFailed,
    TurnFinished,
    TurnInterrupted,
    TurnStarted,
)
from chatcli.graph.branches import current_branch, read_turns, session_name
from chatcli.graph.repair import keep_turn, recover
from chatcli.graph.state import ChatState, TurnContext
from chatcli.graph.stream import STREAM_MODES, AnswerReader
from chatcli.graph.thread import LOCK_INTERVAL, GraphThread
from chatcli.models.prices import price
from chatcli.store.errors import as_failure
from chatcli.store.threads import Partial

JOURNAL_INTERVAL = 0.5
"""Seconds between two looks at what has arrived of an answer, to keep it in case the process is killed."""


class RunningTurn:
    """A turn on `thread`, run once.

    Args:
        thread: Where it is stored.
        context: What it runs with; its model answers.
        question: What is asked.
        state: The graph's input, None to go on where the thread stands.

    """

    def __init__(
        self, thread: GraphThread, context: TurnContext, question: HumanMessage, state: ChatState | None
    ) -> None:
        self._thread = thread
        self._context = context
        self._model = context.model
        self._question = question
        self._state = state
        self._reader = AnswerReader()
        self._arrived: asyncio.Queue[Event | None] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None
        self._holding = False
        self._journaled = False

    async def run(self) -> AsyncGenerator[Event, None]:
        """Yield the turn's events up to its terminal one. While another process has a turn on the thread, wait."""
        started = time.monotonic()
        yield TurnStarted(self._thread.id, str(self._model.name))
        self._task = task = asyncio.create_task(self._pump())
        try:
            async for event in _merged(self._arrived):
                yield event
        finally:
            task.cancel()
            # Shielded: a consumer that is being cancelled itself must not cost the user what has arrived.
            end = await asyncio.shield(self._end(task, started))
            self._task = None
        if isinstance(end, TurnFinished) and end.finish_reason == "length":
            yield Notice("the answer was cut at its length limit; --max-tokens sets it", "warning")
        yield end

    def interrupt(self) -> None:
        """Stop it: it then ends with `TurnInterrupted`."""
        if self._task is not None:
            self._task.cancel()

    def announce(self, event: Event) -> None:
        """Add `event` to those of the turn."""
        self._arrived.put_nowait(event)

    async def _pump(self) -> None:
        """Run the graph, and put what it streams into the queue."""
        thread = self._thread
        try:
            await self._take_thread()
            if await recover(thread.graph, thread.threads, thread.config(self._model.name)):
                self.announce(Notice("the last answer was cut short; what had arrived of it is kept"))
            number = await thread.turn_number(new=self._state is not None)
            context = self._context
            if self._model.keeps_conversation:
                context = replace(context, session_id=await self._session_id())
            stream = thread.graph.astream(
                self._state,
                thread.config(self._model.name, title=self._question.text, turn=number),
                context=context,
                stream_mode=STREAM_MODES,
                version="v2",
                durability="sync",  # the question is on disk before the request is sent
            )
            async with self._journal():
                async for part in stream:
                    for event in self._reader.read(part):
                        self.announce(event)
        finally:
            self._arrived.put_nowait(None)

    async def _session_id(self) -> str:
        """Return the name by which the model's server knows the branch that this turn goes on with."""
        turns = read_turns(await asyncio.to_thread(self._thread.threads.steps, self._thread.id))
        branch = current_branch(turns)
        if self._state is None:  # the newest turn is asked again
            return session_name(self._thread.id, branch[:-1], branch[-1].number)
        return session_name(self._thread.id, branch, len(turns) + 1)

    async def _end(self, task: "asyncio.Task[None]", started: float) -> TerminalEvent:
        """Wait for `task`, which is over or cancelled, and return the terminal event."""
        await asyncio.wait([task])
        try:
            return await self._outcome(task, started)
        finally:
            await self._release()

    async def _outcome(self, task: "asyncio.Task[None]", started: float) -> TerminalEvent:
        thread_id, model, reader = self._thread.id, str(self._model.name), self._reader
        if task.cancelled() or task.exception() is not None:
            error = InterruptedTurnError("stopped") if task.cancelled() else as_failure(task.exception())
            try:
                checkpoint_id = await self._keep() if self._holding else ""
            except Exception as problem:  # noqa: BLE001 - whatever the store raises is the failure to report
                error, checkpoint_id = as_failure(problem), ""
            if isinstance(error, InterruptedTurnError):
                return TurnInterrupted(thread_id, checkpoint_id, model, reader.content, _elapsed_ms(started))
            return TurnFailed(thread_id, model, reader.content, error)
        return TurnFinished(
            thread_id=thread_id,
            checkpoint_id=await self._thread.checkpoint_id(),
            model=model,
            content=reader.content,
            finish_reason=reader.finish_reason,
            usage=reader.usage,
            elapsed_ms=_elapsed_ms(started),
            messages_in_context=reader.messages_in_context,
            messages_in_thread=reader.messages_in_thread,
            context_tokens=reader.context_tokens,
            context_budget=reader.context_budget,
            cost_usd=price(self._model, reader.usage),
            langflow=FlowAnswer(**reader.flow, text=reader.content) if reader.flow else None,
        )

    async def _keep(self) -> str:
        """Store what the turn has not stored itself; return the newest checkpoint's ID."""
        config = self._thread.config(self._model.name, title=self._question.text)
        await keep_turn(self._thread.graph, config, self._question, self._reader.content)
        return await self._thread.checkpoint_id()

    async def _take_thread(self) -> None:
        """Wait until no other process has a turn on the thread, so that this turn is based on what that one wrote."""
        waiting = False
        while not self._thread.threads.try_lock(self._thread.id):
            if not waiting:
                self.announce(Notice("another chat is answering on this thread; waiting for it"))
            waiting = True
            await asyncio.sleep(LOCK_INTERVAL)
        self._holding = True

    @asynccontextmanager
    async def _journal(self) -> AsyncIterator[None]:
        """Keep what arrives meanwhile in the store's journal, until the answer is stored where it belongs."""
        assert self._question.id is not None
        question_id = self._question.id

        async def keep() -> None:
            kept = ""
            while True:
                await asyncio.sleep(JOURNAL_INTERVAL)
                if (content := self._reader.content) != kept:
                    kept = content
                    self._journaled = True
                    partial = Partial(question_id, content)
                    await asyncio.to_thread(self._thread.threads.save_partial, self._thread.id, partial)

        keeper = asyncio.create_task(keep())
        try:
            yield
        finally:
            keeper.cancel()
            await asyncio.wait([keeper])  # a write under way must not come after the row is cleared

    async def _release(self) -> None:
        """Give the thread free, and forget the journal of a turn that is stored now."""
        if self._journaled:
            await asyncio.to_thread(self._thread.threads.clear_partial, self._thread.id)
        if self._holding:
            self._thread.threads.unlock(self._thread.id)
        self._holding = self._journaled = False


async def _merged(arrived: asyncio.Queue[Event | None]) -> AsyncIterator[Event]:
    """Yield the events up to None; text that piled up meanwhile comes as one delta, since showing each costs time."""
    while True:
        batch = [await arrived.get()]
        while not arrived.empty():
            batch.append(arrived.get_nowait())
        text = ""
        for event in batch:
            if isinstance(event, TextDelta):
                text += event.text
                continue
            if text:
                yield TextDelta(text)
                text = ""
            if event is None:
                return
            yield event
        if text:
            yield TextDelta(text)


def _elapsed_ms(started: float) -> int:
    return round((time.monotonic() - started) * 1000)
