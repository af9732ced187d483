"""Sessions with MCP servers of several versions of the protocol, and with those that end."""

import asyncio
import sys
from typing import Any
from urllib.parse import urlsplit

import pytest

from chatcli.config.mcp_servers import McpServer
from chatcli.events import Notice
from chatcli.tools.mcp_host import Host
from chatcli.tools.mcp_session import McpSession
from chatcli.tools.toolbox import Toolbox
from tests.conftest import Served
from tests.waiting import WAIT_SECONDS


@pytest.mark.e2e
async def test_a_server_over_http_that_died_is_connected_to_again_and_no_request_is_sent_twice(served: Served) -> None:
    said: list[str] = []
    host = Host("web", lambda event: said.append(event.text if isinstance(event, Notice) else event.label))

    async with asyncio.timeout(WAIT_SECONDS):
        url, process, before = served()
        session = McpSession("web", McpServer(url=url), host)
        await session.open(WAIT_SECONDS)
        tools = {tool.name: tool for tool in session.tools}
        results = [str(await tools["add"].ainvoke({"a": 1, "b": 1}))]
        process.kill()
        process.wait()
        for text in ("gone", "still gone"):
            with pytest.raises(Exception, match="connection to the server failed"):
                await tools["remember"].ainvoke({"text": text})
        _, _, notes = served(port=urlsplit(url).port)
        results += [str(await tools[name].ainvoke(values)) for name, values in CALLS]
        await session.close()
    first, second, third = results
    assert "2" in first
    assert "back" in second
    assert "4" in third
    assert said == ["the MCP server web had ended and was connected to again"]
    assert not (before / "remembered").exists()
    assert (notes / "remembered").read_text() == "back\n"


CALLS: list[tuple[str, dict[str, object]]] = [("remember", {"text": "back"}), ("add", {"a": 2, "b": 2})]


OLD = """
import json, sys
for line in sys.stdin:
    message = json.loads(line)
    results = {
        "initialize": {
            "protocolVersion": "2025-06-18",
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "old", "version": "1"},
        },
        "tools/list": {"tools": [{"name": "old", "inputSchema": {"type": "object"}}]},
    }
    if "id" in message:
        assert message["method"] in results, message
        print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": results[message["method"]]}), flush=True)
"""


@pytest.mark.e2e
async def test_a_server_that_ends_at_what_it_does_not_know_is_begun_with_as_older_versions_have_it() -> None:
    session = McpSession("old", McpServer(command=sys.executable, args=("-c", OLD)))
    await session.open(WAIT_SECONDS)
    await session.close()
    assert (session.problem, {tool.name: tool.args for tool in session.tools}) == ("", {"old": {}})


@pytest.mark.e2e
@pytest.mark.parametrize("kind", ["2025-11-25", "2026-07-28", "2026-07-28 over HTTP"])
async def test_a_tool_that_a_server_adds_is_read(mcp_server: dict[str, Any], served: Served, kind: str) -> None:
    server = McpServer(**mcp_server, env={"MCP_LEGACY": "1"} if "2025" in kind else {})
    if "HTTP" in kind:
        server = McpServer(url=served()[0])
    async with asyncio.timeout(WAIT_SECONDS):
        toolbox = Toolbox({"fake": server})
        tools = await toolbox.open(pytest.fail)
        assert "grown" not in tools
        while "grown" not in tools:  # the server tells it while this goes on
            await tools["grow"].runnable.ainvoke({})
            tools = await toolbox.open(pytest.fail)
        assert "grown" in str(await tools["grown"].runnable.ainvoke({}))
        await toolbox.close()
