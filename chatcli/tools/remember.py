"""The built-in tool by which a model proposes a fact to remember; the user decides on each."""

from pathlib import Path
from typing import Literal

from langchain_core.tools import StructuredTool, ToolException

from chatcli.errors import ChatcliError
from chatcli.memory import facts
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
