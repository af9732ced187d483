"""What MCP servers ask the user while their tools run, and the calls that wait for the answers.

A graph asks by an interrupt, which ends its turn. So a call goes on beside the graph: its node runs again with the
user's answer, finds the call by its task, and passes the answer on.
"""

import asyncio
import contextlib
import json
from collections import deque
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from langchain_core.messages import BaseMessage

ANSWER_SECONDS = 600.0
"""Time for the user to answer: until then a server, and what it holds, wait."""
STOP_SECONDS = 2.0
"""Time for a call that is stopped to tell its server."""


@dataclass(eq=False, slots=True)
class Question:
    """What a server asks."""

    request: dict[str, Any]
    """What the user is asked, as the payload of an interrupt."""
    read: Callable[[Any], Any]
    """Returns what a reply of the user means; raises ValueError if it is none."""
    schema: dict[str, Any] | None = None
    """The JSON Schema of the reply."""
    prompt: "Sequence[BaseMessage] | None" = None
    """What the model is to be asked if the user agrees; None where the user's reply is the answer itself."""
    reply: "asyncio.Future[Any]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    def answer(self, reply: Any) -> None:
        """Give the server its answer, None for a refusal; only the first one counts."""
        if not self.reply.done():
            self.reply.set_result(reply)


@dataclass(frozen=True, slots=True)
class Sampled:
    """What a model answered to a server's `prompt`; `model` is its name."""

    text: str
    model: str


class Inbox:
    """The questions of one server, which the calls that run take up."""

    def __init__(self) -> None:
        self.waiting: deque[Question] = deque()
        self.arrived = asyncio.Event()
        self._running = 0

    async def ask(self, question: Question) -> Any:
        """Return the answer to `question`; None if the user refuses, or no call runs that could ask.

        Raises `TimeoutError` if the user did not answer in time.
        """
        if not self._running:
            return None
        self.waiting.append(question)
        self.arrived.set()
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await question.reply
        finally:
            with contextlib.suppress(ValueError):  # the server has given up its question
                self.waiting.remove(question)

    def begin(self, work: Coroutine[Any, Any, Any]) -> "ServedCall":
        """Begin a call of the server, which does `work`."""
        self._running += 1
        call = ServedCall(self, work)
        call.task.add_done_callback(self._ended)
        return call

    def take(self) -> Question | None:
        """Return a question that no call has taken up yet."""
        question = self.waiting.popleft() if self.waiting else None
        if not self.waiting:
            self.arrived.clear()
        return question

    def _ended(self, task: "asyncio.Task[Any]") -> None:
        self._running -= 1
        while not self._running and (question := self.take()) is not None:
            question.answer(None)


class ServedCall:
    """A call that runs, and the questions that it has put to the user so far."""

    def __init__(self, inbox: Inbox, work: Coroutine[Any, Any, Any]) -> None:
        self.task = asyncio.create_task(work)
        self._inbox = inbox
        self._questions: list[Question] = []

    async def question(self, number: int) -> Question | None:
        """Return the question of that `number`, from 0 on, once there is one; None if the call ends without it."""
        while number >= len(self._questions):
            if self.task.done():
                return None
            if (question := self._inbox.take()) is not None:
                self._questions.append(question)
                break
            arrived = asyncio.ensure_future(self._inbox.arrived.wait())
            try:
                await asyncio.wait([self.task, arrived], return_when=asyncio.FIRST_COMPLETED)
            finally:
                arrived.cancel()
        return self._questions[number]

    async def stop(self) -> None:
        """Cancel the call, tell its server, and refuse its questions."""
        self.task.cancel()
        for question in self._questions:
            question.answer(None)
        await asyncio.wait([self.task], timeout=STOP_SECONDS)


def read_consent(reply: Any) -> bool:
    """Return whether the user agrees to the one call of a review. Raises `ValueError` if `reply` is no decision."""
    decisions = reply.get("decisions", [reply]) if isinstance(reply, Mapping) else reply
    [decision] = decisions if isinstance(decisions, list) and len(decisions) == 1 else [None]
    kind = decision.get("type") if isinstance(decision, Mapping) else decision
    if kind not in ("approve", "reject"):
        raise ValueError(f"the answer is approve or reject, not {json.dumps(kind, default=str)[:100]}")
    return bool(kind == "approve")
