"""A session: this process's hold on one thread."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from uuid import uuid4

from langchain_core.messages import HumanMessage
from langgraph.types import Overwrite

from chatcli.attachments.attachment import Attachment
from chatcli.errors import InterruptedTurnError, UsageError
from chatcli.events import (
    Event,
    MessageShown,
    TurnFailed,
    TurnFinished,
    TurnInterrupted,
    TurnStarted,
)
from chatcli.graph.branches import Turn, current_branch, read_turns
from chatcli.graph.build import ChatGraph
from chatcli.graph.compact import compact_state
from chatcli.graph.context import FittedContext, fit_context, refuse_oversized
from chatcli.graph.history import as_shown, read_messages
from chatcli.graph.nodes import MODEL_NODE
from chatcli.graph.question import build_question
from chatcli.graph.repair import recover_unless_running
from chatcli.graph.schema import AnswerSchema
from chatcli.graph.setup import setup_update
from chatcli.graph.state import DEFAULT_TIMEOUT, ChatState, TurnContext
from chatcli.graph.thread import GraphThread
from chatcli.graph.tokens import TokenCounter
from chatcli.models.model import Model
from chatcli.roles.setup import Setup
from chatcli.store.errors import as_failure
from chatcli.store.threads import Threads
from chatcli.turn import RunningTurn

NO_SETUP = Setup()


class Session:
    """Runs turns on one thread.

    Args:
        graph: The compiled app; its checkpointer holds the thread.
        threads: The store's threads.
        thread_id: The thread; it need not exist yet.
        model: Who answers; may be replaced between turns.
        setup: How the thread is answered; may be replaced between turns, and is stored with the next one.
        stored: What the thread has stored of that, None for a new thread.
        context_tokens: The user's budget of what is sent, in tokens.
        auto_compact: Whether to summarise the oldest turns when they no longer fit.
        schema: What every answer must validate against.
        timeout: Seconds that attempts to be answered may take together.

    """

    def __init__(
        self,
        graph: ChatGraph,
        threads: Threads,
        thread_id: str,
        model: Model,
        *,
        setup: Setup = NO_SETUP,
        stored: Setup | None = None,
        context_tokens: int | None = None,
        auto_compact: bool = False,
        schema: AnswerSchema | None = None,
        timeout: float | None = None,
    ) -> None:
        self.thread_id = thread_id
        self.model = model
        self.setup = setup
        self._thread = GraphThread(graph, threads, thread_id)
        self._stored = stored
        self._context_tokens = context_tokens
        self._auto_compact = auto_compact
        self._counter = TokenCounter()
        self._schema = schema
        self._timeout = timeout or DEFAULT_TIMEOUT
        self._work: asyncio.Task[HumanMessage] | asyncio.Task[ChatState] | None = None
        """What can be stopped beside a turn."""
        self._turn: RunningTurn | None = None

    async def run_turn(self, text: str, attachments: Sequence[Attachment] = ()) -> AsyncGenerator[Event, None]:
        """Ask `text` and yield the turn's events, in the order that `chatcli.events` guarantees.

        The question is stored before it is sent, unless the model can't take it at all. Whatever ends the turn
        early, the part of the answer that had arrived is stored as a partial one. While another process has a turn
        on the thread, this one waits. A consumer that gives up closes the iterator (`aclose`).
        """
        self._work = preparing = asyncio.create_task(self._question(text, attachments))
        await asyncio.wait([preparing])
        self._work = None
        if not preparing.cancelled() and preparing.exception() is None:
            question = preparing.result()
            async for event in self._run(question, ChatState(messages=[question])):
                yield event
            return
        model = str(self.model.name)
        yield TurnStarted(self.thread_id, model)
        if preparing.cancelled():
            yield TurnInterrupted(self.thread_id, "", model, "", 0)
        else:
            yield TurnFailed(self.thread_id, model, "", as_failure(preparing.exception()))

    async def retry(self) -> AsyncGenerator[Event, None]:
        """Ask the last question again: on a new branch, or, when it was never answered, where it stands.

        Raises:
            UsageError: The thread has no question.

        """
        messages = await read_messages(self._thread.graph, self.thread_id)
        question = next((message for message in reversed(messages) if isinstance(message, HumanMessage)), None)
        if question is None:
            raise UsageError("there is no question to ask again")
        if messages[-1] is question:
            events = self._run(question, None)
        else:
            await self.undo()
            again = HumanMessage(question.content, id=str(uuid4()))  # with its files
            events = self._run(again, ChatState(messages=[again]))
        async for event in events:
            yield event

    def interrupt(self) -> None:
        """Stop the running turn, which then ends with `TurnInterrupted`; without one, do nothing."""
        if self._work is not None:
            self._work.cancel()
        if self._turn is not None:
            self._turn.interrupt()

    def announce(self, event: Event) -> None:
        """Add `event` to the running turn's: what the model's server has to say, say, of its loading."""
        if self._turn is not None:
            self._turn.announce(event)

    async def _question(self, text: str, attachments: Sequence[Attachment]) -> HumanMessage:
        """Return the question; one that the model can't take is refused here, since in the thread it would stay."""
        question = await asyncio.to_thread(build_question, text, attachments, self.model)
        refuse_oversized(question, self.setup.template or self.setup.system, self._turn_context())
        return question

    async def history(self) -> list[MessageShown]:
        """Return the thread's questions and answers as they are shown, oldest first."""
        await recover_unless_running(self._thread.graph, self._thread.threads, self.thread_id)
        return as_shown(await read_messages(self._thread.graph, self.thread_id))

    async def context(self) -> FittedContext:
        """Return what the next turn would send beside its question.

        Raises:
            ContextError: The newest question alone is too large.

        """
        return fit_context(await self._state(), self._turn_context())

    async def compact(self) -> str:
        """Let the model summarise all turns but the newest; what is sent then begins with that summary, returned.

        The update is a checkpoint of its own: the messages stay in the thread, and going back to an older
        checkpoint leaves the summary behind.

        Raises:
            InterruptedTurnError: The user stopped it.
            ChatcliError: There is nothing to compact, or the model failed.

        """
        self._work = work = asyncio.create_task(compact_state(await self._state(), self._turn_context()))
        try:
            await asyncio.wait([work])
        finally:
            self._work = None
            work.cancel()
        if work.cancelled():
            raise InterruptedTurnError("stopped: nothing was compacted")
        update = work.result()
        async with self._thread.hold():
            config = self._thread.config(self.model.name, turn=await self._thread.turn_number(new=False))
            await self._thread.graph.aupdate_state(config, update, as_node=MODEL_NODE)
        return update["summary"]

    async def _state(self) -> ChatState:
        """Return the thread's state, with the setup that the next turn will store."""
        return {"messages": [], **await self._thread.state(), **setup_update(self.setup)}

    def _turn_context(self) -> TurnContext:
        return TurnContext(
            self.model,
            self._context_tokens,
            self._counter,
            auto_compact=self._auto_compact,
            schema=self._schema,
            timeout=self._timeout,
        )

    async def turns(self) -> list[Turn]:
        """Return the thread's turns, on all of its branches."""
        return read_turns(await asyncio.to_thread(self._thread.threads.steps, self.thread_id))

    async def undo(self, count: int = 1) -> None:
        """Go back `count` turns on the current branch; what is left stays reachable by `rewind`.

        Raises:
            UsageError: There are fewer turns.

        """
        branch = current_branch(await self.turns())
        if not 1 <= count <= len(branch):
            raise UsageError(f"there are {len(branch)} turns to undo, not {count}")
        await self.rewind(branch[-count - 1] if count < len(branch) else None)

    async def rewind(self, turn: Turn | None) -> None:
        """Make the end of `turn` the thread's newest state, or with None its empty beginning; nothing is destroyed."""
        self._stored = None  # an older state may have another setup
        async with self._thread.hold():
            if turn is None:
                config = self._thread.config(self.model.name, turn=0)
                await self._thread.graph.aupdate_state(config, {"messages": Overwrite([])}, as_node=MODEL_NODE)
                return
            turns = {known.number: known for known in await self.turns()}
            depth, parent = 0, turns.get(turn.number)
            while parent is not None:
                depth, parent = depth + 1, turns.get(parent.parent or 0)
            config = self._thread.config(self.model.name, turn=depth)
            config["configurable"] |= {"checkpoint_ns": "", "checkpoint_id": turn.end}
            await self._thread.graph.aupdate_state(config, None)

    async def fork(self, new_id: str, turn: Turn | None = None) -> None:
        """Make the thread `new_id` of the current branch, or of that up to `turn`.

        Raises:
            UsageError: The thread `new_id` exists, or this one is empty.

        """
        await asyncio.to_thread(self._thread.threads.fork, self.thread_id, new_id, turn.end if turn else None)

    async def _run(self, question: HumanMessage, state: ChatState | None) -> AsyncGenerator[Event, None]:
        """Run the graph on `state`, None to go on where the thread stands."""
        setup = self.setup.with_model(str(self.model.name))
        if state is not None and setup != self._stored:
            state = {**state, **setup_update(setup)}
        self._turn = RunningTurn(self._thread, self._turn_context(), question, state)
        try:
            async with aclosing(self._turn.run()) as events:
                async for event in events:
                    if isinstance(event, TurnFinished) and state is not None:
                        self._stored = setup
                    yield event
        finally:
            self._turn = None
