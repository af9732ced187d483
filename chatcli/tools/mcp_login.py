"""OAuth for MCP servers over HTTP: `chat mcp login` gets tokens, which sessions send and refresh."""

import asyncio
import hmac
import json
import sys
import threading
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

from mcp import Client, MCPError
from mcp.client.auth import OAuthClientProvider, OAuthFlowError
from mcp.client.auth.utils import is_valid_client_metadata_url
from mcp.client.streamable_http import streamable_http_client
from mcp.shared import auth
from pydantic import AnyUrl, ValidationError

from chatcli.config.credentials import forget_key, is_kept, read_key, save_key
from chatcli.config.mcp_servers import McpServer
from chatcli.config.secrets import Secret
from chatcli.errors import AuthError, UsageError
from chatcli.runtime.addresses import is_this_machine
from chatcli.runtime.parse import read_json
from chatcli.text import one_line
from chatcli.tools.mcp_http import AnsweringClient, LoginNeededError, first_error

HOST = "127.0.0.1"
_SECONDS = 30.0
_PAGE = "<!doctype html><title>chat</title><p>{}</p>"
_REASON = 300
"""The most characters of what a server says about a refusal."""


class ServerLogin(OAuthClientProvider):
    """Sends the tokens of the server at `url` with requests, and refreshes them when they have expired.

    Where that is not enough, a request raises `LoginNeededError`, unless `show` and `answer` let the user log in: the
    first takes the address to open, the second waits for the code and the state that come back to `redirect`. The
    tokens are kept here, as the SDK reads and writes them; no other server gets them.
    """

    def __init__(
        self, url: str, redirect: str = f"http://{HOST}/callback", show: Any = None, answer: Any = None
    ) -> None:
        self._begins = self.saved = False
        self._client: auth.OAuthClientInformationFull | None = None
        self._name = storage_name(url)
        metadata = auth.OAuthClientMetadata(client_name="chat", redirect_uris=[AnyUrl(redirect)])
        super().__init__(url, metadata, self, show or _refuse, answer or _refuse)

    def begin_anew(self, client_id: str | None, secret: str | None) -> None:
        """Use no old tokens, and the client with `client_id`, if the user has one, instead of registering one."""
        self._begins = True
        if is_valid_client_metadata_url(client_id):
            self.context.client_metadata_url = client_id
        elif client_id is not None:
            method = "none" if secret is None else "client_secret_basic"
            self._client = auth.OAuthClientInformationFull(
                client_id=client_id, client_secret=secret, token_endpoint_auth_method=method
            )

    def expire(self) -> None:
        """Read the tokens again and refresh them before the next request: the server refused those that it got."""
        if self.context.can_refresh_token():
            self.context.token_expiry_time = 1.0

    async def get_tokens(self) -> auth.OAuthToken | None:
        """Return the tokens that are kept, None for a new login."""
        kept = {} if self._begins else await asyncio.to_thread(self._read_kept)
        try:
            tokens = auth.OAuthToken.model_validate(kept["tokens"])
            self._client = auth.OAuthClientInformationFull.model_validate(kept["client"])
            self.context.oauth_metadata = _read(auth.OAuthMetadata, kept.get("server"))
            self.context.protected_resource_metadata = _read(auth.ProtectedResourceMetadata, kept.get("resource"))
        except (KeyError, ValidationError):
            return None
        self.context.token_expiry_time = kept.get("expires_at")  # without it the SDK takes old tokens for valid
        return tokens

    def _read_kept(self) -> dict[str, Any]:
        """Return what is kept; empty if that is nothing that can be used."""
        key = read_key(self._name) if is_kept(self._name) else None
        try:
            kept = read_json(key.get_secret_value()) if key is not None else None
        except ValueError:
            return {}
        return kept if isinstance(kept, dict) else {}

    async def set_tokens(self, tokens: auth.OAuthToken) -> None:
        """Keep `tokens`, and what is needed to refresh them."""
        parts = {
            "tokens": tokens,
            "client": self.context.client_info,
            "server": self.context.oauth_metadata,
            "resource": self.context.protected_resource_metadata,
        }
        kept: dict[str, Any] = {name: part and part.model_dump(mode="json") for name, part in parts.items()}
        kept["expires_at"] = self.context.token_expiry_time
        await asyncio.to_thread(save_key, self._name, Secret(json.dumps(kept)))
        self.saved = True

    async def get_client_info(self) -> auth.OAuthClientInformationFull | None:
        """Return the client that is kept with the tokens, or that the user gave."""
        return self._client

    async def set_client_info(self, client_info: auth.OAuthClientInformationFull) -> None:
        """Do nothing: it is written with the tokens."""


async def _refuse(*_: object) -> Any:
    raise LoginNeededError("the server wants you to log in")


def _read(kind: Any, value: object) -> Any:
    return None if value is None else kind.model_validate(value)


def storage_name(url: str) -> str:
    """Return the name under which the tokens of the server at `url` are kept."""
    return f"mcp {url}"


def has_login(server: McpServer) -> bool:
    """Return whether tokens are kept for `server`, and no header of the user's takes their place."""
    given = any(name.lower() == "authorization" for name in server.headers)
    return server.url is not None and not given and is_kept(storage_name(server.url))


def log_out(server: McpServer) -> bool:
    """Delete the tokens of `server`; return whether there were any."""
    return forget_key(storage_name(_url(server)))


async def log_in(server: McpServer, show: Callable[[str], None]) -> None:
    """Let the user log in to `server` in a browser, and keep the tokens; `show` gets the address to open.

    The browser comes back to a port of this machine. Where it can't, the user types the address that it shows.
    Raises `AuthError` if that fails.
    """
    url = _url(server)
    callback = _Callback()
    listening = await asyncio.start_server(callback.answer, HOST, 0)
    port = listening.sockets[0].getsockname()[1]

    async def open_address(address: str) -> None:
        server = login.context.oauth_metadata
        for each in (address, str(server.token_endpoint) if server is not None else url):
            parts = urlsplit(each)
            if parts.scheme != "https" and not (parts.scheme == "http" and is_this_machine(parts.hostname or "")):
                raise OAuthFlowError("an address of its login is not encrypted (https)")
        callback.expect(parse_qs(urlsplit(address).query)["state"][0])
        show(address)

    login = ServerLogin(url, f"http://{HOST}:{port}/callback", open_address, callback.wait)
    login.begin_anew(server.client_id, server.client_secret)
    problem = ""
    async with listening, AnsweringClient(server.headers, login) as http:
        try:
            async with Client(streamable_http_client(url, http_client=http)) as client:
                await client.list_tools()  # some servers let everybody begin a session
        except* MCPError as errors:
            problem = one_line(str(first_error(errors)), _REASON)
    if not login.saved:
        if problem:
            raise AuthError(f"the login failed: {problem}")
        raise UsageError("the server asks for no login", remedy="Use it as it is.")


def _url(server: McpServer) -> str:
    if server.url is None:
        raise UsageError(f"the server is the command {server.command}, which takes no login")
    return server.url


class _Callback:
    """The end of a login: the address that the browser comes back to, or that the user types."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._result: asyncio.Future[auth.AuthorizationCodeResult] = self._loop.create_future()
        self._state = ""

    def expect(self, state: str) -> None:
        """Take only what has this `state`, which other pages and programs do not know."""
        # If the server has moved to another authorization server, it asks a second time. Raises `OAuthFlowError` if it
        # refused the first time.
        if self._state:
            self._result.result()
            self._result = self._loop.create_future()
        else:
            threading.Thread(target=self._read_lines, daemon=True).start()
        self._state = state

    async def wait(self) -> auth.AuthorizationCodeResult:
        """Return the code that the browser brought. Raises `OAuthFlowError` if the server refused."""
        return await self._result

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_SECONDS):
                words = (await reader.readline()).split()
            taken = len(words) > 1 and self._take(words[1].decode("ascii", "replace"))
            page = _PAGE.format("You can close this page." if taken else "This is no answer to a login.")
            status = "200 OK" if taken else "400 Bad Request"
            head = f"HTTP/1.1 {status}\r\nContent-Type: text/html\r\nContent-Length: {len(page)}\r\nConnection: close"
            writer.write(f"{head}\r\n\r\n{page}".encode())
            await writer.drain()
        except (OSError, ValueError, TimeoutError):
            pass  # it is not the browser, or is gone
        finally:
            writer.close()

    def _take(self, address: str) -> bool:
        """Take the result of the login from `address`; return whether it has one."""
        values = {name: found[0] for name, found in parse_qs(urlsplit(address).query).items()}
        if not self._state or not hmac.compare_digest(values.get("state", "").encode(), self._state.encode()):
            return False
        if not self._result.done():
            if "code" in values:
                result = auth.AuthorizationCodeResult(code=values["code"], state=values["state"], iss=values.get("iss"))
                self._result.set_result(result)
            else:
                reason = values.get("error_description") or values.get("error") or "it gave no code"
                self._result.set_exception(OAuthFlowError(f"the server refused: {reason}"))
        return True

    def _read_lines(self) -> None:
        for line in sys.stdin or ():
            if self._loop.is_closed():
                return
            self._loop.call_soon_threadsafe(self._take, line.strip())
