"""The tool that searches the user's past threads; the user names it (`--recall`), and approves its calls."""

import asyncio
from typing import Any

from langchain_core.runnables import RunnableConfig
from langchain_core.tools import StructuredTool

from chatcli.store.recall import recall
from chatcli.store.threads import Threads
from chatcli.tools.tool import Tool


def thread_tool(threads: Threads) -> Tool:
    """Return the tool that searches `threads`, without the one that it is called in."""

    async def search_threads(query: str, config: RunnableConfig) -> str:  # noqa: D417 - the text is for a model
        """Search the user's earlier conversations by words; the result is excerpts, each with the thread it is of.

        Args:
            query: The words to look for: names and technical terms, no sentence.
        """
        configurable: dict[str, Any] = config.get("configurable", {})
        found = await asyncio.to_thread(recall, threads, query, without=str(configurable.get("thread_id", "")))
        return found.text or "Nothing in earlier conversations has enough of these words."

    runnable = StructuredTool.from_function(coroutine=search_threads, parse_docstring=True, handle_tool_error=True)
    return Tool(runnable, reads_only=True)
