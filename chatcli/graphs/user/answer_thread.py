"""A thread of a user graph without messages: the questions and answers are kept in a channel beside its state."""

from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, cast

from langchain_core.messages import BaseMessage, HumanMessage
from langchain_core.runnables import RunnableConfig
from langgraph.channels import BinaryOperatorAggregate, EphemeralValue, LastValue
from langgraph.checkpoint.base import CheckpointTuple
from langgraph.constants import END, START, TAG_HIDDEN
from langgraph.graph.message import add_messages
from langgraph.pregel._read import PregelNode
from langgraph.pregel._write import ChannelWrite, ChannelWriteTupleEntry
from langgraph.types import StateSnapshot
from pydantic import TypeAdapter

from chatcli.errors import UsageError
from chatcli.graphs.shape import GraphShape, new_answers
from chatcli.graphs.user.load import AnyPregel
from chatcli.sessions.history import newest_turn
from chatcli.sessions.state import MESSAGES
from chatcli.sessions.stream import ANSWER, GraphAnswer
from chatcli.sessions.thread import QUESTION_NODE, GraphThread, messages_of

_ASKED = "chatcli_asked"
"""The channel through which a question enters the graph."""
_INPUT = "input"
_AS_INPUT = "__input__"
"""Under this name LangGraph stores an update as the input of a run: a turn begins there."""


def with_messages(graph: AnyPregel, shape: GraphShape) -> AnyPregel:
    """Return `graph` with a channel of messages, and a first step that puts the question there."""
    # The user's nodes, and all that they keep, stay as they are: so everything that LangGraph does with a thread works
    # on questions and state together. A question is stored before the first node of the graph runs.
    channels = {**graph.channels, _ASKED: EphemeralValue(Any)}
    if MESSAGES not in channels:
        channels[MESSAGES] = BinaryOperatorAggregate(list, add_messages)
    step = PregelNode(
        channels=_ASKED,
        triggers=[_ASKED],
        tags=[TAG_HIDDEN],
        writers=[ChannelWrite([ChannelWriteTupleEntry(mapper=_writes)])],
    )
    nodes = {**graph.nodes, QUESTION_NODE: step}
    if (whole := shape.whole) is not None:
        # What is stored is plain: the object is built where it is needed, also when the turn is resumed.
        adapter: TypeAdapter[Any] = TypeAdapter(whole)
        for name, node in graph.nodes.items():
            nodes[name] = node.copy({"mapper": adapter.validate_python})
    shown = graph.stream_channels_asis
    kept = [shown] if isinstance(shown, str) else [*shown]
    return graph.copy(
        update={
            "nodes": nodes,
            "channels": channels,
            "input_channels": _ASKED,
            "stream_channels": [*dict.fromkeys([*kept, MESSAGES])],
        }
    )


def _writes(value: Mapping[str, Any]) -> list[tuple[str, Any]]:
    writes = [(MESSAGES, value[MESSAGES])] if MESSAGES in value else []
    return writes + ([(START, value[_INPUT])] if _INPUT in value else [])


@dataclass(frozen=True, slots=True)
class AnswerThread(GraphThread):
    """A thread of `graph`, made by `with_messages` and called `name`; `shape` says how it is asked, and answers."""

    graph: AnyPregel
    shape: GraphShape = field(kw_only=True)
    name: str = ""

    async def stream(
        self, graph_input: Any, config: RunnableConfig, context: Any = None
    ) -> AsyncIterator[Mapping[str, Any]]:
        """Run the graph, and yield its stream parts; the last part is the answer, which is stored by then."""
        asked = await self._asked(graph_input) if isinstance(graph_input, Mapping) else graph_input
        async for part in GraphThread.stream(self, asked, config, context):
            yield part
        if (answer := await self._store(config, await self._newest())) is not None:
            yield {"type": ANSWER, "ns": (), "data": answer}

    async def complete(self, config: RunnableConfig) -> None:
        """Write what a run has left unwritten: the answer of a process that was killed before it wrote it."""
        newest = await self._newest()
        metadata = cast("Mapping[str, Any]", (newest.metadata or {}) if newest is not None else {})
        by_this_graph = metadata.get("chatcli_model") == self.name
        # What comes after an answer that is stored, such as an edit of the state, is an update.
        if metadata.get("source") != "loop" or not by_this_graph:
            return
        with suppress(UsageError):  # it has no such field: the next turn says so
            labels = {name: value for name, value in metadata.items() if name.startswith("chatcli_")}
            await self._store({**config, "metadata": {**labels, **config.get("metadata", {})}}, newest)

    async def keep_question(self, config: RunnableConfig, question: HumanMessage, rest: Mapping[str, Any]) -> None:
        """Write `question` and the `rest` of the input as if the graph had been asked."""
        asked = await self._asked({**rest, MESSAGES: [question]})
        await self.graph.aupdate_state(config, asked, as_node=_AS_INPUT)
        await self.graph.aupdate_state(config, asked, as_node=QUESTION_NODE)

    async def append(self, config: RunnableConfig, messages: list[BaseMessage]) -> None:
        """Write `messages` as if the graph had, and leave nothing pending."""
        await self.graph.aupdate_state(config, None, as_node=END)
        await self._write(config, messages)

    async def _asked(self, graph_input: Mapping[str, Any]) -> dict[str, Any]:
        """Return the input of the graph for `graph_input`: the question, and values beside it."""
        other_input = {key: value for key, value in graph_input.items() if key != MESSAGES}
        [question] = graph_input[MESSAGES]
        earlier = await self.messages() if self.shape.whole_thread else []
        asked: dict[str, Any] = {_INPUT: self.shape.build([*earlier, question], other_input)}
        if not self.shape.is_chat:
            asked[MESSAGES] = await self._written([question])
        return asked

    def _answer(self, snapshot: StateSnapshot, newest: CheckpointTuple) -> GraphAnswer:
        """Return the answer that the graph has written since the question was asked."""
        channels = self.graph.output_channels
        if isinstance(channels, str):
            value, written = snapshot.values.get(channels), [channels]
        else:
            value = {key: snapshot.values[key] for key in channels if key in snapshot.values}
            written = [self.shape.answer] if self.shape.answer is not None else [*channels]
        versions = newest.checkpoint["channel_versions"]
        asked = cast("Any", versions.get(_ASKED))
        is_new = any(key in versions and (asked is None or versions[key] > asked) for key in written)
        messages = messages_of(snapshot)
        return self.shape.read_turn(value, messages[newest_turn(messages) :], is_new=is_new)

    async def _store(
        self, config: RunnableConfig, newest: CheckpointTuple | StateSnapshot | None
    ) -> GraphAnswer | None:
        """Return the answer that ends the run with `newest`, None before its end; write it, unless a message has it."""
        snapshot = await self.snapshot()
        if snapshot.next or snapshot.interrupts or not isinstance(newest, CheckpointTuple):
            return None
        answer, messages = self._answer(snapshot, newest), messages_of(snapshot)
        if new := new_answers(answer, messages, messages[newest_turn(messages) :]):
            await self._write(config, new)
        return answer

    async def _write(self, config: RunnableConfig, new: list[BaseMessage]) -> None:
        await self.graph.aupdate_state(config, {MESSAGES: await self._written(new)}, as_node=QUESTION_NODE)

    async def _written(self, new: list[BaseMessage]) -> list[BaseMessage]:
        """Return the messages to write so that `new` follows those before, which it replaces without a reducer."""
        replaces = isinstance(self.graph.channels[MESSAGES], LastValue)
        return [*await self.messages(), *new] if replaces else new
