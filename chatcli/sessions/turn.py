"""Runs one turn and emits exactly one terminal event, even if the turn is cancelled or fails."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

from langchain_core.messages import HumanMessage
from langgraph.types import Command

from chatcli import events
from chatcli.documents.citations import cite, for_people
from chatcli.errors import ChatcliError, InterruptedTurnError, StoreError
from chatcli.message import Cited
from chatcli.runtime.exits import contained, exits_contained
from chatcli.sessions.history import newest_turn
from chatcli.sessions.repair import keep_turn, recover
from chatcli.sessions.stream import AnswerReader, as_requests
from chatcli.sessions.thread import LOCK_INTERVAL, GraphThread
from chatcli.store.errors import as_failure
from chatcli.store.threads import Partial
from chatcli.store.usage import Tokens
from chatcli.text import one_line

MAX_NODES = 200
"""Characters of the names of nodes in a notice."""
JOURNAL_INTERVAL = 0.5
"""Seconds between two looks at what has arrived of an answer, to keep it in case the process is killed."""


@dataclass(eq=False)
class RunningTurn:
    """A turn on `thread`, run once; `name` answers: `provider:model` or `graph:NAME`."""

    # `graph_input` is a new turn's state, None to go on where the thread stands, or the command that resumes it. Where
    # that answers an interrupt, `question` is None. `context` is what the graph runs with in addition to its state,
    # `cost` prices the turn's usage in US dollars, `explain` returns the error that the user sees.
    thread: GraphThread
    name: str
    graph_input: Any
    question: HumanMessage | None = None
    context: Any = None
    cost: Callable[[Tokens], float | None] = lambda tokens: None
    explain: Callable[[BaseException], ChatcliError] = as_failure

    def __post_init__(self) -> None:
        self._question_id = str(self.question.id) if self.question is not None else ""
        self._title = self.question.text if self.question is not None else ""
        self._reader = AnswerReader(
            named=self.thread.node is None, nodes=self.thread.answer_nodes, may_answer=self.thread.may_answer
        )
        self._arrived: asyncio.Queue[events.Event | None] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None
        self._stopped = False
        self._holding = False
        self._journaled = False
        self._stopped_before: tuple[str, ...] = ()
        """The nodes that come next where the graph stopped at a breakpoint."""
        self._held: set[str | None] = set()
        """The IDs of the messages that the state held before, where the turn goes on."""

    async def run(self) -> AsyncGenerator[events.Event, None]:
        """Yield the turn's events up to its terminal one. While another process has a turn on the thread, wait."""
        started = time.monotonic()
        yield events.TurnStarted(self.thread.id, self.name)
        self._task = task = asyncio.create_task(self._pump())
        # Not the task itself says that it is over: one that is cancelled before it began runs nothing of its code.
        task.add_done_callback(lambda _: self._arrived.put_nowait(None))
        if self._stopped:
            task.cancel()
        try:
            async for event in _coalesce_text(self._arrived):
                yield event
        finally:
            task.cancel()
            # Shielded: a consumer that is being cancelled itself must not cost the user what has arrived.
            end = await asyncio.shield(contained(self._end(task, started)))
            self._task = None
        if isinstance(end, events.TurnFinished):
            if end.finish_reason == "length":
                yield events.Notice("the answer was cut at its length limit; --max-tokens sets it", "warning")
            elif end.finish_reason == events.STOPPED:
                yield stopped_notice(self._stopped_before)
            elif end.finish_reason == events.NO_ANSWER:
                yield self._no_answer()
            for request in await self._requests():
                yield request
        yield end

    async def _requests(self) -> Sequence[events.ApprovalRequested]:
        """Return the requests that the graph waits for, in the order in which they are answered."""
        # Nodes that run side by side ask in any order.
        requests = as_requests(self._reader.interrupts.values())
        if len(requests) < 2:
            return requests
        order = {each.interrupt_id: index for index, each in enumerate(await self.thread.pending())}
        return sorted(requests, key=lambda each: order.get(each.interrupt_id, len(order)))

    def _no_answer(self) -> events.Notice:
        if not (nodes := self.thread.answer_nodes):
            return events.Notice("the graph ended without an answer", "warning")
        others = one_line(", ".join(self._reader.silent_nodes), MAX_NODES) or "none"
        return events.Notice(
            f"no text came from the node {', '.join(nodes)}; nodes that wrote text: {others}", "warning"
        )

    def interrupt(self) -> None:
        """Stop it, also before it has started: it then ends with `TurnInterrupted`."""
        self._stopped = True
        if self._task is not None:
            self._task.cancel()

    def announce(self, event: events.Event) -> None:
        """Add `event` to those of the turn."""
        self._arrived.put_nowait(event)

    async def _pump(self) -> None:
        try:
            with exits_contained():
                await self._run_graph()
        finally:
            for event in self._reader.finish():
                self.announce(event)

    async def _run_graph(self) -> None:
        thread, waiting = self.thread, False
        # Until no other process has a turn on the thread, so that this turn is based on what that one wrote.
        while not self.thread.threads.locks.try_lock(self.thread.id):
            if not waiting:
                self.announce(events.Notice("another chat is answering on this thread; waiting for it"))
            waiting = True
            await asyncio.sleep(LOCK_INTERVAL)
        self._holding = True
        await thread.mend()
        if await recover(thread, thread.config(self.name)):
            self.announce(events.Notice("the last answer was cut short; what had arrived of it is kept"))
        asks = isinstance(self.graph_input, Mapping)
        if not asks and thread.node is None:
            self._held = {message.id for message in await thread.messages()}
        config = thread.config(self.name, title=self._title, turn=await thread.turn_number(new=asks))
        async with self._journal():
            async for part in thread.stream(self.graph_input, config, self.context):
                for event in self._reader.read(part):
                    self.announce(event)
            for event in self._reader.complete():
                self.announce(event)
            await self._read_unstreamed()

    async def _read_unstreamed(self) -> None:
        """Show an answer that a graph wrote in a way that LangGraph does not stream, such as `Overwrite`."""
        # Texts of several nodes come in the order of the state.
        if self._reader.has_several_writers:
            self._reader.arrange(await self.thread.messages())
        by_state = self.thread.node is None and not self.thread.answer_nodes
        complete = self._reader.content and not self._reader.has_gap
        if not by_state or complete or isinstance(self.graph_input, Command):
            return
        messages = await self.thread.messages()
        new = [message for message in messages[newest_turn(messages) :] if message.id not in self._held]
        for event in self._reader.read_stored(new):
            self.announce(event)

    @property
    def asked(self) -> str:
        """The ID of the question that the turn asks; empty if it goes on with another turn."""
        return self._question_id if isinstance(self.graph_input, Mapping) else ""

    async def _end(self, task: "asyncio.Task[None]", started: float) -> events.TerminalEvent:
        """Wait for `task`, which is over or cancelled, and return the terminal event."""
        await asyncio.wait([task])
        try:
            return await self._outcome(task, started)
        finally:
            if self._journaled:  # the turn is stored now
                with suppress(StoreError):  # the next turn clears it; of this one, the end is shown as it is
                    await asyncio.to_thread(self.thread.threads.journal.clear, self.thread.id)
            if self._holding:
                self.thread.threads.locks.unlock(self.thread.id)
            self._holding = self._journaled = False

    async def _outcome(self, task: "asyncio.Task[None]", started: float) -> events.TerminalEvent:
        thread_id, reader = self.thread.id, self._reader
        broken = InterruptedTurnError("stopped") if task.cancelled() else task.exception()
        if broken is not None:
            error = self.explain(broken)
            try:
                if not self._holding:  # stopped before it could take the thread
                    self._holding = self.thread.runs_here and self.thread.threads.locks.try_lock(self.thread.id)
                with exits_contained():
                    checkpoint_id = await self._keep() if self._holding else ""
            except Exception as problem:  # noqa: BLE001 - whatever the store raises is the failure to report
                error, checkpoint_id = _with_loss(self.explain(problem), reader.content), ""
            cited = self._cited()
            if isinstance(error, InterruptedTurnError):
                elapsed_ms = round((time.monotonic() - started) * 1000)
                return events.TurnInterrupted(thread_id, checkpoint_id, self.name, reader.content, elapsed_ms, cited)
            return events.TurnFailed(thread_id, self.name, reader.content, error, cited)
        if reader.paused and not reader.interrupts:
            self._stopped_before = await self.thread.mark_stopped()
        return events.TurnFinished(
            thread_id=thread_id,
            checkpoint_id=await self.thread.checkpoint_id(),
            model=self.name,
            content=reader.content,
            finish_reason=self._finish_reason(),
            usage=reader.usage,
            elapsed_ms=round((time.monotonic() - started) * 1000),
            messages_in_context=reader.messages_in_context,
            messages_in_thread=reader.messages_in_thread or len(await self.thread.messages()),
            context_tokens=reader.context_tokens,
            context_budget=reader.context_budget,
            cost_usd=self.cost(reader.tokens),
            langflow=events.FlowAnswer(**reader.flow, text=reader.content) if reader.flow else None,
            output=reader.output,
            cited=self._cited(),
            memory_used=None if reader.memory_used is None else tuple(reader.memory_used),
        )

    def _cited(self) -> Cited | None:
        """Return the citations of the answer, as far as it came; None where the turn has no documents."""
        found = self._reader.found
        return None if found is None else for_people(cite(self._reader.content, found))

    def _finish_reason(self) -> str:
        reader = self._reader
        if reader.interrupts:
            return events.WAITING
        if self._stopped_before:
            return events.STOPPED
        if self.thread.node is None and not reader.content:
            return events.NO_ANSWER
        return reader.finish_reason or "stop"  # not all graphs say

    async def _keep(self) -> str:
        """Store what the turn has not stored itself; return the newest checkpoint's ID."""
        config = self.thread.config(self.name, title=self._title)
        given = self.graph_input if isinstance(self.graph_input, Mapping) else {}
        other_input = {name: value for name, value in given.items() if name != "messages"}
        await keep_turn(self.thread, config, self.question, self._reader.messages, other_input)
        return await self.thread.checkpoint_id()

    @asynccontextmanager
    async def _journal(self) -> AsyncIterator[None]:
        """Keep what arrives meanwhile in the store's journal, until the answer is stored where it belongs."""

        async def keep() -> None:
            kept = ""
            while True:
                await asyncio.sleep(JOURNAL_INTERVAL)
                if (content := self._reader.newest) != kept:
                    kept = content
                    self._journaled = True
                    partial = Partial(self._question_id, content)
                    await asyncio.to_thread(self.thread.threads.journal.save, self.thread.id, partial)

        keeper = asyncio.create_task(keep())
        try:
            yield
        finally:
            keeper.cancel()
            await asyncio.wait([keeper])  # a write under way must not come after the row is cleared


def _with_loss(error: ChatcliError, shown: str) -> ChatcliError:
    """Return `error`, which kept a turn from being stored, with what that means for the answer that was `shown`."""
    if not (shown and isinstance(error, StoreError)):
        return error
    lost = StoreError(f"{error.message}; this answer is not stored", remedy=error.remedy)
    lost.__cause__ = error
    return lost


def stopped_notice(nodes: Sequence[str]) -> events.Notice:
    """Return the notice about a graph that stopped at a breakpoint before `nodes`: where, and how to go on."""
    names = one_line(", ".join(nodes), MAX_NODES)
    return events.Notice(f"the graph stopped at a breakpoint before {names}; /continue goes on")


async def _coalesce_text(arrived: asyncio.Queue[events.Event | None]) -> AsyncIterator[events.Event]:
    """Yield the events up to None; text that piled up meanwhile comes as one delta, since showing each costs time."""
    while True:
        batch = [await arrived.get()]
        while not arrived.empty():
            batch.append(arrived.get_nowait())
        for kind, alike in groupby(batch, _without_text):
            if isinstance(kind, events.TextDelta):
                if text := "".join(event.text for event in alike if isinstance(event, events.TextDelta)):
                    yield replace(kind, text=text)
                continue
            for event in alike:
                if event is None:
                    return
                yield event


def _without_text(event: events.Event | None) -> events.Event | None:
    return replace(event, text="") if isinstance(event, events.TextDelta) else event
