"""The tools of a turn, and how they are offered to its model."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from langchain_core.language_models import LanguageModelInput
from langchain_core.runnables import Runnable
from langchain_core.utils.function_calling import convert_to_openai_tool
from langgraph.runtime import Runtime

from chatcli.graphs.chat.adapt import notify, takes_tools
from chatcli.graphs.chat.document_tools import document_tools
from chatcli.graphs.chat.state import TurnContext
from chatcli.models.model import Model
from chatcli.tools.tool import Tool

CHARACTERS_PER_TOKEN = 4
"""An estimate, for the descriptions of tools."""


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
    """Return the tools that the turn's model may call, started if necessary; none for a model that takes none."""
    turn = runtime.context
    toolbox = turn.toolbox
    # Tools and a schema contradict each other: with a schema, every answer is JSON.
    if turn.schema is not None:
        return OfferedTools()
    if not toolbox.empty and not takes_tools(turn.model):
        runtime.stream_writer({"note": f"{turn.model.name} takes no tools and answers without them"})
        return OfferedTools()
    if toolbox.starting:
        runtime.stream_writer({"note": f"starting MCP servers: {', '.join(toolbox.starting)}"})
    tools = {name: tool for name, tool in (await turn_tools(runtime)).items() if not toolbox.rules.refuses(tool)}
    described = [json.dumps(convert_to_openai_tool(tool.runnable)) for tool in tools.values()]
    return OfferedTools(tools, sum(map(len, described)) // CHARACTERS_PER_TOKEN)


async def turn_tools(runtime: Runtime[TurnContext], marker: str = "") -> Mapping[str, Tool]:
    """Return the tools of the turn by name, started if necessary; `marker` fences passages of documents in results."""
    # Of two tools with the same name, the one that the user switched on counts.
    turn = runtime.context
    own = document_tools(turn, marker, lambda event: runtime.stream_writer({"event": event}))
    return {**{tool.name: tool for tool in own}, **await turn.toolbox.open(notify(runtime))}
