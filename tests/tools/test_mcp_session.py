"""What `mcp_session` relies on in the MCP SDK beyond its documentation."""

import asyncio

import pytest
from mcp import types
from mcp.shared.memory import create_client_server_memory_streams

from chatcli.tools.mcp_session import _Session


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
