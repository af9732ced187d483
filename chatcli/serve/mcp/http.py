"""The transport over streamable HTTP, on a loopback port, for clients that know its token."""

import asyncio
import hmac
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.server.transport_security import TransportSecuritySettings
from starlette.types import ASGIApp, Receive, Scope, Send

from chatcli.errors import UsageError
from chatcli.runtime.signals import take_signals
from chatcli.serve.mcp.server import ChatServer

HOST = "127.0.0.1"
PATH = "/mcp"
_END_SECONDS = 1
"""Time that open connections get at the end."""


class _Server(uvicorn.Server):
    """A server of HTTP that leaves signals to us."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class _Guard:
    """Lets in requests with the token, and no others."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._wanted = f"bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        given = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
        kind, _, token = given.partition(b" ")
        if not hmac.compare_digest(kind.lower() + b" " + token.strip(), self._wanted):
            await _refuse(send, 401, b"the bearer token is missing or wrong", (b"www-authenticate", b"Bearer"))
        elif scope["path"].rstrip("/") != PATH:
            await _refuse(send, 404, f"the address is {PATH}".encode())
        else:
            await self._app(scope, receive, send)


async def _refuse(send: Send, status: int, reason: bytes, *headers: tuple[bytes, bytes]) -> None:
    start = {"type": "http.response.start", "status": status, "headers": [(b"content-type", b"text/plain"), *headers]}
    await send(start)
    await send({"type": "http.response.body", "body": reason + b"\n"})


async def serve_http(server: ChatServer, port: int, token: str, *, shows_token: bool) -> bool:
    """Serve clients on the loopback port `port`, any free one for 0, until a signal ends it; return True.

    Only this machine can connect, and only with the `token`; a page in a browser can't, since the names of the host and
    of the origin are checked.
    """
    try:
        listening = socket.create_server((HOST, port))
    except OSError as error:
        raise UsageError(
            f"the port {port} can't be used: {(error.strerror or str(error)).lower()}",
            remedy="Choose another: --http 0",
        ) from None
    port = listening.getsockname()[1]
    hosts = [f"{HOST}:{port}", f"localhost:{port}"]
    security = TransportSecuritySettings(allowed_hosts=hosts, allowed_origins=[f"http://{host}" for host in hosts])
    manager = StreamableHTTPSessionManager(server.sdk, security_settings=security)
    config = uvicorn.Config(
        _Guard(manager.handle_request, token),
        http="h11",  # httptools, which may be here too, keeps blanks around a header's value
        lifespan="off",
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=_END_SECONDS,
    )
    web = _Server(config)

    def stop() -> None:
        web.should_exit = True

    take_signals(asyncio.get_running_loop(), stop)
    print(f"MCP server: http://{HOST}:{port}{PATH}", file=sys.stderr)  # noqa: T201
    if shows_token:
        print(f"token: {token}", file=sys.stderr)  # noqa: T201
    sys.stderr.flush()
    try:
        async with manager.run():
            await web.serve(sockets=[listening])
            await server.close()
    finally:
        listening.close()
    return True
