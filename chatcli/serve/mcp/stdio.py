"""The transport over standard input and output, one message a line."""

import asyncio
import json
import threading

import anyio
import mcp.types as types
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.shared.message import SessionMessage
from pydantic import ValidationError

from chatcli.runtime.background import in_background
from chatcli.runtime.signals import take_signals
from chatcli.serve.mcp.server import ChatServer
from chatcli.serve.standard_streams import read_lines, rpc_error, take_streams, write_whole

Incoming = MemoryObjectSendStream[SessionMessage | Exception]


class _Writer:
    """Writes lines in a thread: a client that does not read must not keep the loop from noticing its end."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._lock = asyncio.Lock()

    async def write(self, line: str) -> None:
        """Write `line`, and wait until it is written; raise OSError if the client is gone."""
        async with self._lock:
            await in_background(lambda: write_whole(self._target, line.encode() + b"\n"))


async def serve_stdio(server: ChatServer) -> bool:
    """Serve the client on standard input and output until it closes one of them; return whether a signal ended it."""
    source, target = take_streams()
    loop, writer = asyncio.get_running_loop(), _Writer(target)
    to_server, incoming = anyio.create_memory_object_stream[SessionMessage | Exception](0)
    outgoing, from_server = anyio.create_memory_object_stream[SessionMessage](0)
    signalled = False

    def stop() -> None:
        nonlocal signalled
        signalled = True
        to_server.close()

    take_signals(loop, stop)
    threading.Thread(target=_read, args=(source, loop, to_server, writer), daemon=True).start()
    pump = asyncio.create_task(_pump(from_server, writer, to_server))
    try:
        await server.sdk.run(incoming, outgoing, server.sdk.create_initialization_options())
    finally:
        await server.close()
        outgoing.close()
        pump.cancel()
        await asyncio.wait([pump])
    return signalled


async def _pump(messages: "MemoryObjectReceiveStream[SessionMessage]", writer: _Writer, to_server: Incoming) -> None:
    """Write the server's messages; when the client is gone, end its input too."""
    async for message in messages:
        try:
            await writer.write(message.message.model_dump_json(by_alias=True, exclude_unset=True))
        except OSError:
            to_server.close()
            return


def _read(source: int, loop: asyncio.AbstractEventLoop, to_server: Incoming, writer: _Writer) -> None:
    """Hand the lines of `source` to the server in `loop`, and at their end close its input."""

    async def take(line: bytes) -> None:
        message = _message(line)
        if isinstance(message, str):
            await writer.write(message)
        else:
            await to_server.send(message)

    try:
        for line in read_lines(source):
            asyncio.run_coroutine_threadsafe(take(line), loop).result()
    except (OSError, RuntimeError, anyio.ClosedResourceError, anyio.BrokenResourceError):
        pass  # the client or the loop is gone
    if not loop.is_closed():
        loop.call_soon_threadsafe(to_server.close)


def _message(line: bytes) -> SessionMessage | str:
    """Return the message in `line`, or the answer to a line that holds none."""
    try:
        return SessionMessage(types.jsonrpc_message_adapter.validate_json(line.decode(errors="replace"), by_name=False))
    except ValidationError:
        pass
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return json.dumps(rpc_error(types.PARSE_ERROR, "this line is not JSON"))
    number = value.get("id") if isinstance(value, dict) else None
    number = number if isinstance(number, int | str) else None
    return json.dumps(rpc_error(types.INVALID_REQUEST, "this is not one message of JSON-RPC 2.0", number))
