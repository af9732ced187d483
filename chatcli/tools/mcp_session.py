"""A session with one MCP server, which is started or connected to while this process needs its tools."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any, TextIO

import anyio
from langchain_mcp_adapters.tools import load_mcp_tools
from mcp import ClientSession, StdioServerParameters, stdio_client, types
from mcp.client.streamable_http import streamable_http_client

from chatcli import __version__, paths
from chatcli.config.mcp_servers import McpServer
from chatcli.errors import ChatcliError, UsageError
from chatcli.text_lines import one_line
from chatcli.tools.mcp_http import AnsweringClient
from chatcli.tools.run_process import inherited_environment, leashed

if TYPE_CHECKING:
    from langchain_core.tools import BaseTool

CLOSE_SECONDS = 6.0
"""Time for a server to end: the SDK closes its input, and terminates and kills it after two seconds each."""
MIN_SECRET = 6
"""Characters; shorter values are not keys, and would be found in any text."""
CANCEL_SECONDS = 1.0
"""Time for the message to a server that a call is cancelled."""


class McpSession:
    """The session with the server `name`; one task opens and closes the connection, as the SDK requires."""

    def __init__(self, name: str, server: McpServer) -> None:
        self.name = name
        self.tools: list[BaseTool] = []
        self.problem = ""
        """The reason why the server can't be used, in one line."""
        self._server = server
        self._ready = asyncio.Event()
        self._stop = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def open(self, seconds: float) -> None:
        """Start the server or connect to it, and read its tools, within `seconds`; a failure becomes the `problem`."""
        self._task = asyncio.create_task(self._hold(seconds))
        await self._ready.wait()

    async def close(self) -> None:
        """End the session, and the server if it was started here."""
        self._stop.set()
        if self._task is not None:
            if not self._ready.is_set():
                self._task.cancel()
            await asyncio.wait([self._task], timeout=CLOSE_SECONDS)
            self._task.cancel()
            await asyncio.wait([self._task], timeout=CANCEL_SECONDS)

    async def _hold(self, seconds: float) -> None:
        try:
            async with AsyncExitStack() as stack:
                async with asyncio.timeout(seconds):
                    session = await stack.enter_async_context(_connected(self.name, self._server))
                    await session.initialize()
                    self.tools = await load_mcp_tools(session, server_name=self.name)
                self._ready.set()
                await self._stop.wait()
        except Exception as error:  # noqa: BLE001 - any failure of a server only excludes that server
            self.problem = _reason(self.name, self._server, error, seconds)
        finally:
            self._ready.set()


class _Session(ClientSession):
    """A session that notifies the server of cancelled calls, as the protocol requires; the SDK does not.

    The SDK has no public way to the ID of a request: `tests/tools/test_mcp_session.py` checks `_request_id`.
    """

    async def send_request(self, *args: Any, **kwargs: Any) -> Any:
        request_id = self._request_id  # the ID of the next request
        try:
            return await super().send_request(*args, **kwargs)
        except asyncio.CancelledError:
            given_up = types.CancelledNotificationParams(requestId=request_id, reason="the user or a time limit")
            note = types.CancelledNotification(params=given_up)
            with anyio.move_on_after(CANCEL_SECONDS, shield=True):
                await self.send_notification(types.ClientNotification(note))
            raise


@asynccontextmanager
async def _connected(name: str, server: McpServer) -> AsyncIterator[ClientSession]:
    server = server.filled()
    info = types.Implementation(name="chatcli", version=__version__)
    if server.command is None:
        assert server.url is not None
        if server.type == "sse":
            raise UsageError("its transport, SSE, is no longer supported; give the URL of its streamable HTTP endpoint")
        async with (
            AnsweringClient(dict(server.headers)) as client,
            streamable_http_client(server.url, http_client=client) as (read, write, _),
            _Session(read, write, client_info=info) as session,
        ):
            yield session
        return
    with _log(name) as errors:
        async with (
            stdio_client(_parameters(server), errlog=errors) as (read, write),
            _Session(read, write, client_info=info) as session,
        ):
            yield session


def _log(name: str) -> TextIO:
    """Open the file for the server's standard error, which would appear inside the answer on the terminal."""
    path = paths.server_log(name)
    paths.private_dir(path.parent)
    return open(path, "w", encoding="utf-8", opener=paths.private_opener)


def _parameters(server: McpServer) -> StdioServerParameters:
    """Return how the server is started: with harmless variables of this process and its own ones, without keys."""
    env = {**inherited_environment(), **server.env}
    found = server.command_path()
    if found is None:
        raise UsageError(f"its command {server.command} was not found")
    command, *args = leashed([found, *server.args])
    return StdioServerParameters(command=command, args=args, env=env, cwd=server.cwd and os.path.expanduser(server.cwd))  # noqa: PTH111 - the SDK's own type


def _reason(name: str, server: McpServer, error: BaseException, seconds: float) -> str:
    """Return why the server can't be used, in one line, with the last line that it wrote."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, ChatcliError):
        return error.message
    reason = f"no answer within {seconds:g} seconds" if isinstance(error, TimeoutError) else one_line(str(error))
    log = paths.server_log(name)
    written = log.read_text(encoding="utf-8", errors="replace") if server.command and log.exists() else ""
    last = written.strip().splitlines()[-1:]
    return _without_secrets(
        f"{reason or type(error).__name__}{f'; it wrote: {last[0]}' if last else ''}", server.filled()
    )


def _without_secrets(text: str, server: McpServer) -> str:
    """Return `text` without the user's credentials for the server, which URLs and logs may contain."""
    query = (server.url or "").partition("?")[2]
    for secret in (query, *server.env.values(), *server.headers.values()):
        text = text.replace(secret, "***") if len(secret) >= MIN_SECRET else text
    return text
