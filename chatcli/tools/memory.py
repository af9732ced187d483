"""The built-in tools beyond this conversation: one proposes a fact to remember, one searches past threads."""

import asyncio
from pathlib import Path
from typing import Any, Literal

from langchain_core.runnables import RunnableConfig
from langchain_core.tools import StructuredTool, ToolException

from chatcli.errors import ChatcliError
from chatcli.memory import facts
from chatcli.store.recall import recall
from chatcli.store.threads import Threads
from chatcli.tools.tool import Tool


def remember_tool(folder: Path) -> Tool:
    """Return the tool for a conversation in `folder`."""

    def remember(fact: str, about: Literal["user", "project"] = "user") -> str:
        """Remember a fact for later conversations, if the user agrees.

        Propose only what stays true, and what the user would want you to know again. Never a key or a password.

        Args:
            fact: One sentence that can be understood alone.
            about: Whom it is about: "user", or "project" for the repository that the user works in.
        """
        file = facts.FactFile() if about == "user" else facts.current_project(folder)
        if file is None:
            raise ToolException("this folder is in no repository: remember it about the user")
        try:
            return f"Remembered: {facts.add(fact, file).text}"
        except ChatcliError as error:
            raise ToolException(str(error)) from None

    return Tool(StructuredTool.from_function(remember, parse_docstring=True, handle_tool_error=True), always_asks=True)


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
