"""A real MCP server with small tools: over stdio, or over streamable HTTP on the port that is its argument.

With a folder in MCP_NOTES, it writes there what a test wants to know of it: its process ID, its environment, and the
calls that it began and was told to give up.
"""

import asyncio
import json
import os
import sys
import time
from pathlib import Path

from mcp.server.fastmcp import FastMCP
from mcp.types import ToolAnnotations

server = FastMCP("fake", host="127.0.0.1", port=int(sys.argv[1]) if len(sys.argv) > 1 else 0, log_level="ERROR")
notes = Path(os.environ["MCP_NOTES"]) if "MCP_NOTES" in os.environ else None


def note(name: str, text: str) -> None:
    if notes is not None:
        with (notes / name).open("a") as file:
            file.write(f"{text}\n")


@server.tool(annotations=ToolAnnotations(readOnlyHint=True, openWorldHint=False))
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@server.tool()
def remember(text: str) -> str:
    """Write a text down."""
    note("remembered", text)
    return f"remembered: {text}"


@server.tool(annotations=ToolAnnotations(readOnlyHint=True, openWorldHint=False))
async def wait(seconds: float) -> str:
    """Wait, and tell when it began and ended."""
    note("waiting", str(seconds))
    began = time.monotonic()
    try:
        await asyncio.sleep(seconds)
    except asyncio.CancelledError:
        note("given_up", str(seconds))
        raise
    return f"{began} {time.monotonic()}"


@server.tool(annotations=ToolAnnotations(readOnlyHint=True, openWorldHint=False))
def fail(reason: str) -> str:
    """Fail."""
    raise ValueError(reason)


@server.tool(annotations=ToolAnnotations(readOnlyHint=True, openWorldHint=False))
def die() -> str:
    """End the server."""
    os._exit(3)


if __name__ == "__main__":
    note("pid", str(os.getpid()))
    note("env", json.dumps(dict(os.environ)))
    server.run("streamable-http" if len(sys.argv) > 1 else "stdio")
