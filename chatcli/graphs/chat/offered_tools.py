"""The tools that are offered to the model with a question."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from langchain_core.language_models import LanguageModelInput
from langchain_core.runnables import Runnable
from langchain_core.utils.function_calling import convert_to_openai_tool
from langgraph.runtime import Runtime

from chatcli.graphs.chat.adapt import takes_tools
from chatcli.graphs.chat.state import TurnContext
from chatcli.models.model import Model
from chatcli.tools.tool import Tool

CHARACTERS_PER_TOKEN = 4


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
    """Return what the turn's model may call, started if need be; nothing where it takes no tools."""
    turn = runtime.context
    toolbox = turn.toolbox
    # Tools and a schema would contradict each other: with a schema, every answer is the JSON.
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
    """Return what tells the user a line beside the answer."""
    return lambda line: runtime.stream_writer({"notice": line})
