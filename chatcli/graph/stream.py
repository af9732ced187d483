"""The only reader of LangGraph's stream shapes: stream parts in, events out.

The shapes are those of `version="v2"`: https://docs.langchain.com/oss/python/langgraph/streaming
"""

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from langchain_core.messages import AIMessage, AIMessageChunk

from chatcli.events import Notice, ReasoningDelta, TextDelta, Usage
from chatcli.graph.finish import finish_reason
from chatcli.providers import LANGFLOW

STREAM_MODES: tuple[Literal["messages", "custom"], ...] = ("messages", "custom")


class AnswerReader:
    """Reads one turn's stream parts and gathers what they say of the whole answer."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self.finish_reason = ""
        self.usage = Usage()
        self.messages_in_context = 0
        self.messages_in_thread = 0
        self.context_tokens = 0
        self.context_budget: int | None = None
        self.flow: Mapping[str, str] | None = None
        """What Langflow says of its answer beside the text."""

    @property
    def content(self) -> str:
        """The text that has arrived."""
        return "".join(self._pieces)

    def read(self, part: Mapping[str, Any]) -> Iterator[TextDelta | ReasoningDelta | Notice]:
        """Yield the events of `part`, a stream part of one of `STREAM_MODES`."""
        if part["type"] == "custom":
            yield from self._read_report(part["data"])
        elif part["type"] == "messages":
            message, _metadata = part["data"]
            if isinstance(message, AIMessage):
                yield from self._read_message(message)

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
        if text := message.text:
            self._pieces.append(text)
            yield TextDelta(text)
        if message.usage_metadata:
            self._add_usage(message)
        self.flow = message.response_metadata.get(LANGFLOW, self.flow)
        self.finish_reason = finish_reason(message) or self.finish_reason

    def _add_usage(self, message: AIMessage) -> None:
        counts = message.usage_metadata
        assert counts is not None
        self.usage = Usage(
            self.usage.input_tokens + counts["input_tokens"],
            self.usage.output_tokens + counts["output_tokens"],
            self.usage.total_tokens + counts["total_tokens"],
        )


def _reasoning(message: AIMessage) -> Iterator[str]:
    if isinstance(message, AIMessageChunk) and isinstance(message.content, str):
        return  # plain text, by far the most chunks
    for block in message.content_blocks:
        if block["type"] == "reasoning" and (text := block.get("reasoning")):
            yield text
