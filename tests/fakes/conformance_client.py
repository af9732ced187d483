"""The client that the public conformance suite of MCP tests: it logs in, and calls every tool of the server once.

The server's URL is the last argument. The user is one who opens each address at once, and sends each form as it is. The
suite may name the calls; a tool with the argument `schema` gets that of the first tool.
"""

import asyncio
import json
import logging
import os
import sys
import threading
from contextlib import suppress
from itertools import count
from typing import Any

import httpx
from langchain_core.tools import BaseTool

from chatcli.config.mcp_servers import McpServer
from chatcli.errors import ChatcliError
from chatcli.tools.mcp_host import Host
from chatcli.tools.mcp_login import log_in
from chatcli.tools.mcp_session import McpSession

CLIENT_DOCUMENT = "https://conformance-test.local/client-metadata.json"


def open_address(address: str) -> None:
    """Open `address` as a browser does, while the login waits for it."""
    threading.Thread(target=httpx.get, args=(address,), kwargs={"follow_redirects": True}).start()


async def call(session: McpSession, tool: BaseTool, arguments: dict[str, Any]) -> None:
    """Call `tool`, and answer what its server asks meanwhile."""
    running = session.host.inbox.begin(tool.ainvoke(arguments))
    for number in count():
        if (question := await running.question(number)) is None:
            break
        question.answer(question.read({"action": "accept"}))
    await running.task


async def main(url: str) -> str:
    """Return the reason why the server can't be used; empty if it can."""
    scenario = os.environ["MCP_CONFORMANCE_SCENARIO"]
    context = json.loads(os.environ.get("MCP_CONFORMANCE_CONTEXT", "{}"))
    client_id = CLIENT_DOCUMENT if scenario == "auth/basic-cimd" else context.get("client_id")
    server = McpServer(url=url, client_id=client_id, client_secret=context.get("client_secret"))
    if scenario.startswith("auth/"):
        try:
            await log_in(server, open_address)
        except ChatcliError as error:
            return error.message
    session = McpSession("tested", server, Host("tested", can_ask=True))
    await session.open(20)
    tools = {tool.name: tool for tool in session.tools}
    calls = [
        (tool, {name: session.tools[0].args_schema if name == "schema" else 1 for name in tool.args})
        for tool in session.tools
    ]
    if named := context.get("toolCalls"):
        calls = [(tools[one["name"]], one["arguments"]) for one in named]
    for tool, arguments in calls:
        with suppress(Exception):  # the suite judges what was sent
            await call(session, tool, arguments)
    await session.close()
    return session.problem


logging.disable()
sys.exit(asyncio.run(main(sys.argv[-1])) or None)
