"""A chat model without a server, whose answers follow from the conversation."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage, ToolCall, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.utils.function_calling import convert_to_openai_tool


class Scripted(BaseChatModel):
    """Repeats the last question; `call TOOL {"key": "value"}` makes it call that tool, and then repeat the result.

    A tool that is forced (`tool_choice`) is called with the question in place of each text.
    """

    prefix: str = "You said: "

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def bind_tools(self, tools: Sequence[Any], *, tool_choice: Any = None, **kwargs: Any) -> Runnable[Any, AIMessage]:
        """See `BaseChatModel.bind_tools`."""
        return self.bind(tools=[convert_to_openai_tool(tool) for tool in tools], tool_choice=tool_choice)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=self._answer(messages, **kwargs))])

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        answer = self._answer(messages, **kwargs)
        for piece in answer.text.splitlines(keepends=True):
            yield ChatGenerationChunk(message=AIMessageChunk(content=piece))
        if answer.tool_calls:
            chunks = [
                {"name": call["name"], "args": json.dumps(call["args"]), "id": call["id"], "index": 0}
                for call in answer.tool_calls
            ]
            yield ChatGenerationChunk(message=AIMessageChunk(content="", tool_call_chunks=chunks))  # type: ignore[arg-type]

    def _answer(
        self,
        messages: Sequence[BaseMessage],
        tools: Sequence[Mapping[str, Any]] = (),
        tool_choice: Any = None,
        **_: Any,
    ) -> AIMessage:
        named = {tool["function"]["name"]: tool["function"] for tool in tools}
        question = next((one.text for one in reversed(messages) if isinstance(one, HumanMessage)), "")
        if messages and isinstance(messages[-1], ToolMessage):
            return AIMessage(f"Done: {messages[-1].text}")
        word, _space, rest = question.partition(" ")
        name, _space, arguments = rest.partition(" ")
        if word == "call" and name in named:
            return AIMessage("", tool_calls=[_call(name, json.loads(arguments or "{}"))])
        if named and tool_choice not in (None, "auto", "none"):
            chosen = tool_choice if tool_choice in named else next(iter(named))
            fields = named[chosen]["parameters"].get("properties", {})
            given = {field: question if kind.get("type") == "string" else 1 for field, kind in fields.items()}
            return AIMessage("", tool_calls=[_call(chosen, given)])
        return AIMessage(f"{self.prefix}{question}")


def _call(name: str, arguments: dict[str, Any]) -> ToolCall:
    return ToolCall(name=name, args=arguments, id=f"call_{name}", type="tool_call")
