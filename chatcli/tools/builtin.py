"""The built-in tools, all of them."""

from pathlib import Path

from chatcli.tools.fetch import fetch_tool
from chatcli.tools.files import file_tools
from chatcli.tools.shell import shell_tool
from chatcli.tools.tool import Tool


def builtin_tools(root: Path, seconds: float, *, allow_private: bool) -> list[Tool]:
    """Return the tools that work in `root`; each call takes `seconds` at most."""
    return [*file_tools(root, seconds), fetch_tool(seconds, allow_private=allow_private), shell_tool(root, seconds)]
