"""The session of the plain chat, which adds a model, a setup and a context; its model writes the thread's title."""

import asyncio
import re
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, cast
from uuid import uuid4

from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, ToolMessage

from chatcli.attachments.attachment import Attachment
from chatcli.documents.citations import for_people
from chatcli.errors import UsageError
from chatcli.graphs.chat.ask_node import MODEL_NODE, rules_tokens, with_known
from chatcli.graphs.chat.context import (
    FittedContext,
    compact_state,
    count_exactly,
    fit_context,
    refuse_oversized,
    summarise,
)
from chatcli.graphs.chat.graph import ChatGraph, read_values, setup_of, setup_update, setup_values, with_empty_fields
from chatcli.graphs.chat.passages import fenced, new_retrieval
from chatcli.graphs.chat.state import ChatState, TurnContext
from chatcli.graphs.chat.token_counter import TokenCounter
from chatcli.message import Cited
from chatcli.models.model import Model
from chatcli.models.names import ModelName
from chatcli.models.prices import price
from chatcli.roles import Setup
from chatcli.sanitize import sanitize
from chatcli.sessions import history
from chatcli.sessions.found import as_citations
from chatcli.sessions.history import Turn
from chatcli.sessions.question import build_question
from chatcli.sessions.session import Session
from chatcli.sessions.thread import TITLE_LENGTH, GraphThread
from chatcli.sessions.turn import RunningTurn
from chatcli.store.recall import without_recalled
from chatcli.store.threads import Threads
from chatcli.store.usage import Tokens, read_tokens
from chatcli.text import one_line
from chatcli.tools.tool import CHANGES

if TYPE_CHECKING:
    from chatcli.tools.changes import Change

NO_SETUP = Setup()
BRANCH_LABEL = "Summary of another branch of this conversation, that of turn {number}:"
_STOPPED = "stopped: nothing was summarised"
TITLE_SECONDS = 30.0
MAX_SAID = 200
"""Characters of the question and of the answer that the model gets: a local one reads slowly."""
MAX_WRITTEN = 2000
"""Characters that are read of what it writes: it may think first, or not know an end."""
REQUEST = (
    "Name the topic of this conversation in three to six words, in the language of the question, as a title does. Write"
    " the title alone, without quotation marks.\n\nQuestion: {question}\n\nAnswer: {answer}"
)
_THOUGHT = re.compile(r"<think>.*?(?:</think>|\Z)", re.DOTALL)
_REORDERING = re.compile(r"[\u202a-\u202e\u2066-\u2069]")
_LABEL = re.compile(r"^[\W_]*title[\W_]*:", re.IGNORECASE)
_MARKS = " \t\"'`*_#“”„‟‘’‚«»‹›「」『』"  # noqa: RUF001 - they are meant
"""What models put around a title: quotation marks and Markdown."""


class ChatSession(Session):
    """Runs the plain chat's turns on one thread, which may not exist yet."""

    # `turn` is the context of every turn. `model` and `setup` may be replaced between turns; the setup is stored with
    # the next one. `stored` is the setup that the thread has, an empty one for a new thread, None if it is not known.
    # With `foreign_rules`, the store holds allow rules of older versions, which are ignored.
    def __init__(
        self,
        graph: ChatGraph,
        threads: Threads,
        thread_id: str,
        turn: TurnContext,
        *,
        setup: Setup = NO_SETUP,
        stored: Setup | None = None,
        foreign_rules: bool = False,
    ) -> None:
        super().__init__(GraphThread(graph, threads, thread_id, MODEL_NODE), turn.model.name)
        self.model = turn.model
        self.setup = setup
        self.toolbox = turn.toolbox
        self.knowledge = turn.knowledge
        self._graph = graph
        self._stored = stored
        self._base = turn
        self._counters: dict[ModelName, TokenCounter] = {}
        self._foreign_rules = foreign_rules
        self._storing: Setup | None = None

    @property
    def name(self) -> ModelName:
        """The model that answers."""
        return self.model.name

    @property
    def current_setup(self) -> Setup:
        """The setup with the current model."""
        return self.setup.with_model(str(self.name), self.model.base_url)

    async def state(self) -> dict[str, Any]:
        """Return the state beside the messages, as JSON, with the fields of the setup that are not stored."""
        return with_empty_fields(await super().state())

    async def context(self) -> FittedContext:
        """Return the context that the next turn would send with its question."""
        state = await self._state()
        turn, known = await with_known(state, self._turn_context())
        await count_exactly(state, turn)
        fitted, retrieval = fit_context(state, turn), state.get("found")
        fitted = replace(fitted, known=known, rules_tokens=rules_tokens(known, turn))
        if not self.documents or retrieval is None or not retrieval["passages"]:
            return fitted
        tokens = turn.counter.count([HumanMessage(fenced(retrieval["passages"], retrieval["marker"]))])
        cited = for_people(Cited(tuple(as_citations(retrieval["passages"]))))
        return replace(fitted, passages=cited.citations, passage_tokens=tokens)

    async def compact(self) -> str:
        """Let the model summarise all turns but the newest, and return the summary, with which later contexts begin."""
        # The update begins a branch: the messages stay in the thread, and going back to the turn before it drops the
        # summary.
        update = await self._work.run(compact_state(await self._state(), self._turn_context()), _STOPPED)
        async with self._thread.hold():
            number = await self._thread.turn_number(new=False)
            config = self._thread.config(self.name, title=history.COMPACTED, turn=number)
            await self._thread.graph.aupdate_state(config, dict(update), as_node=MODEL_NODE)
        return update["summary"]

    async def ask_title(self) -> str:
        """Return the title that the model writes for the thread, empty if it writes none; one request is sent."""
        said = history.as_shown(await self._thread.messages())
        first = {message.role: without_recalled(message.text) for message in reversed(said)}
        return await ask_title(first.get("user", ""), first.get("assistant", ""), self.model, self._base.spent)

    async def take_over(self, turn: Turn) -> str:
        """Let the model summarise what the branch of `turn` has and the current one has not, and return that."""
        # It is stored as a message of the current branch, which `undo` leaves first. A failure changes nothing.
        await self._refuse_pending()
        if (await self._thread.snapshot()).next:
            raise UsageError("the last question has no answer yet", remedy="Ask it by /retry, or leave it by /undo.")
        turns = await self.turns()
        there = await self._thread.messages(history.end_after(turn, turns).end)
        new = history.new_messages(there, await self._thread.messages())
        if turn.current or not new:
            raise UsageError(f"turn {turn.number} is on the current branch", remedy="Choose a turn of another one.")
        summary = await self._work.run(summarise(new, self._turn_context()), _STOPPED)
        text = f"{BRANCH_LABEL.format(number=turn.number)}\n{summary}"
        # "lc_source" is how langchain marks what the user did not type.
        marks = {"lc_source": "summarization", history.TAKEN_OVER: True}
        message = HumanMessage(text, id=str(uuid4()), additional_kwargs=marks)
        async with self._thread.hold():
            number = await self._thread.turn_number(new=False)
            config = self._thread.config(self.name, title=history.TAKEN_OVER, turn=number)
            await self._thread.append(config, [message])
        return summary

    async def allowed(self) -> list[str]:
        """Return the rules for tool calls that run without approval in this thread."""
        return await asyncio.to_thread(lambda: self._base.grants.rules)

    async def written(self, count: int = 1) -> "tuple[list[Change], list[str]]":
        """Return the changes that take back what the newest `count` turns wrote to files."""
        from chatcli.tools.changes import reverts  # late: few conversations need it

        # The thread says what was written; its store may come from anybody.
        if await self._before_edit() is not None:  # no turn
            count -= 1
        messages = await self._thread.messages()
        asked = [index for index, message in enumerate(messages) if history.is_question(message)]
        if not 1 <= count <= len(asked):
            return [], []
        artifacts = [message.artifact for message in messages[asked[-count] :] if isinstance(message, ToolMessage)]
        found = [artifact.get(CHANGES) for artifact in reversed(artifacts) if isinstance(artifact, dict)]
        records = [record for each in found if isinstance(each, list) for record in reversed(each)]
        workspace = self.toolbox.workspace
        return await asyncio.to_thread(reverts, workspace.root, records, workspace.more) if records else ([], [])

    async def _go_to(self, number: int | None, checkpoint_id: str | None) -> None:
        self._stored = None
        await super()._go_to(number, checkpoint_id)
        self._stored = setup_of(await read_values(self._graph, self.thread_id))  # an older state may have another one

    async def _question(self, text: str, attachments: Sequence[Attachment]) -> HumanMessage:
        """Return the question; one that the model can't take is refused here, since in the thread it would stay."""
        question = await asyncio.to_thread(build_question, text, attachments, self.model)
        turn, _ = await with_known({"messages": [question]}, self._turn_context(), ahead=True)
        await refuse_oversized(question, self.setup.template or self.setup.system, turn)
        return question

    def _has_new_input(self) -> bool:
        """Return whether documents are to be searched again for a question that was asked before."""
        return bool(self.documents)

    async def _answer(self, answers: Mapping[str, Any]) -> RunningTurn:
        shown = {request.interrupt_id: request.payload for request in await self._thread.pending()}
        return await super()._answer(
            {
                key: self.toolbox.register_reply(reply, shown[key]) if key in shown else reply
                for key, reply in answers.items()
            }
        )

    def _new_turn(self, graph_input: Any, question: HumanMessage | None) -> RunningTurn:
        setup = self.current_setup
        asks = isinstance(graph_input, Mapping)
        self._storing = setup if asks else self._stored
        if asks and setup != self._stored:
            graph_input = {**graph_input, **setup_update(setup, self._stored)}
        if asks and self.documents:
            graph_input = {**graph_input, "found": new_retrieval()}
        if asks and self._foreign_rules:
            graph_input = {**graph_input, "allowed": []}
        turn = super()._new_turn(graph_input, question)
        turn.cost = partial(price, self.model)
        return turn

    def _finished(self) -> None:
        self._stored = self._storing
        self._foreign_rules = False

    async def _state(self) -> ChatState:
        """Return the thread's state, with the setup that the next turn will store."""
        stored = cast("ChatState", (await self._thread.snapshot()).values)
        return {"messages": [], **stored, **setup_values(self.setup)}

    def _turn_context(self) -> TurnContext:
        # Models count tokens differently.
        counter = self._counters.setdefault(self.name, TokenCounter(self.model.tokenizer))

        async def name_session() -> str:
            return history.session_name(self.thread_id, history.current_branch(await self.turns()))

        return replace(
            self._base,
            model=self.model,
            counter=counter,
            session_name=name_session,
            documents=self.documents,
            numbers={},
        )


async def ask_title(question: str, answer: str, model: Model, spent: list[Tokens]) -> str:
    """Return the title that `model` writes for a thread that begins so; empty if it writes none that can be used."""
    # One request is sent, whatever comes of it. `spent` grows by what it used.
    said = {"question": one_line(question, MAX_SAID), "answer": one_line(answer, MAX_SAID)}
    whole: AIMessage | None = None
    try:
        stream: Any = model.client.astream([HumanMessage(REQUEST.format(**said))])
        async with asyncio.timeout(TITLE_SECONDS), aclosing(stream) as parts:
            async for part in parts:
                whole = whole + part if isinstance(whole, AIMessageChunk) else part
                if whole is not None and len(str(whole.text)) > MAX_WRITTEN:
                    break
    except Exception:  # noqa: BLE001 - whatever fails, the thread has a title already: its question
        return ""
    if whole is None:
        return ""
    spent.append(read_tokens(whole.usage_metadata) or Tokens())
    return clean_title(str(whole.text))


def clean_title(text: str) -> str:
    """Return the title in `text`, which a model wrote: one printable line of at most TITLE_LENGTH characters."""
    text = _THOUGHT.sub("", sanitize(_REORDERING.sub("", text)))
    lines = ("".join(filter(str.isprintable, one_line(line))) for line in text.splitlines())
    titles = (_LABEL.sub("", line).strip(_MARKS).removesuffix(".").strip(_MARKS) for line in lines)
    title = next((title for title in titles if any(map(str.isalnum, title))), "")
    return one_line(title, TITLE_LENGTH)
