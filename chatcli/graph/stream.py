"""The only reader of LangGraph's stream shapes: stream parts in, events out.

The shapes are those of `version="v2"`: https://docs.langchain.com/oss/python/langgraph/streaming
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, ToolMessage

from chatcli.events import (
    ApprovalRequested,
    Notice,
    ReasoningDelta,
    TextDelta,
    ToolCallFinished,
    ToolCallStarted,
    Usage,
)
from chatcli.graph.finish import finish_reason

STREAM_MODES: tuple[Literal["messages", "updates", "custom"], ...] = ("messages", "updates", "custom")
"""Messages come as they stream; a node's update says that its messages are whole, and what the graph waits for."""

AnswerEvent = TextDelta | ReasoningDelta | ToolCallStarted | ToolCallFinished | Notice
INTERRUPT = "__interrupt__"
"""Where LangGraph puts interrupts: among a step's updates, and among a checkpoint's writes."""


class AnswerReader:
    """Reads one turn's stream parts and gathers what they say of the whole answer."""

    def __init__(self) -> None:
        self._texts: dict[str, list[str]] = {}
        self._calls: dict[str, str] = {}
        self._finished_calls: set[str] = set()
        self._early_results: list[ToolMessage] = []
        self._content: list[str] = []
        self.finish_reason = ""
        self.usage = Usage()
        self.messages_in_context = 0
        self.messages_in_thread = 0
        self.context_tokens = 0
        self.context_budget: int | None = None
        self.interrupts: dict[str, ApprovalRequested] = {}
        """What the graph waits for, by the interrupts' IDs."""

    @property
    def content(self) -> str:
        """The text that has arrived."""
        return "".join(self._content)

    @property
    def messages(self) -> list[tuple[str, str]]:
        """The messages that have arrived, whole or in part, in order: the ID and the text of each."""
        return [(message_id, "".join(pieces)) for message_id, pieces in self._texts.items()]

    @property
    def newest(self) -> str:
        """The text of the newest message."""
        return "".join(next(reversed(self._texts.values()), []))

    def read(self, part: Mapping[str, Any]) -> Iterator[AnswerEvent]:
        """Yield the events of `part`, a stream part of one of `STREAM_MODES`."""
        if part["type"] == "custom":
            yield from self._read_report(part["data"])
        elif part["type"] == "messages":
            message, _metadata = part["data"]
            if isinstance(message, AIMessage):
                yield from self._read_message(message)
            elif isinstance(message, ToolMessage):
                # A node may write a call and its result at once; only the update then tells of the call.
                self._early_results.append(message)
        elif part["type"] == "updates":
            self._read_interrupts(part["data"].get(INTERRUPT, ()))
            for update in part["data"].values():
                # A list, where a node returned several commands.
                for each in update if isinstance(update, list) else [update]:
                    yield from self._read_update(each)
            for result in self._early_results:
                yield from self._read_result(result)
            self._early_results.clear()

    def _read_report(self, data: object) -> Iterator[Notice]:
        if not isinstance(data, Mapping):
            return
        self.messages_in_context = data.get("messages_in_context", self.messages_in_context)
        self.messages_in_thread = data.get("messages_in_thread", self.messages_in_thread)
        self.context_tokens = data.get("context_tokens", self.context_tokens)
        self.context_budget = data.get("context_budget", self.context_budget)
        if "note" in data:
            yield Notice(str(data["note"]), passing=True)
        if notice := data.get("notice"):
            yield Notice(notice)

    def _read_message(self, message: AIMessage) -> Iterator[TextDelta | ReasoningDelta]:
        for reasoning in _reasoning(message):
            yield ReasoningDelta(reasoning)
        pieces = self._texts.setdefault(message.id or "", [])
        if text := message.text:
            if not pieces and self._content:
                yield self._say("\n\n")  # of another message
            pieces.append(text)
            yield self._say(text)
        if message.usage_metadata:
            self._add_usage(message)
        self.finish_reason = finish_reason(message) or self.finish_reason

    def _say(self, text: str) -> TextDelta:
        self._content.append(text)
        return TextDelta(text)

    def _read_update(self, update: object) -> Iterator[AnswerEvent]:
        """Read what a node wrote: its messages are whole now, and so are their tool calls."""
        messages = update.get("messages") if isinstance(update, Mapping) else None
        for message in messages if isinstance(messages, Sequence) else [messages]:
            # Of this turn alone: a subgraph returns the whole conversation to its parent.
            if isinstance(message, AIMessage) and message.id in self._texts:
                yield from self._read_calls(message)
            elif isinstance(message, ToolMessage) and message.tool_call_id in self._calls:
                yield from self._read_result(message)

    def _read_calls(self, message: AIMessage) -> Iterator[ToolCallStarted]:
        for call in message.tool_calls:
            call_id = str(call["id"])
            if call_id not in self._calls:
                self._calls[call_id] = call["name"]
                yield ToolCallStarted(call_id, call["name"], call["args"])

    def _read_result(self, message: ToolMessage) -> Iterator[ToolCallFinished]:
        call_id = message.tool_call_id
        if call_id not in self._finished_calls:
            self._finished_calls.add(call_id)
            name = self._calls.get(call_id) or message.name or ""
            yield ToolCallFinished(call_id, name, message.text, message.status)

    def _read_interrupts(self, interrupts: Sequence[Any]) -> None:
        for interrupt in interrupts:
            self.interrupts[interrupt.id] = ApprovalRequested(interrupt.id, interrupt.value)

    def _add_usage(self, message: AIMessage) -> None:
        counts = message.usage_metadata
        assert counts is not None
        self.usage = Usage(
            self.usage.input_tokens + counts["input_tokens"],
            self.usage.output_tokens + counts["output_tokens"],
            self.usage.total_tokens + counts["total_tokens"],
        )


def _reasoning(message: BaseMessage) -> Iterator[str]:
    if isinstance(message, AIMessageChunk) and isinstance(message.content, str):
        return  # plain text, by far the most chunks
    for block in message.content_blocks:
        if block["type"] == "reasoning" and (text := block.get("reasoning")):
            yield text
