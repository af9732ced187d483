"""A session with one MCP server, which is started or connected to while this process needs its tools."""

import asyncio
import contextvars
import math
import os
import shlex
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Literal, TextIO, TypeVar

from anyio.streams.memory import MemoryObjectSendStream
from langchain_core.tools import BaseTool, StructuredTool, ToolException
from mcp import Client, MCPError, StdioServerParameters, stdio_client, types
from mcp.client.streamable_http import streamable_http_client
from mcp.client.subscriptions import SubscriptionLost
from pydantic import ValidationError

from chatcli import __version__, paths
from chatcli.config.mcp_servers import McpServer
from chatcli.errors import ChatcliError, UsageError
from chatcli.events import Notice, Progress
from chatcli.runtime.addresses import open_key_warning
from chatcli.runtime.program import command
from chatcli.text import one_line
from chatcli.tools.mcp_host import Host
from chatcli.tools.mcp_http import FAILED, FORGOTTEN, MAX_REASON, AnsweringClient, first_error
from chatcli.tools.mcp_login import ServerLogin, has_login
from chatcli.tools.sandbox.confinement import Sandbox
from chatcli.tools.shell import inherited_environment

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
LISTEN_SECONDS = 30.0
"""From the end of a stream of changes to the next one: the server may have ended."""
MAX_LISTED = 1000
"""The most tools, resources or prompts of a server that are offered."""
MAX_PAGES = 100


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
        await self._connection.open(seconds, self._read_tools)
        self.problem = self._connection.problem

    async def refresh(self) -> bool:
        """Read the tools again if the server has said that they changed; return whether they were read.

        The older ones stay where that fails.
        """
        if self.problem or not self._connection.tools_changed:
            return False
        self._connection.tools_changed = False
        try:
            async with asyncio.timeout(self._seconds):
                await self.request(self._read_tools)
        except asyncio.CancelledError:
            self._connection.tools_changed = True
            raise
        except (MCPError, ChatcliError, ValidationError, TimeoutError) as error:
            self.host.announce(Notice(f"the tools of {self.name} changed, and can't be read: {one_line(str(error))}"))
            return False
        return True

    async def _read_tools(self, client: Client) -> None:
        self.tools = [_as_langchain_tool(tool, self._call) for tool in await whole_list(client.list_tools, "tools")]

    async def close(self) -> None:
        """End the session, and the server if it was started here."""
        await self._connection.close()

    async def request(self, send: Callable[[Client], Awaitable[Result]]) -> Result:
        """Return the result of what `send` asks the server; one that has ended is started again first.

        A request that has reached the server is never sent twice, since it may have changed something. Raises
        `MCPError` if it answers with an error, or its connection breaks.
        """
        forgotten = False
        while True:
            connection = await self._live()
            try:
                result = await send(connection.client)
            except MCPError as error:
                connection.doubtful |= error.code == FAILED
                if error.code != FORGOTTEN or forgotten or self._server.command is not None:
                    raise
                # It refused the request: a server that was started again knows no session.
                forgotten = connection.lost = True
                continue
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

    async def _call(self, name: str, arguments: dict[str, Any]) -> types.CallToolResult:
        label = f"{self.name}/{name}"
        last: Progress | None = None
        due = 0.0

        async def report(progress: float, total: float | None, message: str | None) -> None:
            """Announce what the server says, which may be anything."""
            nonlocal last, due
            now = asyncio.get_running_loop().time()
            if now < due or not math.isfinite(progress):
                return
            due = now + PROGRESS_SECONDS
            known = total is not None and math.isfinite(total) and total > 0
            percent = round(100 * min(max(progress / total, 0), 1)) if known and total is not None else 0
            detail = one_line((message or "")[:MAX_REASON], 100)
            last = Progress(label, percent, 100 if known else 0, "percent", detail=detail)
            self.host.announce(last)

        self.host.logged = 0
        try:
            return await self.request(lambda client: client.call_tool(name, arguments, progress_callback=report))
        finally:
            if last is not None:
                self.host.announce(Progress(label, last.done, last.total, "percent", finished=True))


class _Connection:
    """One connection to a server, which one task opens and closes, as the SDK requires."""

    client: Client
    _is_closed: Callable[[], bool]

    def __init__(self, name: str, server: McpServer, host: Host) -> None:
        self.problem = ""
        self.lost = False
        """Whether the other side is known to be gone."""
        self.doubtful = False
        """Whether a request failed, so that the other side may be gone."""
        self.tools_changed = False
        """Whether the server's tools may have changed."""
        self._name = name
        self._server = server
        self._host = host
        self._ready = asyncio.Event()
        self._stop = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def open(self, seconds: float, load: Callable[[Client], Awaitable[None]] | None = None) -> None:
        """Open it within `seconds`, if it is not open; then `load` what is needed. A failure becomes the `problem`."""
        if self._task is None:
            # In its own context: a server must not belong to the turn that happens to start it.
            self._task = asyncio.create_task(self._hold(seconds, load), context=contextvars.Context())
        await self._ready.wait()

    async def has_ended(self) -> bool:
        """Return whether it can't be used any more; a doubtful one is asked."""
        if self.lost or self.problem or self._is_closed() or self._task is None or self._task.done():
            return True
        if self.doubtful:
            try:
                async with asyncio.timeout(PING_SECONDS):
                    await self.client.session.send_ping()
            except TimeoutError:
                return True
            except MCPError as error:  # since 2026-07-28 there is no ping, and whoever says so is there
                if error.code in (FAILED, FORGOTTEN):
                    return True
            self.doubtful = False
        return False

    async def close(self) -> None:
        self._stop.set()
        if self._task is not None:
            if not self._ready.is_set():
                self._task.cancel()
            await asyncio.wait([self._task], timeout=CLOSE_SECONDS)
            self._task.cancel()
            await asyncio.wait([self._task], timeout=CANCEL_SECONDS)

    async def _hold(self, seconds: float, load: Callable[[Client], Awaitable[None]] | None) -> None:
        try:
            async with AsyncExitStack() as stack:
                async with asyncio.timeout(seconds):
                    await self._connect(stack)
                    stack.push_async_callback(_stop, asyncio.create_task(self._listen()))
                    await self._host.choose_log_level(self.client)
                    if load is not None:
                        await load(self.client)
                self._ready.set()
                await self._stop.wait()
        except Exception as error:  # noqa: BLE001 - any failure of a server only excludes that server
            self.problem = _reason(self._name, self._server, error, seconds)
        finally:
            self._ready.set()

    async def _listen(self) -> None:
        """Ask a server to say what changes, if it can: since 2026-07-28 it has to be asked."""
        offered = self.client.server_capabilities
        kinds = {"tools": offered.tools, "prompts": offered.prompts, "resources": offered.resources}
        wanted = {f"{name}_list_changed": bool(kind and kind.list_changed) for name, kind in kinds.items()}
        while self.client.session.initialize_result is None and any(wanted.values()):
            try:
                async with self.client.listen(**wanted) as changes:  # type: ignore[arg-type]
                    async for _ in changes:
                        pass  # `_note_change` gets them as well
            except SubscriptionLost:
                pass
            except MCPError as error:
                if error.code != FAILED:
                    return
            await asyncio.sleep(LISTEN_SECONDS)
            self.tools_changed = True

    async def _note_change(self, message: object) -> None:
        self.tools_changed = self.tools_changed or isinstance(message, types.ToolListChangedNotification)

    async def _connect(self, stack: AsyncExitStack) -> None:
        """Open the transport and agree on a version of the protocol, until `stack` ends."""
        try:
            await self._connect_as(stack, "auto")
        except ExceptionGroup as group:
            error = first_error(group)
            if self._server.command is None or not isinstance(error, MCPError) or error.code != types.CONNECTION_CLOSED:
                raise
            # Servers before 2026-07-28 may end where the first request is not `initialize`.
            await self._connect_as(stack, "legacy")

    async def _connect_as(self, stack: AsyncExitStack, mode: Literal["auto", "legacy"]) -> None:
        @asynccontextmanager
        async def transport() -> AsyncIterator[tuple[Any, Any]]:
            async with _transport(self._name, self._server.filled(), self._host) as (read, write):
                if isinstance(write, MemoryObjectSendStream):  # the client closes it when its server has ended
                    self._is_closed = lambda: write.statistics().open_send_streams == 0
                yield read, write

        self._is_closed = lambda: False
        client = Client(
            transport(),
            mode=mode,
            client_info=types.Implementation(name="chatcli", version=__version__),
            list_roots_callback=self._host.list_roots,
            logging_callback=self._host.log,
            log_level=self._host.log_level,
            elicitation_callback=self._host.elicit,
            sampling_callback=self._host.sample,
            message_handler=self._note_change,
        )
        self.client = await stack.enter_async_context(client)


async def _stop(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])


def _as_langchain_tool(
    tool: types.Tool, call: Callable[[str, dict[str, Any]], Awaitable[types.CallToolResult]]
) -> BaseTool:
    """Return `tool` under the name that its server gives it; `call` calls it by this name."""

    async def run(**arguments: Any) -> tuple[list[dict[str, Any]], dict[str, Any] | None]:
        result = await call(tool.name, arguments)
        blocks = [_block(part) for part in result.content]
        if result.is_error:
            raise ToolException(blocks or "the tool failed and gave no reason")
        structured = result.structured_content
        return blocks, None if structured is None else {"structured_content": structured}

    return StructuredTool(
        name=tool.name,
        description=tool.description or "",
        args_schema={"properties": {}, **tool.input_schema},  # langchain takes it for given
        coroutine=run,
        response_format="content_and_artifact",
        metadata=tool.annotations.model_dump(by_alias=True) if tool.annotations is not None else None,
        handle_tool_error=True,
    )


def _block(part: types.ContentBlock) -> dict[str, Any]:
    """Return `part` as a block of a message. Sound, for which LangChain's tools have no block, is named."""
    held = part.resource if isinstance(part, types.EmbeddedResource) else part
    if isinstance(held, types.TextContent | types.TextResourceContents):
        return {"type": "text", "text": held.text}
    if isinstance(held, types.AudioContent):
        return {"type": "text", "text": f"[{one_line(held.mime_type, 100)}: can't be shown to the model]"}
    kind = "image" if (held.mime_type or "").startswith("image/") else "file"
    if isinstance(held, types.ResourceLink):
        return {"type": kind, "mime_type": held.mime_type, "url": held.uri}
    data = held.data if isinstance(held, types.ImageContent) else held.blob
    return {"type": kind, "mime_type": held.mime_type, "base64": data}


async def whole_list(ask: Callable[..., Awaitable[Any]], kind: str) -> list[Any]:
    """Return the list of a `kind`, such as "tools", that `ask` returns page by page, up to the limits."""
    listed: list[Any] = []
    cursor: str | None = None
    for _ in range(MAX_PAGES):
        page = await ask(cursor=cursor)
        listed += getattr(page, kind)
        if not (cursor := page.next_cursor) or len(listed) >= MAX_LISTED:
            break
    return listed[:MAX_LISTED]


@asynccontextmanager
async def _transport(name: str, server: McpServer, host: Host) -> AsyncIterator[tuple[Any, Any]]:
    if server.command is not None:
        with _log(name) as errors, _launched(server) as parameters:
            async with stdio_client(parameters, errlog=errors) as streams:
                yield streams
        return
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
        streamable_http_client(server.url, http_client=client, max_sse_event_size=None) as streams,
    ):
        yield streams


def _log(name: str) -> TextIO:
    """Open the file for the server's standard error, which would appear inside the answer on the terminal."""
    path = paths.server_log(name)
    paths.private_dir(path.parent)
    return open(path, "w", encoding="utf-8", opener=paths.private_opener)


@contextmanager
def _launched(server: McpServer) -> Iterator[StdioServerParameters]:
    """Give the command of the server, with harmless variables of this process and its own ones, without keys."""
    found = server.command_path()
    if found is None:
        raise UsageError(f"its command {server.command} was not found")
    folder = os.path.expanduser(server.cwd or "") or server.confined_in or None  # noqa: PTH111 - the SDK's own type
    sandbox = Sandbox(Path(server.confined_in), is_on=bool(server.confined_in))
    with sandbox.launch([found, *server.args], "confined") as (first, *args):
        yield StdioServerParameters(command=first, args=args, env={**inherited_environment(), **server.env}, cwd=folder)


def _reason(name: str, server: McpServer, error: BaseException, seconds: float) -> str:
    """Return why the server can't be used, in one line, with the last line that it wrote."""
    error = first_error(error)
    if isinstance(error, ChatcliError):
        return error.message
    reason = f"no answer within {seconds:g} seconds" if isinstance(error, TimeoutError) else one_line(str(error))
    if server.confined_in:
        reason += f" (it is confined, without the network; to lift that: {command('mcp add', shlex.quote(name))} ...)"
    log = paths.server_log(name)
    written = log.read_text(encoding="utf-8", errors="replace") if server.command and log.exists() else ""
    last = written.strip().splitlines()[-1:]
    text = f"{reason or type(error).__name__}{f'; it wrote: {last[0]}' if last else ''}"
    # URLs and logs may contain the user's credentials for the server.
    filled = server.filled()
    for secret in ((filled.url or "").partition("?")[2], *filled.env.values(), *filled.headers.values()):
        text = text.replace(secret, "***") if len(secret) >= MIN_SECRET else text
    return text[:MAX_REASON]
