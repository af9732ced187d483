"""The only reader of LangGraph's stream shapes: stream parts in, events out."""

# The shapes are those of `version="v2"`: https://docs.langchain.com/oss/python/langgraph/streaming

import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, ToolMessage
from langgraph.types import Interrupt, Overwrite

from chatcli import events
from chatcli.config.providers import LANGFLOW
from chatcli.message import Citation
from chatcli.models.sequencer import SEPARATOR, MessageSequencer
from chatcli.sessions.message_calls import finish_reason
from chatcli.store.message_index import as_message
from chatcli.store.usage import Tokens, read_tokens

STREAM_MODES: tuple[Literal["messages", "updates", "custom"], ...] = ("messages", "updates", "custom")
"""Messages come as they stream; a node's update says that its messages are whole, and what the graph waits for."""
INTERRUPT = "__interrupt__"
"""Where LangGraph puts interrupts: among a step's updates, and among a checkpoint's writes."""

ANSWER = "answer"
"""The type of the stream part that a thread adds at its end where the answer is not what the messages say."""

REJOINED = "rejoined"
"""The type of the stream part that says that the connection broke and the run is joined again."""


Node = tuple[tuple[str, ...], str]
"""A node: the namespace of its graph, and its name."""
_INTERNAL = frozenset({"lc_internal_call", "lc_source"})
"""What langchain's middleware marks its own calls with: summaries, the choice of tools."""


@dataclass(slots=True)
class _StreamedMessage:
    """A message of this turn: the node that writes it, and its text as far as it came."""

    # `task` is that run of the node: its checkpoint's namespace, which begins with those of the graphs around it.
    node: Node
    task: str = ""
    by_model: bool = False
    """Whether a model wrote it; the node may write its text again as its own message."""
    repeated_by: set[str] = field(default_factory=set)
    """The tasks that have done so: the node's, and those of the nodes that run its graph."""
    pieces: list[str] = field(default_factory=list)
    draft: bool | None = None
    """Whether it is taken for an intermediate text; None before its first piece."""
    depth: int | None = None
    """How deep the outermost graph is that has it in its state: 0 for the graph itself, None for no graph yet."""
    stored: str | None = None
    """Its text in that state, which a node may have changed."""
    dropped: bool = False
    """Whether it is no part of the answer."""

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    @property
    def writer(self) -> str:
        """What tells the run of its node from others."""
        return self.task or str(self.node)


@dataclass(frozen=True, slots=True)
class GraphAnswer:
    """The answer of a graph whose output is not messages; `text` is None where the messages of the turn say it."""

    # `output` is the whole output as JSON, None where it is no more than the text; `messages` are those in it.
    text: str | None
    output: Any
    messages: tuple[BaseMessage, ...] = ()


@dataclass(eq=False)
class AnswerReader:
    """Reads one turn's stream parts and gathers what they say of the whole answer."""

    # If `named`, each text carries the name of its node. The text of `nodes` is the answer; without them, what the
    # graph adds to its state. `may_answer` says whether a node, named after those around it, may be the last one.
    named: bool = False
    nodes: Collection[str] = ()
    may_answer: Callable[[Sequence[str]], bool] = lambda path: True
    _finished_nodes: set[str] = field(default_factory=set)
    """The nodes of the graph itself that have written to its state."""
    _answer: str | None = None
    output: Any = None
    """What the graph returned, as JSON, where that is more than the answer."""
    _streamed: dict[str, _StreamedMessage] = field(default_factory=dict)
    _held: dict[str, None] = field(default_factory=dict)
    """The IDs of the messages in the graph's state, in its order."""
    _sequencer: MessageSequencer = field(default_factory=MessageSequencer)
    _calls: dict[str, tuple[str, str]] = field(default_factory=dict)
    """The name of each call's tool, and the node whose model called it."""
    _finished_calls: set[str] = field(default_factory=set)
    _early_results: list[ToolMessage] = field(default_factory=list)
    finish_reason: str = ""
    usage: events.Usage = field(default_factory=events.Usage)
    tokens: Tokens = field(default_factory=Tokens)
    """The usage with what was cached."""
    messages_in_context: int = 0
    messages_in_thread: int = 0
    context_tokens: int = 0
    context_budget: int | None = None
    found: Sequence[Citation] | None = None
    """The passages of documents that the answer may cite; None where there are no documents."""
    memory_used: Sequence[str] | None = None
    """The remembered facts that were sent; None where the memory is off or empty."""
    flow: Mapping[str, str] | None = None
    """What Langflow reports about its answer in addition to the text."""
    interrupts: dict[str, Interrupt[Any]] = field(default_factory=dict)
    """What the graph waits for, by the interrupts' IDs."""
    paused: bool = False
    """Whether the graph stopped at one of its breakpoints, which ask nothing."""
    has_gap: bool = False
    """Whether parts of the stream may not have arrived."""
    _todos_depth: int = sys.maxsize

    @property
    def content(self) -> str:
        """The answer, or else the text that has arrived."""
        if self._answer is not None:
            return self._answer
        arrived = [key for key in self._streamed if key not in self._held]
        answers = [one for key in (*self._held, *arrived) if not (one := self._streamed[key]).dropped]
        return SEPARATOR.join(filter(None, (one.text if one.stored is None else one.stored for one in answers)))

    @property
    def messages(self) -> list[tuple[str, str]]:
        """The messages that have arrived, whole or in part, in order: the ID and the text of each."""
        return [(key, one.text) for key, one in self._streamed.items() if one.text and not one.dropped]

    @property
    def silent_nodes(self) -> list[str]:
        """The nodes that wrote text which is no part of the answer."""
        return list(dict.fromkeys(_label(one.node) for one in self._streamed.values() if one.dropped and one.text))

    @property
    def newest(self) -> str:
        """The text of the newest message."""
        streamed = next(reversed(self._streamed.values()), None)
        return "" if streamed is None else streamed.text

    def read(self, part: Mapping[str, Any]) -> Iterator[events.Event]:
        """Yield the events of `part`, a stream part of one of `STREAM_MODES`, or of the type `ANSWER`."""
        if part["type"] == ANSWER:
            yield from self._read_answer(part["data"])
        elif part["type"] == REJOINED:
            self.has_gap = True
            yield events.Notice("the connection to the server broke; joining the run again")
        elif part["type"] == "custom":
            yield from self._read_report(part["data"])
        elif part["type"] == "messages":
            message, metadata = part["data"]
            node = part["ns"], str(metadata.get("langgraph_node", ""))
            if isinstance(message, AIMessage) and not _INTERNAL & metadata.keys():
                yield from self._read_message(message, node, metadata)
            elif isinstance(message, ToolMessage):
                # A node may write a call and its result at once; only the update then contains the call.
                self._early_results.append(message)
        elif part["type"] == "updates":
            for name, update in part["data"].items():
                if name == INTERRUPT:
                    self.paused = self.paused or not update
                    self.interrupts |= {interrupt.id: interrupt for interrupt in update}
                else:
                    yield from self._read_updates(update, (part["ns"], name))
            yield from self._read_early_results()

    def read_stored(self, messages: Sequence[BaseMessage]) -> Iterator[events.Event]:
        """Yield the answers among `messages`, those of the state, that no stream part had; the others are whole now."""
        for message in messages:
            if isinstance(message, AIMessage) and message.text:
                if message.id not in self._streamed:
                    yield from self._read_message(message, ((), ""))
                self._hold(message, ((), ""))
        for streamed in self._streamed.values():
            if self.has_gap and streamed.depth != 0 and not streamed.dropped:  # a step that was run again
                yield from self._drop(streamed)

    @property
    def has_several_writers(self) -> bool:
        """Whether several nodes wrote the answer; those that run side by side end in any order."""
        return len({self._streamed[key].node for key in self._held}) > 1

    def arrange(self, messages: Sequence[BaseMessage]) -> None:
        """Put the texts of the answer into the order of `messages`, those of the state."""
        self._held = {str(message.id): None for message in messages if message.id in self._held} | self._held

    def finish(self) -> Iterator[events.Event]:
        """Yield the events that were kept back; the stream has ended."""
        yield from self._read_early_results()
        yield from self._sequencer.end_all()

    def complete(self) -> Iterator[events.Event]:
        """Yield the events that take text out of the answer again; the graph has ended as it should."""
        if self.nodes:
            return
        for streamed in self._streamed.values():
            ended = streamed.depth != 0 and _path(streamed.node)[0] in self._finished_nodes
            if ended and not streamed.dropped and streamed.text.strip() != (self._answer or "").strip():
                yield from self._drop(streamed)

    def _read_answer(self, answer: GraphAnswer) -> Iterator[events.Event]:
        """Read the answer that a graph returned; it is shown unless a model has just written it."""
        yield from self.finish()
        self.output = answer.output
        if self.nodes:
            return
        shown = [streamed.text.strip() for streamed in self._streamed.values() if streamed.text and not streamed.draft]
        self._answer = answer.text
        if answer.text and answer.text.strip() not in (*shown[-1:], SEPARATOR.join(shown)):
            yield from self._sequencer.say(ANSWER, events.TextDelta(answer.text, ANSWER if self._streamed else ""))

    def _read_report(self, data: object) -> Iterator[events.Event]:
        """Read what a node itself reported: our own nodes' events and facts, or whatever a user's node has to say."""
        if isinstance(data, events.SessionEvent):
            yield data
            return
        if isinstance(data, GraphAnswer):
            self.output = data.output
            return
        if self.named:
            yield events.Notice(_in_words(data), data=data)
            return
        if not isinstance(data, Mapping):
            return
        self.messages_in_context = data.get("messages_in_context", self.messages_in_context)
        self.messages_in_thread = data.get("messages_in_thread", self.messages_in_thread)
        self.context_tokens = data.get("context_tokens", self.context_tokens)
        self.context_budget = data.get("context_budget", self.context_budget)
        self.found = data.get("found", self.found)
        self.memory_used = data.get("memory_used", self.memory_used)

    def _read_message(
        self, message: AIMessage, node: Node, metadata: Mapping[str, Any] = MappingProxyType({})
    ) -> Iterator[events.Event]:
        message_id = message.id or f"{node}"
        whole = not isinstance(message, AIMessageChunk)
        streamed = self._streamed.get(message_id)
        if streamed is None:
            task = str(metadata.get("langgraph_checkpoint_ns", ""))
            by_model = not whole or "ls_model_type" in metadata
            repeats = not by_model and self._repeats(message, node, task)
            streamed = self._streamed[message_id] = _StreamedMessage(node, task, by_model)
            if repeats:
                return
        label = _label(node) if self.named else ""
        for reasoning in _reasoning(message):
            yield events.ReasoningDelta(reasoning, label)
        if text := message.text:
            if streamed.draft is None:
                streamed.draft = self._is_draft(streamed, text)
            streamed.pieces.append(text)
            yield from self._sequencer.say(message_id, events.TextDelta(text, label, streamed.draft))
        if counts := message.usage_metadata:
            self.usage = events.Usage(
                self.usage.input_tokens + counts["input_tokens"],
                self.usage.output_tokens + counts["output_tokens"],
                self.usage.total_tokens + counts["total_tokens"],
            )
            self.tokens += read_tokens(counts) or Tokens()
        self.flow = message.response_metadata.get(LANGFLOW, self.flow)
        self.finish_reason = finish_reason(message) or self.finish_reason
        if whole or getattr(message, "chunk_position", None) == "last":
            yield from self._sequencer.end(message_id)

    def _is_draft(self, streamed: _StreamedMessage, text: str) -> bool:
        """Return whether a message that begins with `text` is taken for an intermediate one, until the graph ends."""
        path = _path(streamed.node)
        if self.nodes:
            streamed.dropped = not any(
                name in self.nodes for name in (path[-1], *("/".join(path[:end]) for end in range(1, len(path) + 1)))
            )
            return streamed.dropped
        if not self.named or not (streamed.by_model or streamed.node[0]):
            return False  # what a node itself adds to the graph's state
        return (streamed.by_model and text.lstrip().startswith("{")) or not self.may_answer(path)

    def _settle(self, node: Node, updates: Sequence[object]) -> Iterator[events.IntermediateText]:
        """Yield the text of the run of `node` that ends with `updates`, where the state after it lacks that text."""
        if not self.named or self.nodes or not all(each is None or isinstance(each, Mapping) for each in updates):
            return
        depth = len(node[0])
        if not depth:
            self._finished_nodes.add(node[1])
        inside = [one for one in self._streamed.values() if one.node == node or _within(one, node, "")]
        writers = {one.writer for one in inside if one.depth is not None and one.depth <= depth}
        for streamed in inside:
            if streamed.repeated_by & writers:
                streamed.depth = depth
        waiting = [one for one in inside if not one.dropped and (one.depth is None or one.depth > depth)]
        if len({"|".join(one.task.split("|")[: depth + 1]) for one in waiting}) > 1:
            return  # the node runs several times at once, and an update does not say which run it ends
        values = [value for each in updates if isinstance(each, Mapping) for value in each.values()]
        for streamed in waiting:
            if streamed.text.strip() not in [value.strip() for value in values if isinstance(value, str)]:
                yield from self._drop(streamed)

    def _drop(self, streamed: _StreamedMessage) -> Iterator[events.IntermediateText]:
        streamed.dropped = True
        if streamed.text:
            yield events.IntermediateText(streamed.text, _label(streamed.node))

    def _repeats(self, message: AIMessage, node: Node, task: str) -> bool:
        """Return whether a message that a node writes is what was shown already, each time once."""
        # That is the text of its model, or of a graph that it ran: a node may make its own message of that.
        by = task or str(node)
        shown = [
            streamed
            for streamed in self._streamed.values()
            if by not in streamed.repeated_by
            and ((streamed.by_model and _same_run(streamed, node, task)) or _within(streamed, node, task))
            and streamed.text
        ]
        for repeated in [*([streamed] for streamed in shown), shown]:
            if repeated and message.text == "".join(streamed.text for streamed in repeated):
                for streamed in repeated:
                    streamed.repeated_by.add(by)
                    streamed.dropped = False
                return True
        return False

    def _read_updates(self, update: object, node: Node) -> Iterator[events.Event]:
        # A list, where a node returned several commands.
        updates = update if isinstance(update, list) else [update]
        for each in updates:
            yield from self._read_update(each, node)
        yield from self._settle(node, updates)

    def _read_update(self, update: object, node: Node) -> Iterator[events.Event]:
        """Read what a node wrote: its messages are whole now, and so are their tool calls."""
        if isinstance(update, Mapping) and (todos := read_todos(update)) and len(node[0]) <= self._todos_depth:
            self._todos_depth = len(node[0])  # a graph that is called may have a list of its own
            yield events.TodosChanged(todos)
        written = update.get("messages") if isinstance(update, Mapping) else None
        written = written.value if isinstance(written, Overwrite) else written
        for one in written if isinstance(written, list | tuple) else [written]:
            message = as_message(one)
            if message is not one and isinstance(message, AIMessage):  # plain data does not come as a message
                message.id = message.id or f"{node} {len(self._streamed)}"
                yield from self._read_message(message, node)
            # Of this turn alone: a subgraph returns the whole conversation to its parent.
            if isinstance(message, AIMessage) and message.id in self._streamed:
                self._hold(message, node)
                yield from self._read_calls(message)
            elif isinstance(message, ToolMessage) and message.tool_call_id in self._calls:
                yield from self._read_result(message)
        for message_id in [key for key, streamed in self._streamed.items() if streamed.node == node]:
            yield from self._sequencer.end(message_id)

    def _hold(self, message: AIMessage, node: Node) -> None:
        """Note that the state of the graph of `node` has `message`."""
        key, depth = message.id or f"{node}", len(node[0])
        streamed = self._streamed[key]
        if not depth and streamed.pieces:
            self._held[key] = None
        if streamed.depth is None or depth <= streamed.depth:
            streamed.depth = depth
            streamed.dropped = streamed.dropped and bool(self.nodes)
            if streamed.pieces and message.text != streamed.text:
                streamed.stored = message.text

    def _read_calls(self, message: AIMessage) -> Iterator[events.Event]:
        for call in message.tool_calls:
            call_id = str(call["id"])
            if call_id not in self._calls:
                label = _label(self._streamed[str(message.id)].node) if self.named else ""
                self._calls[call_id] = call["name"], label
                yield events.ToolCallStarted(call_id, call["name"], call["args"], label)

    def _read_result(self, message: ToolMessage) -> Iterator[events.ToolCallFinished]:
        call_id = message.tool_call_id
        if call_id not in self._finished_calls:
            self._finished_calls.add(call_id)
            name, node = self._calls.get(call_id, (message.name or "", ""))
            yield events.ToolCallFinished(call_id, name, message.text, message.status, node)

    def _read_early_results(self) -> Iterator[events.Event]:
        for result in self._early_results:
            yield from self._read_result(result)
        self._early_results.clear()


def read_todos(state: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
    """Return the list of what is to be done in `state`, in the form of langchain's middleware; empty for none."""
    todos = state.get("todos")
    items = todos if isinstance(todos, list) else []
    return tuple(each for each in items if isinstance(each, Mapping) and isinstance(each.get("content"), str))


def as_requests(interrupts: Collection[Interrupt[Any]]) -> tuple[events.ApprovalRequested, ...]:
    """Return `interrupts`, all that a graph waits for, as what the user is asked."""
    return tuple(
        events.ApprovalRequested(
            interrupt.id,
            interrupt.value,
            interrupt.response_schema if isinstance(interrupt.response_schema, Mapping) else None,
            len(interrupts),
        )
        for interrupt in interrupts
    )


def _in_words(data: object) -> str:
    if not isinstance(data, Mapping):
        return str(data)
    if set(data) == {"notice"}:
        return str(data["notice"])
    return ", ".join(f"{key}: {value}" for key, value in data.items())


def _same_run(streamed: _StreamedMessage, node: Node, task: str) -> bool:
    return streamed.task == task if streamed.task and task else streamed.node == node


def _within(streamed: _StreamedMessage, node: Node, task: str) -> bool:
    if streamed.task and task:
        return streamed.task.startswith(f"{task}|")
    namespace, name = node
    inside = streamed.node[0][len(namespace) :]
    return streamed.node[0][: len(namespace)] == namespace and bool(inside) and inside[0].partition(":")[0] == name


def _path(node: Node) -> list[str]:
    """Return the name of a node after those of the nodes that its graph runs in, without their tasks' IDs."""
    namespace, name = node
    return [*(part.partition(":")[0] for part in namespace), name]


def _label(node: Node) -> str:
    return "/".join(_path(node))


def _reasoning(message: BaseMessage) -> Iterator[str]:
    if isinstance(message, AIMessageChunk) and isinstance(message.content, str):
        # Plain text, by far the most chunks. Next to it, clients keep reasoning here.
        if message.additional_kwargs and isinstance(text := message.additional_kwargs.get("reasoning_content"), str):
            yield text
        return
    for block in message.content_blocks:
        if block["type"] == "reasoning" and (text := block.get("reasoning")):
            yield text
