"""A session with one MCP server, which is started or connected to while this process needs its tools."""

import asyncio
import contextvars
import math
import os
import shlex
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

import anyio
from langchain_mcp_adapters.tools import load_mcp_tools
from mcp import ClientSession, McpError, StdioServerParameters, stdio_client, types
from mcp.client.streamable_http import streamable_http_client

from chatcli import __version__, paths
from chatcli.config.mcp_servers import McpServer
from chatcli.errors import ChatcliError, UsageError
from chatcli.events import Notice, Progress
from chatcli.runtime.addresses import open_key_warning
from chatcli.runtime.program import command
from chatcli.text import one_line
from chatcli.tools.leash import leashed
from chatcli.tools.mcp_host import Host
from chatcli.tools.mcp_http import FAILED, MAX_REASON, AnsweringClient
from chatcli.tools.mcp_login import ServerLogin, has_login
from chatcli.tools.shell import inherited_environment

if TYPE_CHECKING:
    from langchain_core.tools import BaseTool
    from langchain_mcp_adapters.interceptors import MCPToolCallRequest

Result = TypeVar("Result")

CLOSE_SECONDS = 6.0
"""Time for a server to end: the SDK closes its input, and terminates and kills it after two seconds each."""
MIN_SECRET = 6
"""Characters; shorter values are not keys, and would be found in any text."""
CANCEL_SECONDS = 1.0
PING_SECONDS = 5.0
"""Time for a server over HTTP to show that it is still there, after a request failed."""
PROGRESS_SECONDS = 0.1
"""From one report of a call's progress to the next: a server may send thousands."""
MAX_REQUESTS = 20
"""Requests of a server that wait for the user, or for a model, at the same time."""
_FORGOTTEN = 32600
"""The SDK's code for a server over HTTP that does not know the session any more."""


class McpSession:
    """The session with the server `name`: its tools, and what calls them.

    A server that has ended is started again by the next call. If it ends once more before a call succeeded, it stays
    so: one that crashes at each start is not started for ever.
    """

    def __init__(self, name: str, server: McpServer, host: Host | None = None) -> None:
        self.name = name
        self.tools: list[BaseTool] = []
        self.problem = ""
        """The reason why the server can't be used, in one line."""
        self.host = host or Host(name)
        self._server = server
        self._seconds = 0.0
        self._connection = _Connection(name, server, self.host)
        self._choosing = asyncio.Lock()
        self._restarted = False
        """Whether it was started again, and no request has succeeded since."""

    async def open(self, seconds: float) -> None:
        """Start the server or connect to it, and read its tools, within `seconds`; a failure becomes the `problem`."""
        self._seconds = seconds

        async def load(session: ClientSession) -> None:
            self.tools = await load_mcp_tools(session, server_name=self.name, tool_interceptors=[self._call])

        await self._connection.open(seconds, load)
        self.problem = self._connection.problem

    async def close(self) -> None:
        """End the session, and the server if it was started here."""
        await self._connection.close()

    async def request(self, send: "Callable[[_Session], Awaitable[Result]]") -> Result:
        """Return the result of what `send` asks the server; one that has ended is started again first.

        A request that has reached the server is never sent twice, since it may have changed something. Raises
        `McpError` if it answers with an error, or its connection breaks.
        """
        while True:
            connection = await self._live()
            try:
                result = await send(connection.session)
            except (anyio.ClosedResourceError, anyio.BrokenResourceError):
                connection.lost = True  # nothing was sent
                continue
            except McpError as error:
                if error.error.code == _FORGOTTEN and self._server.command is None and not connection.lost:
                    connection.lost = True  # it refused the request: a server that was started again knows no session
                    continue
                connection.doubtful |= error.error.code == FAILED
                raise
            self._restarted = False
            return result

    async def _live(self) -> "_Connection":
        """Return a connection that can be used; where it has ended, a new one."""
        async with self._choosing:
            await self._connection.open(self._seconds)  # it may still be opened for a call that was given up
            if not await self._connection.has_ended():
                return self._connection
            if self._restarted:
                raise UsageError(f"{self.name} has ended")
            self._restarted = self._server.command is not None
            await self._connection.close()
            self._connection = _Connection(self.name, self._server, self.host)
            await self._connection.open(self._seconds)
            if self._connection.problem:
                raise UsageError(f"{self.name} has ended, and can't be started again: {self._connection.problem}")
            again = "was started again" if self._server.command else "was connected to again"
            self.host.announce(Notice(f"the MCP server {self.name} had ended and {again}"))
            return self._connection

    async def _call(self, request: "MCPToolCallRequest", handler: object) -> types.CallToolResult:
        """Call a tool, instead of the adapter's `handler`, which knows the first connection alone."""
        report = _Report(f"{self.name}/{request.name}", self.host.announce)
        self.host.begin_call()
        try:
            result = await self.request(
                lambda session: session.call_tool(request.name, request.args, progress_callback=report.take)
            )
        finally:
            report.end()
        return _without_audio(result)


class _Connection:
    """One connection to a server, which one task opens and closes, as the SDK requires."""

    session: "_Session"

    def __init__(self, name: str, server: McpServer, host: Host) -> None:
        self.problem = ""
        self.lost = False
        """Whether the other side is known to be gone."""
        self.doubtful = False
        """Whether a request failed, so that the other side may be gone."""
        self._name = name
        self._server = server
        self._host = host
        self._ready = asyncio.Event()
        self._stop = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def open(self, seconds: float, load: Callable[[ClientSession], Awaitable[None]] | None = None) -> None:
        """Open it within `seconds`, if it is not open; then `load` what is needed. A failure becomes the `problem`."""
        if self._task is None:
            # In its own context: a server must not belong to the turn that happens to start it.
            self._task = asyncio.create_task(self._hold(seconds, load), context=contextvars.Context())
        await self._ready.wait()

    async def has_ended(self) -> bool:
        """Return whether it can't be used any more; a doubtful one is asked."""
        if self.lost or self.problem or self.session.ended or self._task is None or self._task.done():
            return True
        if self.doubtful:
            try:
                async with asyncio.timeout(PING_SECONDS):
                    await self.session.send_ping()
            except (McpError, TimeoutError, anyio.ClosedResourceError, anyio.BrokenResourceError):
                return True
            self.doubtful = False
        return False

    async def close(self) -> None:
        """End the session, and the server if it was started here."""
        self._stop.set()
        if self._task is not None:
            if not self._ready.is_set():
                self._task.cancel()
            await asyncio.wait([self._task], timeout=CLOSE_SECONDS)
            self._task.cancel()
            await asyncio.wait([self._task], timeout=CANCEL_SECONDS)

    async def _hold(self, seconds: float, load: Callable[[ClientSession], Awaitable[None]] | None) -> None:
        try:
            async with AsyncExitStack() as stack:
                async with asyncio.timeout(seconds):
                    self.session = await stack.enter_async_context(_connected(self._name, self._server, self._host))
                    await self.session.initialize()
                    await self._host.choose_log_level(self.session)
                    if load is not None:
                        await load(self.session)
                self._ready.set()
                await self._stop.wait()
        except Exception as error:  # noqa: BLE001 - any failure of a server only excludes that server
            self.problem = _reason(self._name, self._server, error, seconds)
        finally:
            self._ready.set()


class _Session(ClientSession):
    """A session that does what the protocol asks for and the SDK does not.

    It notifies the server of cancelled calls, and goes on reading while the user answers what the server asks. The SDK
    has no public way to the ID of a request, nor to the end of its reading: `tests/tools/test_mcp_session.py` checks
    what is used here.
    """

    ended = False
    """Whether the other side has closed the connection."""
    _waiting = 0

    async def send_request(self, *args: Any, **kwargs: Any) -> Any:
        request_id = self._request_id  # the ID of the next request
        try:
            return await super().send_request(*args, **kwargs)
        except asyncio.CancelledError:
            given_up = types.CancelledNotificationParams(requestId=request_id, reason="the user or a time limit")
            note = types.CancelledNotification(params=given_up)
            with anyio.move_on_after(CANCEL_SECONDS, shield=True), suppress(anyio.ClosedResourceError):
                await self.send_notification(types.ClientNotification(note))
            raise

    async def _receive_loop(self) -> None:
        try:
            await super()._receive_loop()
        finally:
            self.ended = True
            gone = types.ErrorData(code=types.CONNECTION_CLOSED, message="Connection closed")
            for number, stream in list(self._response_streams.items()):  # the SDK forgets them when it is cancelled
                with suppress(anyio.WouldBlock, anyio.ClosedResourceError, anyio.BrokenResourceError):
                    stream.send_nowait(types.JSONRPCError(jsonrpc="2.0", id=number, error=gone))

    async def _received_request(self, responder: Any) -> None:
        if not isinstance(responder.request.root, types.CreateMessageRequest | types.ElicitRequest):
            await super()._received_request(responder)
        elif self._waiting >= MAX_REQUESTS:
            with responder:
                refusal = types.ErrorData(code=types.INVALID_REQUEST, message="too many requests at once")
                await responder.respond(refusal)
        else:
            self._waiting += 1
            self._task_group.start_soon(self._answer, responder)

    async def _answer(self, responder: Any) -> None:
        try:
            await super()._received_request(responder)
        except (anyio.ClosedResourceError, anyio.BrokenResourceError):
            pass  # the server has ended meanwhile
        finally:
            self._waiting -= 1


class _Report:
    """Turns what a server reports of a call's progress into events for the user."""

    def __init__(self, label: str, announce: Callable[[Progress], None]) -> None:
        self._label = label
        self._announce = announce
        self._last: Progress | None = None
        self._due = 0.0

    async def take(self, progress: float, total: float | None, message: str | None) -> None:
        """Announce what the server says, which may be anything."""
        now = asyncio.get_running_loop().time()
        if now < self._due or not math.isfinite(progress):
            return
        self._due = now + PROGRESS_SECONDS
        known = total is not None and math.isfinite(total) and total > 0
        percent = round(100 * min(max(progress / total, 0), 1)) if known and total is not None else 0
        detail = one_line((message or "")[:MAX_REASON], 100)
        self._last = Progress(self._label, percent, 100 if known else 0, "percent", detail=detail)
        self._announce(self._last)

    def end(self) -> None:
        """Announce that the call is over, if it had any progress."""
        if self._last is not None:
            self._announce(Progress(self._label, self._last.done, self._last.total, "percent", finished=True))


def _without_audio(result: types.CallToolResult) -> types.CallToolResult:
    """Return `result` with sound replaced by its name: the adapter fails on it, and then the model gets nothing."""
    content = [
        types.TextContent(type="text", text=f"[{one_line(part.mimeType, 100)}: can't be shown to the model]")
        if isinstance(part, types.AudioContent)
        else part
        for part in result.content
    ]
    return result.model_copy(update={"content": content})


@asynccontextmanager
async def _connected(name: str, server: McpServer, host: Host) -> AsyncIterator[_Session]:
    server = server.filled()
    options: dict[str, Any] = {
        "client_info": types.Implementation(name="chatcli", version=__version__),
        "list_roots_callback": host.list_roots,
        "logging_callback": host.log,
        "elicitation_callback": host.elicit,
        "sampling_callback": host.sample,
    }
    if server.command is None:
        assert server.url is not None
        if server.type == "sse":
            raise UsageError("its transport, SSE, is no longer supported; give the URL of its streamable HTTP endpoint")
        if server.headers and (warning := open_key_warning(server.url)):
            host.announce(Notice(f"the MCP server {name}: {warning}", "warning", urgent=True))
        login = ServerLogin(server.url) if await asyncio.to_thread(has_login, server) else None
        given = any(header.lower() == "authorization" for header in server.headers)
        remedy = "" if given else f". Log in: {command('mcp login', shlex.quote(name))}"
        async with (
            AnsweringClient(dict(server.headers), login, remedy) as client,
            streamable_http_client(server.url, http_client=client) as (read, write, _),
            _Session(read, write, **options) as session,
        ):
            yield session
        return
    with _log(name) as errors:
        async with (
            stdio_client(_parameters(server), errlog=errors) as (read, write),
            _Session(read, write, **options) as session,
        ):
            yield session


def _log(name: str) -> TextIO:
    """Open the file for the server's standard error, which would appear inside the answer on the terminal."""
    path = paths.server_log(name)
    paths.private_dir(path.parent)
    return open(path, "w", encoding="utf-8", opener=paths.private_opener)


def _parameters(server: McpServer) -> StdioServerParameters:
    """Return the command of the server, with harmless variables of this process and its own ones, without keys."""
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
    )[:MAX_REASON]


def _without_secrets(text: str, server: McpServer) -> str:
    """Return `text` without the user's credentials for the server, which URLs and logs may contain."""
    query = (server.url or "").partition("?")[2]
    for secret in (query, *server.env.values(), *server.headers.values()):
        text = text.replace(secret, "***") if len(secret) >= MIN_SECRET else text
    return text
