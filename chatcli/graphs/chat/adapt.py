"""Messages and tools in the form that the current model takes."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage, BaseMessage, ToolMessage, merge_message_runs
from langchain_core.runnables import Runnable
from langchain_core.utils.function_calling import convert_to_openai_tool
from langgraph.runtime import Runtime

from chatcli.graphs.chat.state import TurnContext
from chatcli.models.model import FileKind, Model, takes
from chatcli.tools.tool import Tool

_KINDS: dict[str, FileKind] = {"image": "image", "file": "pdf"}
CHARACTERS_PER_TOKEN = 4
"""An estimate, for the descriptions of tools."""


def adapt_messages(messages: Sequence[BaseMessage], model: Model) -> list[BaseMessage]:
    """Return `messages` in a form that `model` can take; those that need no change are the same objects.

    Reasoning of another provider is left out, since only that provider can read it, and so are files that the model
    does not take. Tool calls become text for a model that knows no tools.
    """
    adapted = without_files([_without_foreign_blocks(message, model) for message in messages], model)
    if not takes_tools(model):
        adapted = merge_message_runs([_without_tools(message) for message in adapted])
    return adapted


def takes_tools(model: Model) -> bool:
    """Return whether `model` can call tools, as far as it is known."""
    profile: Any = model.client.profile or {}
    return profile.get("tool_calling") is not False and type(model.client).bind_tools is not BaseChatModel.bind_tools


def _without_foreign_blocks(message: BaseMessage, model: Model) -> BaseMessage:
    if not isinstance(message, AIMessage):
        return message
    maker = message.response_metadata.get("model_provider")
    foreign = maker is not None and maker != model.maker
    if not foreign or (isinstance(message.content, str) and not message.additional_kwargs):
        return message
    return AIMessage(
        str(message.text), id=message.id, tool_calls=message.tool_calls, response_metadata=message.response_metadata
    )


def _without_tools(message: BaseMessage) -> BaseMessage:
    if isinstance(message, ToolMessage):
        return AIMessage(f"[the tool answered: {message.text}]", id=message.id)
    if isinstance(message, AIMessage) and message.tool_calls:
        calls = [f"[called the tool {call['name']} with {call['args']}]" for call in message.tool_calls]
        return AIMessage("\n".join([*([str(message.text)] if message.content else []), *calls]), id=message.id)
    return message


def without_files(messages: list[BaseMessage], model: Model) -> list[BaseMessage]:
    """Return `messages` without the files that `model` does not take; their labels stay.

    Such files are there if the thread began with another model.
    """
    return [_without_files(message, model) if isinstance(message.content, list) else message for message in messages]


def _without_files(message: BaseMessage, model: Model) -> BaseMessage:
    kept = [
        block
        for block in message.content
        if isinstance(block, str) or (kind := _KINDS.get(block["type"])) is None or takes(model, kind) is not False
    ]
    return message if len(kept) == len(message.content) else message.model_copy(update={"content": kept})


@dataclass(frozen=True, slots=True)
class OfferedTools:
    """The tools of one request by name, and about how many tokens their descriptions take."""

    tools: Mapping[str, Tool] = field(default_factory=dict)
    tokens: int = 0

    def client(self, model: Model) -> Runnable[LanguageModelInput, Any]:
        """Return the client of `model` with the tools bound to it."""
        if not self.tools:
            return model.client
        return model.client.bind_tools([tool.runnable for tool in self.tools.values()])


async def offered_tools(runtime: Runtime[TurnContext]) -> OfferedTools:
    """Return what the turn's model may call, started if necessary; nothing for a model that takes no tools."""
    turn = runtime.context
    toolbox = turn.toolbox
    # Tools and a schema contradict each other: with a schema, every answer is JSON.
    if toolbox.empty or turn.schema is not None:
        return OfferedTools()
    if not takes_tools(turn.model):
        runtime.stream_writer({"note": f"{turn.model.name} takes no tools and answers without them"})
        return OfferedTools()
    if toolbox.starting:
        runtime.stream_writer({"note": f"starting MCP servers: {', '.join(toolbox.starting)}"})
    tools = await toolbox.open(notify(runtime))
    described = [json.dumps(convert_to_openai_tool(tool.runnable)) for tool in tools.values()]
    return OfferedTools(tools, sum(map(len, described)) // CHARACTERS_PER_TOKEN)


def notify(runtime: Runtime[TurnContext]) -> Callable[[str], None]:
    """Return a function that shows the user a line that is not part of the answer."""
    return lambda line: runtime.stream_writer({"notice": line})
