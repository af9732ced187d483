"""Sessions with MCP servers, and what they rely on in the SDK beyond its documentation."""

import asyncio
import os
import socket
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import anyio
import pytest
from mcp import McpError, types
from mcp.shared.memory import create_client_server_memory_streams
from mcp.shared.message import SessionMessage

from chatcli.config.mcp_servers import McpServer
from chatcli.events import Notice
from chatcli.tools.mcp_host import Host
from chatcli.tools.mcp_session import McpSession, _Session

SERVER = str(Path(__file__).parents[1] / "fakes" / "mcp_server.py")


def test_a_cancelled_request_is_cancelled_at_the_server_by_its_own_id() -> None:
    async def cancel() -> tuple[types.JSONRPCMessage, types.JSONRPCMessage]:
        async with create_client_server_memory_streams() as (client, server):
            sent, _ = server
            async with _Session(*client) as session:
                request = asyncio.create_task(session.send_ping())
                first = await sent.receive()
                request.cancel()
                second = await sent.receive()
                with pytest.raises(asyncio.CancelledError):
                    await request
        assert not isinstance(first, Exception)
        assert not isinstance(second, Exception)
        return first.message, second.message

    ping, note = (message.root for message in asyncio.run(cancel()))
    assert isinstance(ping, types.JSONRPCRequest)
    assert isinstance(note, types.JSONRPCNotification)
    assert (note.method, (note.params or {})["requestId"]) == ("notifications/cancelled", ping.id)


@pytest.mark.e2e
def test_a_server_over_http_that_died_is_connected_to_again_and_no_request_is_sent_twice(tmp_path: Path) -> None:
    said: list[str] = []
    host = Host("web", lambda event: said.append(event.text if isinstance(event, Notice) else event.label))

    async def run() -> list[str]:
        with ExitStack() as stack:
            process, port = served(stack, tmp_path)
            session = McpSession("web", McpServer(url=f"http://127.0.0.1:{port}/mcp"), host)
            await session.open(30)
            tools = {tool.name: tool for tool in session.tools}
            results = [str(await tools["add"].ainvoke({"a": 1, "b": 1}))]
            process.kill()
            process.wait()
            for text in ("gone", "still gone"):
                with pytest.raises(Exception, match="connection to the server failed"):
                    await tools["remember"].ainvoke({"text": text})
            served(stack, tmp_path, port)
            results += [str(await tools[name].ainvoke(values)) for name, values in CALLS]
            await session.close()
            return results

    first, second, third = asyncio.run(asyncio.wait_for(run(), 60))
    assert "2" in first
    assert "back" in second
    assert "4" in third
    assert said == ["the MCP server web had ended and was connected to again"]
    assert (tmp_path / "remembered").read_text() == "back\n"


CALLS: list[tuple[str, dict[str, object]]] = [("remember", {"text": "back"}), ("add", {"a": 2, "b": 2})]


def served(stack: ExitStack, notes: Path, port: int = 0) -> tuple[subprocess.Popen[bytes], int]:
    """Run the server over HTTP on `port`; return its process and its port."""
    with socket.create_server(("127.0.0.1", port)) as listening:
        number = listening.fileno()
        environment = {**os.environ, "MCP_NOTES": str(notes)}
        process = subprocess.Popen([sys.executable, SERVER, str(number)], env=environment, pass_fds=[number])
        stack.callback(process.wait)
        stack.callback(process.kill)
        return process, listening.getsockname()[1]


def test_a_session_notices_that_its_server_is_gone_and_reads_on_while_the_user_is_asked() -> None:
    async def run() -> tuple[bool, bool]:
        asked = asyncio.Event()

        async def elicit(context: object, params: types.ElicitRequestParams) -> types.ElicitResult:
            asked.set()
            await asyncio.Event().wait()
            raise AssertionError

        async with create_client_server_memory_streams() as (client, server):
            sent, answers = server
            async with _Session(*client, elicitation_callback=elicit) as session:
                params = {"message": "?", "requestedSchema": {"type": "object", "properties": {}}}
                form = types.JSONRPCRequest(jsonrpc="2.0", id=1, method="elicitation/create", params=params)
                await answers.send(SessionMessage(types.JSONRPCMessage(form)))
                await asked.wait()
                ping = asyncio.create_task(session.send_ping())
                request = await sent.receive()
                assert isinstance(request, SessionMessage)
                assert isinstance(request.message.root, types.JSONRPCRequest)
                pong = types.JSONRPCResponse(jsonrpc="2.0", id=request.message.root.id, result={})
                await answers.send(SessionMessage(types.JSONRPCMessage(pong)))
                await ping
                before = session.ended
                await answers.aclose()
                with pytest.raises((McpError, anyio.ClosedResourceError, anyio.BrokenResourceError)):
                    await session.send_ping()
                return before, session.ended

    assert asyncio.run(asyncio.wait_for(run(), 30)) == (False, True)
