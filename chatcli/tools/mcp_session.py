"""A session with one MCP server, which is started or connected to while this process needs its tools."""

import asyncio
import json
import os
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any, TextIO

import anyio
import httpx
from langchain_mcp_adapters.tools import load_mcp_tools
from mcp import ClientSession, StdioServerParameters, stdio_client, types
from mcp.client.streamable_http import streamable_http_client

from chatcli import __version__, paths
from chatcli.config.mcp_servers import McpServer
from chatcli.errors import ChatcliError, UsageError
from chatcli.runtime.parse import read_json
from chatcli.text_lines import one_line
from chatcli.tools.leash import leashed
from chatcli.tools.shell import inherited_environment

if TYPE_CHECKING:
    from langchain_core.tools import BaseTool

RequestId = int | str
_TIMEOUT = httpx.Timeout(30, read=300)
"""In seconds, as in the SDK's own client: a server may keep an answer open for a while."""
_EVENTS = "text/event-stream"
_RESUMES = "last-event-id"
_EVENT_ID = re.compile(rb"[\r\n]id:[ ]?[^\r\n ]")
_CODE = -32000
"""JSON-RPC's code for errors of the implementation."""

CLOSE_SECONDS = 6.0
"""Time for a server to end: the SDK closes its input, and terminates and kills it after two seconds each."""
MIN_SECRET = 6
"""Characters; shorter values are not keys, and would be found in any text."""
CANCEL_SECONDS = 1.0
"""Time for the message to a server that a call is cancelled."""


class AnsweringClient(httpx.AsyncClient):
    """An HTTP client that turns the failure of a request into an answer."""

    def __init__(self, headers: dict[str, str]) -> None:
        super().__init__(headers=headers, timeout=_TIMEOUT)

    async def send(self, request: httpx.Request, **options: Any) -> httpx.Response:
        """Return the answer to `request`; if it fails and a result is awaited, the answer is an error."""
        number = _request_id(request)
        try:
            response = await super().send(request, **options)
        except httpx.TransportError as error:
            return _instead(request, number, error)
        if response.status_code == httpx.codes.NOT_FOUND or response.has_redirect_location or number is None:
            return response  # the SDK handles these itself
        if response.is_error:
            await response.aclose()
            reason = f"the server answered {response.status_code} {response.reason_phrase}".rstrip()
            return _events(request, _failure(number, reason))
        kept = {name: value for name, value in response.headers.items() if name.startswith("mcp-")}
        headers = {**kept, "content-type": _EVENTS}
        return httpx.Response(response.status_code, headers=headers, stream=_Answer(response, number), request=request)


class _Answer(httpx.AsyncByteStream):
    """The events of `response`, and after them an error for the request `number`, in case it got no result."""

    def __init__(self, response: httpx.Response, number: RequestId) -> None:
        self._response = response
        self._number = number

    async def __aiter__(self) -> AsyncIterator[bytes]:
        reason, end, resumable = "the server closed the connection during the call", b"\n", False
        try:
            if self._response.headers.get("content-type", "").lower().startswith(_EVENTS):
                async for part in self._response.aiter_bytes():
                    resumable = resumable or _EVENT_ID.search(end + part) is not None
                    end = (end + part)[-8:]
                    yield part
            else:
                yield _event(read_json(await self._response.aread()))
        except httpx.TransportError as error:
            reason = _transport_reason(error)
        except ValueError:
            reason = "the server's answer is not valid MCP"
        if not resumable:  # else the SDK asks for the rest, by the number of the last event
            yield b"\n\n" + _event(_failure(self._number, reason))

    async def aclose(self) -> None:
        await self._response.aclose()


def _request_id(request: httpx.Request) -> RequestId | None:
    """Return the number of the request that waits for a result; None for anything else, such as a notification.

    A GET for the rest of an answer waits too. The SDK replaces its number, so any number will do.
    """
    if request.method == "GET":
        return -1 if _RESUMES in request.headers else None
    if request.method != "POST":
        return None
    message: dict[str, Any] = json.loads(request.content)
    number: RequestId | None = message.get("id") if "method" in message else None
    return number


def _instead(request: httpx.Request, number: RequestId | None, error: httpx.TransportError) -> httpx.Response:
    """Return an answer to `request` in place of the one that `error` prevented.

    Raises:
        TransportError: The request opens a stream of the server's own messages, which the SDK can do without.

    """
    if number is not None:
        return _events(request, _failure(number, _transport_reason(error)))
    if request.method == "GET":
        raise error
    # A notification, or the end of the session: no result is awaited, and an error would end every other call.
    return httpx.Response(httpx.codes.ACCEPTED if request.method == "POST" else httpx.codes.NO_CONTENT, request=request)


def _transport_reason(error: httpx.TransportError) -> str:
    return f"the connection to the server failed: {' '.join(str(error).split()) or type(error).__name__}"


def _failure(number: RequestId, reason: str) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": number, "error": {"code": _CODE, "message": reason}}


def _event(message: object) -> bytes:
    return f"event: message\ndata: {json.dumps(message)}\n\n".encode()


def _events(request: httpx.Request, message: dict[str, Any]) -> httpx.Response:
    return httpx.Response(200, headers={"content-type": _EVENTS}, content=_event(message), request=request)


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
