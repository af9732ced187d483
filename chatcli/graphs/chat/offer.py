"""The tools of a turn, those that look into its documents among them, and how they are offered to its model."""

# The tools of documents read nothing else, and so ask nobody.

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from langchain_core.language_models import LanguageModelInput
from langchain_core.runnables import Runnable
from langchain_core.tools import StructuredTool, ToolException
from langchain_core.utils.function_calling import convert_to_openai_tool
from langgraph.runtime import Runtime

from chatcli.documents.find import find_files
from chatcli.documents.passage import Passage
from chatcli.events import Notice
from chatcli.graphs.chat.adapt import notify, takes_tools
from chatcli.graphs.chat.context import request_limit
from chatcli.graphs.chat.passages import as_event, fenced, number_passages
from chatcli.graphs.chat.small_model import is_small
from chatcli.graphs.chat.state import TurnContext
from chatcli.message import FoundPassage
from chatcli.models.model import Model
from chatcli.sessions.found import ARTIFACT
from chatcli.text import one_line
from chatcli.tools.tool import Tool

DOCUMENT_TOOLS = ("search_documents", "read_document")
MAX_FOUND = 10
"""The most passages that a search returns."""
MAX_READ = 12_000
"""Characters of a document that one call returns."""
LEAST_WINDOW = 3000
"""Tokens that may be sent, below which there is no room for these tools and what they return."""
MAX_SHOWN = 200
"""Characters of a path that a message shows."""
CHARACTERS_PER_TOKEN = 4
"""An estimate, for the descriptions of tools."""

Result = tuple[str, dict[str, Any]]


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
        runtime.stream_writer(Notice(f"{turn.model.name} takes no tools and answers without them", passing=True))
        return OfferedTools()
    if toolbox.starting:
        runtime.stream_writer(Notice(f"starting MCP servers: {', '.join(toolbox.starting)}", passing=True))
    tools = {name: tool for name, tool in (await turn_tools(runtime)).items() if not toolbox.rules.refuses(tool)}
    described = [json.dumps(convert_to_openai_tool(tool.runnable)) for tool in tools.values()]
    return OfferedTools(tools, sum(map(len, described)) // CHARACTERS_PER_TOKEN)


async def turn_tools(runtime: Runtime[TurnContext], marker: str = "") -> Mapping[str, Tool]:
    """Return the tools of the turn by name, started if necessary; `marker` fences passages of documents in results."""
    # Of two tools with the same name, the one that the user switched on counts.
    own = {tool.name: tool for tool in _document_tools(runtime, marker)}
    return {**own, **await runtime.context.toolbox.open(notify(runtime))}


def _document_tools(runtime: Runtime[TurnContext], marker: str) -> list[Tool]:
    """Return the tools for the turn's documents, none if it can't use them; `marker` fences their results."""
    turn = runtime.context
    limit = request_limit(turn)
    has_room = limit is None or limit >= LEAST_WINDOW
    may_call = turn.schema is None and takes_tools(turn.model) and not is_small(turn.model)
    if not turn.documents or not has_room or not may_call:
        return []

    def result(passages: Sequence[FoundPassage], more: str = "") -> Result:
        return f"{fenced(passages, marker)}{more}", {ARTIFACT: list(passages)}

    async def search_documents(query: str, limit: int = 5) -> Result:
        """Search the user's documents by words; the result is passages, to be cited by their numbers.

        Args:
            query: The words that the passages should have: names and technical terms, no sentence.
            limit: How many passages to return, at most 10.
        """
        found = await asyncio.to_thread(search_index, query, turn.documents, min(max(limit, 1), MAX_FOUND))
        passages = number_passages(found, turn.numbers)
        runtime.stream_writer(as_event(query, passages))
        if not passages:
            return "Nothing in the documents matches these words.", {}
        return result(passages)

    async def read_document(path: str, start_line: int = 1, page: int = 1) -> Result:
        """Read one of the user's documents from a line or a page on; the result is passages, to be cited by number.

        Args:
            path: The document, as the passages name it.
            start_line: The line to begin at, from 1.
            page: The page to begin at, from 1, where the document has pages.
        """
        read = await asyncio.to_thread(_read, path, turn.documents)
        rest = [each for each in read if (each.page or page) >= page and (each.end_line or start_line) >= start_line]
        chosen = beginning(rest, MAX_READ)
        if not chosen:
            raise ToolException(f"{one_line(path, MAX_SHOWN)} has nothing there")
        more = ""
        if len(chosen) < len(rest):
            following = rest[len(chosen)]
            place = f"page {following.page}" if following.start_line is None else f"line {following.start_line}"
            more = f"\n[more follows, from {place} on]"
        return result(number_passages(chosen, turn.numbers), more)

    coroutines: tuple[Callable[..., Any], ...] = (search_documents, read_document)
    runnables = [
        StructuredTool.from_function(
            coroutine=each, parse_docstring=True, handle_tool_error=True, response_format="content_and_artifact"
        )
        for each in coroutines
    ]
    return [Tool(runnable, asks=lambda arguments: False, reads_only=True) for runnable in runnables]


def search_index(words: str, sources: Sequence[str], limit: int) -> list[Passage]:
    """Return the best passages in `sources` for `words`; none if they match little of it."""
    from chatcli.documents.index import DocumentIndex  # late: most turns have no documents

    with DocumentIndex() as index:
        return [each for each in index.search(words, sources, limit=limit) if not each.weak]


def _read(path: str, sources: Sequence[str]) -> list[Passage]:
    """Return the passages of the document `path`, which must be one of `sources`."""
    from chatcli.documents.index import DocumentIndex

    try:
        wanted = Path(path).expanduser().resolve()
    except (OSError, ValueError, RuntimeError):
        wanted = Path()
    if not any(each.path == str(wanted) for each in find_files(sources)):
        raise ToolException(f"{one_line(path, MAX_SHOWN)} is none of the documents; name one as the passages do")
    with DocumentIndex() as index:
        return index.passages(wanted)


def beginning(passages: Sequence[Passage], room: int) -> list[Passage]:
    """Return the first of `passages`, as many as `room` characters hold, but at least one."""
    chosen: list[Passage] = []
    for passage in passages:
        room -= len(passage.plain or passage.text)
        if room < 0 and chosen:
            break
        chosen.append(passage)
    return chosen
