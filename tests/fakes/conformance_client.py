"""The client that the public conformance suite of MCP tests: it logs in, and calls every tool of the server once.

The server's URL is the last argument. The user is one who opens each address at once.
"""

import asyncio
import logging
import os
import sys
import threading
from contextlib import suppress

import httpx

from chatcli.config.mcp_servers import McpServer
from chatcli.errors import ChatcliError
from chatcli.tools.mcp_login import log_in
from chatcli.tools.mcp_session import McpSession


def open_address(address: str) -> None:
    """Open `address` as a browser does, while the login waits for it."""
    threading.Thread(target=httpx.get, args=(address,), kwargs={"follow_redirects": True}).start()


async def main(url: str) -> str:
    """Return the reason why the server can't be used; empty if it can."""
    server = McpServer(url=url)
    if os.environ["MCP_CONFORMANCE_SCENARIO"].startswith("auth/"):
        try:
            await log_in(server, open_address)
        except ChatcliError as error:
            return error.message
    session = McpSession("tested", server)
    await session.open(20)
    for tool in session.tools:
        with suppress(Exception):  # the suite judges what was sent
            await tool.ainvoke(dict.fromkeys(tool.args, 1))
    await session.close()
    return session.problem


logging.disable()
sys.exit(asyncio.run(main(sys.argv[-1])) or None)
