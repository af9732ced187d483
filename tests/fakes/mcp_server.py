"""A real MCP server with small tools: over stdio, or over streamable HTTP on the socket whose number is its argument.

A second argument says how it answers over HTTP: "json" without events, "resumable" with events that have a number.

With a folder in MCP_NOTES, it writes there what a test wants to know of it: its process ID, its environment, and the
calls that it began and was told to give up.
"""

import asyncio
import json
import os
import socket
import sys
import time
from pathlib import Path

import uvicorn
from mcp.server.fastmcp import FastMCP
from mcp.server.streamable_http import EventCallback, EventStore
from mcp.types import JSONRPCMessage, ToolAnnotations


class Numbered(EventStore):
    """Gives each event a number, by which a client asks for what came after it; here that is nothing."""

    def __init__(self) -> None:
        self._count = 0

    async def store_event(self, stream_id: str, message: JSONRPCMessage | None) -> str:
        self._count += 1
        return f"{stream_id}/{self._count}"

    async def replay_events_after(self, last_event_id: str, send_callback: EventCallback) -> str | None:
        return last_event_id.rpartition("/")[0]


kind = sys.argv[2] if len(sys.argv) > 2 else ""
server = FastMCP(
    "fake",
    log_level="ERROR",
    json_response=kind == "json",
    event_store=Numbered() if kind == "resumable" else None,
)
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
    """Wait, and return when it began and ended."""
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
    if len(sys.argv) > 1:
        config = uvicorn.Config(server.streamable_http_app(), log_level="error")
        uvicorn.Server(config).run(sockets=[socket.socket(fileno=int(sys.argv[1]))])
    else:
        server.run("stdio")
