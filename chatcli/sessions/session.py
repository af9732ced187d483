"""A session: this process's hold on one thread, whatever graph runs it."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from langchain_core.messages import BaseMessage, HumanMessage
from langgraph.types import Command

from chatcli import events
from chatcli.attachments.attachment import Attachment
from chatcli.attachments.content import describe_attachment
from chatcli.errors import ChatcliError, InterruptedTurnError, StoppedGraphError, UnansweredRequestError, UsageError
from chatcli.message import Excerpt, MessageShown
from chatcli.models.names import ModelName
from chatcli.runtime.background import Stoppable
from chatcli.runtime.exits import contained
from chatcli.sessions import history as past
from chatcli.sessions.interrupt_answers import read_answer, read_answers
from chatcli.sessions.question import build_question
from chatcli.sessions.repair import recover_unless_running, refuse_calls
from chatcli.sessions.requests import AnswerInWords, Ask, Continue, Resume, Retry, TurnRequest
from chatcli.sessions.state import MESSAGES, changes, fields_of, plain_state
from chatcli.sessions.thread import GraphThread, messages_of
from chatcli.sessions.turn import RunningTurn, stopped_notice
from chatcli.store.errors import as_failure
from chatcli.store.threads import chain

if TYPE_CHECKING:
    from chatcli.tools.changes import Change

NOTHING = "null"
"""The answer that goes on where nothing is asked: at a breakpoint."""


class Session:
    """Runs turns on one thread of any graph whose state holds `messages`; `name` answers."""

    def __init__(self, thread: GraphThread, name: ModelName) -> None:
        self.thread_id = thread.id
        self._thread = thread
        self._name = name
        self._work = Stoppable()
        """What can be stopped other than a turn."""
        self._stopped = False
        self._turn: RunningTurn | None = None
        self._broken: tuple[str, str] | None = None
        """The question of the turn that was stopped last, and the checkpoint at its end, if it came to be a turn."""
        self._given: dict[str, Any] = {}
        """The answers to some of several interrupts, by ID, until all are there."""
        self.watching = False
        """Whether each turn ends with a notice about what it changed in the state beside the messages."""
        self.documents: tuple[str, ...] = ()
        """The paths and globs of the documents that the next answers are grounded on; only the plain chat has any."""
        self.offered_changes: list[Change] = []
        """The changes of files that the user was shown, and may take back."""
        self._edits: dict[str, str] = {}
        """The checkpoint before each edit of the state of this process, by the one after it."""
        self._shown: set[str] = set()
        """The interrupts that the user has seen."""

    @property
    def running(self) -> bool:
        """Whether a turn runs."""
        return self._turn is not None

    @property
    def name(self) -> ModelName:
        """Who answers: what turns, and the index of threads, call it."""
        return self._name

    async def run(self, request: TurnRequest) -> AsyncGenerator[events.Event, None]:
        """Run the turn that `request` begins or goes on with, and yield its events in the order of `chatcli.events`."""
        # What keeps the turn from beginning makes it fail. Whatever ends it early, the part of the answer that had
        # arrived is stored as a partial one. While another process has a turn on the thread, this one waits. A consumer
        # that gives up closes the iterator (`aclose`).
        self._stopped, self._broken = False, None
        name = str(self.name)
        try:
            result = await self._work.run(contained(self._prepare(request)), "stopped before it began")
        except InterruptedTurnError:
            result = None
        except Exception as problem:  # noqa: BLE001 - whatever it is, the turn fails
            yield events.TurnStarted(self.thread_id, name)
            yield events.TurnFailed(self.thread_id, name, "", self._explain(problem))
            return
        if result is None or (self._stopped and not isinstance(result, RunningTurn)):
            yield events.TurnStarted(self.thread_id, name)
            yield events.TurnInterrupted(self.thread_id, "", name, "", 0)
        elif isinstance(result, events.ApprovalRequested):
            self._shown.add(result.interrupt_id)
            yield result
        else:
            if self._stopped:  # it was stopped when the question was ready
                result.interrupt()
            async with aclosing(self._run(result)) as running:
                async for event in running:
                    yield event

    async def _prepare(self, request: TurnRequest) -> RunningTurn | events.ApprovalRequested:
        """Return the turn of `request`, or what is to be answered before it."""
        match request:
            case Ask(typed=False):
                return await self._ask(request.text, request.attachments)
            case Ask():
                return await self._ask_or_answer(request.text, request.attachments)
            case AnswerInWords():
                return await self._read_and_answer(request.text)
            case Resume():
                return await self._resume(request.value)
            case Continue():
                return await self._go_on()
            case Retry():
                return await self._retry()

    @property
    def ends_with_process(self) -> bool:
        """Whether its thread is in the memory of this process alone."""
        return self._thread.threads.end_with_process

    async def stopped_notice(self) -> events.Notice | None:
        """Return the notice that the thread's graph stopped at a breakpoint; None if it did not."""
        nodes = await self._thread.stopped_before()
        return stopped_notice(nodes) if nodes else None

    async def pending(self, *, shown: bool = True) -> tuple[events.ApprovalRequested, ...]:
        """Return the requests that the thread waits for; with `shown`, the caller shows them to the user."""
        requests = await self._thread.pending()
        if shown:
            self._shown |= {request.interrupt_id for request in requests}
        return requests

    async def refuse_calls(self) -> bool:
        """Refuse the calls without a result, so that the thread no longer waits; return whether there were any."""
        async with self._thread.hold():
            return await refuse_calls(self._thread, self._thread.config(self.name))

    async def open_request(self) -> events.ApprovalRequested | None:
        """Return the next request that the thread waits for, None for none; the caller shows it to the user."""
        pending = await self._thread.pending()
        request = next((each for each in pending if each.interrupt_id not in self._given), None)
        if request is not None:
            self._shown.add(request.interrupt_id)
        return request

    def interrupt(self) -> None:
        """Stop the running turn, which then ends with `TurnInterrupted`; without one, do nothing."""
        self._stopped = True
        self._work.stop()
        if self._turn is not None:
            self._turn.interrupt()

    def announce(self, event: events.Event) -> None:
        """Add `event` to the running turn's: what the model's server has to say, say, of its loading."""
        if self._turn is not None:
            self._turn.announce(event)

    async def history(self) -> list[MessageShown]:
        """Return the thread's questions and answers as they are shown, oldest first."""
        return past.as_shown(await self.messages())

    async def messages(self) -> list[BaseMessage]:
        """Return the thread's messages, also those that its graph has removed from the state, oldest first."""
        await recover_unless_running(self._thread)
        return await self._thread.history()

    async def state(self) -> dict[str, Any]:
        """Return the keys of the thread's state beside the messages, as JSON."""
        return plain_state((await self._thread.snapshot()).values)

    async def state_values(self) -> dict[str, Any]:
        """Return the values of the thread's state, its messages too, as the graph's objects; empty if it has none."""
        return dict(fields_of((await self._thread.snapshot()).values))

    def declared_names(self) -> dict[str, str]:
        """Return the type of each key of the state that the graph's schemas declare, without reading the thread."""
        return {name: key.type_name for name, key in self._thread.declared_keys().items()}

    async def state_names(self) -> dict[str, str]:
        """Return the type of each key of the state beside the messages."""
        return {name: key.type_name for name, key in (await self._thread.state_keys()).items()}

    async def edit_state(self, name: str, text: str) -> Any:
        """Set the key `name` of the state to `text`, JSON or else a text, and return its value after that."""
        # As in LangGraph's `update_state`, a reducer of the graph combines it with the old one. `undo` leaves it first.
        if self._thread.node is not None:
            raise UsageError("the chat keeps nothing to edit", remedy="Change it by /role, /set, /system or /model.")
        keys = await self._thread.state_keys()
        if name not in keys:
            hint = "Messages are changed by /edit and /undo. " if name == MESSAGES else ""
            raise UsageError(f"the state has no key {name}", remedy=f"{hint}It has: {', '.join(keys) or 'none'}.")
        value = keys[name].read(text)
        async with self._thread.hold():
            await self._refuse_pending()
            before = await self._thread.checkpoint_id()
            if not before:
                raise UsageError("the thread has no state yet", remedy="Ask it something first.")
            turn = await self._thread.turn_number(new=False)
            await self._thread.edit(self._thread.config(self.name, title=past.EDITED, turn=turn), {name: value})
            self._edits[await self._thread.checkpoint_id()] = before
        return (await self.state()).get(name)

    async def turns(self) -> list[past.Turn]:
        """Return the thread's turns, on all of its branches."""
        return past.read_turns(await asyncio.to_thread(self._thread.threads.steps, self.thread_id))

    async def excerpts(self) -> AsyncIterator[dict[int, Excerpt]]:
        """Yield the texts of the turns by number, a branch at a time, the current one first."""
        async for found in past.excerpts_in(await self.turns(), self._thread.messages):
            yield found

    async def excerpts_around(self, number: int) -> dict[int, Excerpt]:
        """Return the texts of the turns on a branch with the turn `number`, by their numbers."""
        return await past.excerpts_around(number, await self.turns(), self._thread.messages)

    async def undo(self, count: int = 1) -> None:
        """Go back `count` turns, edits and summaries on this branch; what is left stays reachable by `rewind`."""
        while count >= 1 and (before := await self._before_edit()) is not None:
            await self._leave_edit(before)
            count -= 1
            if count == 0:
                return
        branch = past.current_branch(await self.turns())
        if not 1 <= count <= len(branch):
            if not branch:
                raise UsageError("there is no turn to undo")
            turns = "is 1 turn" if len(branch) == 1 else f"are {len(branch)} turns"
            raise UsageError(f"there {turns} to undo, not {count}")
        await self.rewind_before(branch[-count])

    async def take_back(self, *, began: bool) -> bool:
        """Return whether the question that was stopped last is no part of what the next one sends; its branch stays."""
        # It stays where it is if something is stored behind it. A question whose turn never `began` is the newest one.
        if began and (self._broken is None or not self._broken[1]):  # nothing is stored
            return True
        messages, branch = await self._thread.messages(), past.current_branch(await self.turns())
        if not messages or not branch or (began and self._broken and messages[-1].id != self._broken[0]):
            return False
        before = await self._thread.messages(branch[-1].before) if branch[-1].before else []
        if len(before) != len(messages) - 1:
            return False
        await self.rewind_before(branch[-1])
        if branch[-1].parent is None:  # so that the next question gives the thread its title
            await asyncio.to_thread(self._thread.threads.rename, self.thread_id, "", branch[-1].title)
        return True

    async def written(self, count: int = 1) -> "tuple[list[Change], list[str]]":
        """Return the changes that take back what the newest `count` turns wrote to files, and the files that stay."""
        return [], []

    async def _before_edit(self) -> str | None:
        steps = await asyncio.to_thread(self._thread.threads.steps, self.thread_id)
        # A server keeps no label of an update.
        return past.before_edit(steps) or self._edits.get(await self._thread.checkpoint_id())

    async def _leave_edit(self, before: str) -> None:
        async with self._thread.hold():
            stopped = await self._thread.stopped_before()
            pending = bool((await self._thread.snapshot()).next)
            config = self._thread.config(self.name, turn=await self._thread.turn_number(new=False))
            await self._thread.go_to(config, before, pending=pending)
            if stopped:
                await self._thread.mark_stopped()
            if before in self._edits:  # it is the end of another
                self._edits[await self._thread.checkpoint_id()] = self._edits[before]

    async def rewind(self, turn: past.Turn | None) -> None:
        """Make the end of `turn` the thread's newest state, or with None its empty beginning; nothing is destroyed."""
        await self._go_to(turn.number if turn is not None else None, turn.end if turn is not None else None)

    async def rewind_before(self, turn: past.Turn) -> None:
        """Make what `turn` was asked on the thread's newest state; nothing is destroyed."""
        await self._go_to(turn.parent, turn.before)

    async def _go_to(self, number: int | None, checkpoint_id: str | None) -> None:
        """Make the state at `checkpoint_id`, in turn `number` or behind it, the newest; None is the beginning."""
        async with self._thread.hold():
            if number is None or checkpoint_id is None:
                await self._thread.empty(self._thread.config(self.name, turn=0))
                return
            depth = len(chain(number, {turn.number: turn.parent for turn in await self.turns()}))
            await self._thread.go_to(self._thread.config(self.name, turn=depth), checkpoint_id)

    async def fork(self, new_id: str, turn: past.Turn | None = None) -> None:
        """Make the thread `new_id`, which must not exist, of the current branch, or of that up to `turn`."""
        async with self._thread.hold():
            await asyncio.to_thread(self._thread.threads.fork, self.thread_id, new_id, turn.end if turn else None)

    async def _question(self, text: str, attachments: Sequence[Attachment]) -> HumanMessage:
        """Return the message that asks `text`; a subclass may refuse it."""
        return await asyncio.to_thread(build_question, text, attachments, None)

    async def _input(self, question: HumanMessage) -> Any:
        """Return the graph's input to answer `question`; a subclass may add to it, or refuse."""
        return {"messages": [question]}

    def _has_new_input(self) -> bool:
        """Return whether the graph is to get more than when the last question was asked."""
        return False

    def _turn_context(self) -> Any:
        """Return the runtime context of the next turn's graph; a subclass may refuse to."""
        return None

    def _explain(self, error: BaseException) -> ChatcliError:
        """Return the error that the user sees for what ends a turn early."""
        return as_failure(error)

    def _new_turn(self, graph_input: Any, question: HumanMessage | None) -> RunningTurn:
        context = self._turn_context()
        return RunningTurn(self._thread, str(self.name), graph_input, question, context=context, explain=self._explain)

    async def _ask(self, text: str, attachments: Sequence[Attachment]) -> RunningTurn:
        await self._refuse_pending()
        await self._refuse_stopped()
        question = await self._question(text, attachments)
        turn = self._new_turn(await self._input(question), question)
        for attachment in attachments:  # those of a question that is refused are not sent
            turn.announce(events.Notice(await asyncio.to_thread(describe_attachment, attachment)))
            if attachment.kind == "image":
                turn.announce(events.ImageAttached(attachment.name, attachment.data))
        return turn

    async def _ask_or_answer(
        self, text: str, attachments: Sequence[Attachment]
    ) -> RunningTurn | events.ApprovalRequested:
        pending = await self._thread.pending()
        open_requests = [request for request in pending if request.interrupt_id not in self._given]
        if not open_requests:
            if text.strip() == NOTHING and await self._thread.stopped_before():
                return await self._go_on()
            return await self._ask(text, attachments)
        if open_requests[0].interrupt_id not in self._shown:  # a request must be shown before it can be answered
            return open_requests[0]
        self._given[open_requests[0].interrupt_id] = read_answer(open_requests[0], text)
        if len(open_requests) > 1:
            return open_requests[1]
        ids = {request.interrupt_id for request in pending}
        answers = {interrupt_id: value for interrupt_id, value in self._given.items() if interrupt_id in ids}
        self._given = {}
        return await self._answer(answers)

    async def _read_and_answer(self, text: str) -> RunningTurn:
        pending = await self._thread.pending()
        if not pending:
            if text.strip() == NOTHING:
                return await self._go_on()
            await self._refuse_stopped()
        return await self._answer(read_answers(pending, text))

    async def _retry(self) -> RunningTurn:
        await self._refuse_pending()
        self._turn_context()  # refused before anything changes
        snapshot = await self._thread.snapshot()
        question = past.newest_question(messages_of(snapshot))
        if question is None:
            raise UsageError("there is no question to ask again")
        if snapshot.next and not self._has_new_input():
            return self._new_turn(None, question)
        await self.undo()
        again = HumanMessage(question.content, id=str(uuid4()))  # with its files
        return self._new_turn(await self._input(again), again)

    async def _resume(self, value: Any) -> RunningTurn:
        ids = [request.interrupt_id for request in await self._thread.pending()]
        if not ids:
            if value is None:
                return await self._go_on()
            await self._refuse_stopped()
            raise UsageError(f"the thread {self.thread_id} waits for no answer", remedy="See what it says: /history")
        by_id = isinstance(value, Mapping) and bool(value) and value.keys() <= set(ids)
        if len(ids) > 1 and not by_id:
            raise UsageError(
                f"the thread {self.thread_id} waits for {len(ids)} answers",
                remedy=f"Give a mapping with the keys {', '.join(ids)}.",
            )
        return await self._answer(value if by_id else dict.fromkeys(ids, value))

    async def _answer(self, answers: Mapping[str, Any]) -> RunningTurn:
        return self._new_turn(Command(resume=dict(answers)), past.newest_question(await self._thread.messages()))

    async def _go_on(self) -> RunningTurn:
        """Return the turn that goes on where the graph stands: at a breakpoint, or where a turn was cut short."""
        await self._refuse_pending()
        await recover_unless_running(self._thread)
        snapshot = await self._thread.snapshot()
        if not snapshot.next or self._thread.node is not None:
            raise UsageError(
                f"the thread {self.thread_id} has nothing to go on with", remedy="Ask it something: give a prompt."
            )
        return self._new_turn(None, past.newest_question(messages_of(snapshot)))

    async def _refuse_stopped(self) -> None:
        if await self._thread.stopped_before():
            await recover_unless_running(self._thread)  # a process may have gone on, and been killed
        if nodes := await self._thread.stopped_before():
            raise StoppedGraphError(
                f"the graph of the thread {self.thread_id} stopped at a breakpoint before {', '.join(nodes)}",
                remedy="Go on by --resume-with null, in a conversation by /continue, or go back by /undo.",
            )

    async def _refuse_pending(self) -> None:
        if await self._thread.pending():
            raise UnansweredRequestError(
                f"the thread {self.thread_id} waits for an answer of yours",
                remedy="Give it by --resume-with, or go back by /undo.",
            )

    async def _run(self, turn: RunningTurn) -> AsyncGenerator[events.Event, None]:
        self._turn = turn
        old = await self.state() if self.watching else None
        try:
            async with aclosing(turn.run()) as running:
                async for event in running:
                    if isinstance(event, events.TurnFinished):
                        self._finished()
                    if isinstance(event, events.TurnInterrupted):
                        self._broken = turn.asked, event.checkpoint_id
                    if isinstance(event, events.ApprovalRequested):
                        self._shown.add(event.interrupt_id)
                    if old is not None and isinstance(event, events.TurnFinished | events.TurnInterrupted):
                        different = changes(old, await self.state())
                        yield events.Notice(f"state: {different or 'no changes'}")
                    yield event
        finally:
            self._turn = None

    def _finished(self) -> None:
        """Note that a turn is stored as a whole."""
