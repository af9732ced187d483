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
from starlette.responses import PlainTextResponse
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


def _guarded(app: ASGIApp, token: str) -> ASGIApp:
    """Return `app` for requests with the token, and no others."""
    wanted = f"bearer {token}".encode()

    async def guard(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        answer = app
        given = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
        kind, _, sent = given.partition(b" ")
        if not hmac.compare_digest(kind.lower() + b" " + sent.strip(), wanted):
            asks = {"www-authenticate": "Bearer"}
            answer = PlainTextResponse("the bearer token is missing or wrong\n", 401, asks)
        elif scope["path"].rstrip("/") != PATH:
            answer = PlainTextResponse(f"the address is {PATH}\n", 404)
        await answer(scope, receive, send)

    return guard


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
        _guarded(manager.handle_request, token),
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
