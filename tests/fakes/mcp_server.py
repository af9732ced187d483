"""A real MCP server with small tools: over stdio, or over streamable HTTP on the socket whose number is its argument.

A second argument says how it answers over HTTP: "json" without events, "resumable" with events that have a number,
"oauth" only to clients that have logged in, which everybody may. What the file `revoked` of the notes lists are tokens
that it refuses.

With a folder in MCP_NOTES, it writes there what a test wants to know of it: its process ID, its environment, and the
calls that it began and was told to give up.
"""

import asyncio
import base64
import json
import os
import secrets
import socket
import sys
import time
from pathlib import Path
from typing import Any

import uvicorn
from mcp import McpError, types
from mcp.server.auth.provider import (
    AccessToken,
    AuthorizationCode,
    AuthorizationParams,
    OAuthAuthorizationServerProvider,
    RefreshToken,
    construct_redirect_uri,
)
from mcp.server.auth.settings import AuthSettings, ClientRegistrationOptions
from mcp.server.fastmcp import Context, FastMCP
from mcp.server.fastmcp.prompts.base import Message, UserMessage
from mcp.server.streamable_http import EventCallback, EventStore
from mcp.shared.auth import OAuthClientInformationFull, OAuthToken
from mcp.types import JSONRPCMessage, ToolAnnotations
from pydantic import AnyHttpUrl


class Numbered(EventStore):
    """Gives each event a number, by which a client asks for what came after it; here that is nothing."""

    def __init__(self) -> None:
        self._count = 0

    async def store_event(self, stream_id: str, message: JSONRPCMessage | None) -> str:
        self._count += 1
        return f"{stream_id}/{self._count}"

    async def replay_events_after(self, last_event_id: str, send_callback: EventCallback) -> str | None:
        return last_event_id.rpartition("/")[0]


class Everybody(OAuthAuthorizationServerProvider[AuthorizationCode, RefreshToken, AccessToken]):
    """An OAuth server where everybody is logged in at once; each refresh token is good for one use."""

    def __init__(self) -> None:
        self._clients: dict[str | None, OAuthClientInformationFull] = {}
        self._codes: dict[str, AuthorizationCode] = {}
        self._refresh: dict[str, RefreshToken] = {}
        self._access: dict[str, AccessToken] = {}

    async def get_client(self, client_id: str) -> OAuthClientInformationFull | None:
        return self._clients.get(client_id)

    async def register_client(self, client_info: OAuthClientInformationFull) -> None:
        note("registered", str(client_info.client_name))
        self._clients[client_info.client_id] = client_info

    async def authorize(self, client: OAuthClientInformationFull, params: AuthorizationParams) -> str:
        code = AuthorizationCode(
            code=secrets.token_urlsafe(),
            scopes=params.scopes or [],
            expires_at=time.time() + 300,
            client_id=client.client_id or "",
            code_challenge=params.code_challenge,
            redirect_uri=params.redirect_uri,
            redirect_uri_provided_explicitly=True,
            resource=params.resource,
        )
        self._codes[code.code] = code
        return construct_redirect_uri(str(params.redirect_uri), code=code.code, state=params.state)

    async def load_authorization_code(
        self, client: OAuthClientInformationFull, authorization_code: str
    ) -> AuthorizationCode | None:
        return self._codes.get(authorization_code)

    async def exchange_authorization_code(
        self, client: OAuthClientInformationFull, authorization_code: AuthorizationCode
    ) -> OAuthToken:
        del self._codes[authorization_code.code]
        return self._issue(client.client_id or "", authorization_code.scopes)

    async def load_refresh_token(self, client: OAuthClientInformationFull, refresh_token: str) -> RefreshToken | None:
        return self._refresh.get(refresh_token)

    async def exchange_refresh_token(
        self, client: OAuthClientInformationFull, refresh_token: RefreshToken, scopes: list[str]
    ) -> OAuthToken:
        note("refreshed", refresh_token.token)
        del self._refresh[refresh_token.token]
        return self._issue(client.client_id or "", scopes)

    async def load_access_token(self, token: str) -> AccessToken | None:
        revoked = notes / "revoked" if notes else None
        if revoked is not None and revoked.exists() and token in revoked.read_text().split():
            return None
        return self._access.get(token)

    async def revoke_token(self, token: AccessToken | RefreshToken) -> None:
        self._access.pop(token.token, None)

    def _issue(self, client: str, scopes: list[str]) -> OAuthToken:
        access, refresh = secrets.token_urlsafe(), secrets.token_urlsafe()
        self._access[access] = AccessToken(token=access, client_id=client, scopes=scopes)
        self._refresh[refresh] = RefreshToken(token=refresh, client_id=client, scopes=scopes)
        return OAuthToken(access_token=access, refresh_token=refresh, expires_in=3600, scope=" ".join(scopes))


kind = sys.argv[2] if len(sys.argv) > 2 else ""
listening = socket.socket(fileno=int(sys.argv[1])) if len(sys.argv) > 1 else None
oauth: dict[str, Any] = {}
if kind == "oauth" and listening is not None:
    address = f"http://127.0.0.1:{listening.getsockname()[1]}"
    settings = AuthSettings(
        issuer_url=AnyHttpUrl(address),
        resource_server_url=AnyHttpUrl(f"{address}/mcp"),
        client_registration_options=ClientRegistrationOptions(enabled=True),
        validate_token_resource=False,
    )
    oauth = {"auth": settings, "auth_server_provider": Everybody()}
server = FastMCP(
    "fake",
    **oauth,
    log_level="ERROR",
    json_response=kind == "json",
    event_store=Numbered() if kind == "resumable" else None,
)
notes = Path(os.environ["MCP_NOTES"]) if "MCP_NOTES" in os.environ else None


def note(name: str, text: str) -> None:
    if notes is not None:
        with (notes / name).open("a") as file:
            file.write(f"{text}\n")


@server.tool(annotations=ToolAnnotations(readOnlyHint=True, openWorldHint=False))
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@server.tool()
def remember(text: str) -> str:
    """Write a text down."""
    note("remembered", text)
    return f"remembered: {text}"


@server.tool(annotations=ToolAnnotations(readOnlyHint=True, openWorldHint=False))
async def wait(seconds: float) -> str:
    """Wait, and return when it began and ended."""
    note("waiting", str(seconds))
    began = time.monotonic()
    try:
        await asyncio.sleep(seconds)
    except asyncio.CancelledError:
        note("given_up", str(seconds))
        raise
    return f"{began} {time.monotonic()}"


@server.tool(annotations=ToolAnnotations(readOnlyHint=True, openWorldHint=False))
def fail(reason: str) -> str:
    """Fail."""
    raise ValueError(reason)


PIXEL = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNkYAAAAAYAAjCB0C8AAAAASUVORK5CYII=")
OWN_DATA = ToolAnnotations(readOnlyHint=True, openWorldHint=False)


@server.tool(annotations=OWN_DATA)
def picture(sound: bool = False) -> list[types.ContentBlock]:
    """Return a picture, or a sound too."""
    heard = types.AudioContent(type="audio", data="AAAA", mimeType="audio/wav")
    seen = types.ImageContent(type="image", data=base64.b64encode(PIXEL).decode(), mimeType="image/png")
    return [seen, *([heard] if sound else []), types.TextContent(type="text", text="a pixel")]


@server.tool(annotations=OWN_DATA)
async def where(ctx: Context) -> str:  # type: ignore[type-arg]
    """Return the folders that the client offers."""
    return "\n".join(str(root.uri) for root in (await ctx.session.list_roots()).roots)


@server.tool(annotations=OWN_DATA)
async def work(steps: int, ctx: Context) -> str:  # type: ignore[type-arg]
    """Report progress and log, in steps."""
    for step in range(1, steps + 1):
        await ctx.info(f"step \x1b[31m{step}")
        await ctx.report_progress(step, steps, f"step \x1b[31m{step}")
    return "worked"


SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "title": "Full name", "minLength": 2},
        "age": {"type": "integer", "minimum": 0},
        "size": {"type": "string", "enum": ["small", "large"], "default": "small"},
        "member": {"type": "boolean"},
    },
    "required": ["name", "age"],
}


@server.tool(annotations=OWN_DATA)
async def register(ctx: Context, message: str = "Who are \x1b[31myou?") -> str:  # type: ignore[type-arg]
    """Ask the user who they are."""
    note("asking", message)
    answer = await ctx.session.elicit(message, SCHEMA)
    return json.dumps([answer.action, answer.content])


@server.tool(annotations=OWN_DATA)
async def think(question: str, ctx: Context) -> str:  # type: ignore[type-arg]
    """Let the client's model answer a question."""
    asked = types.SamplingMessage(role="user", content=types.TextContent(type="text", text=question))
    try:
        answer = await ctx.session.create_message([asked], max_tokens=100, system_prompt="Be brief.")
    except McpError as error:
        return f"failed: {error}"
    return f"{answer.model} says {answer.content.text}" if isinstance(answer.content, types.TextContent) else "?"


@server.resource("notes://today", title="Today's notes")
def today() -> str:
    """Return the notes."""
    return "buy milk\n"


@server.resource("notes://pixel", mime_type="image/png")
def pixel() -> bytes:
    """Return a picture."""
    return PIXEL


@server.resource("notes://zip", mime_type="application/zip")
def archive() -> bytes:
    """Return what no model takes."""
    return b"PK\x03\x04" + bytes(range(256))


@server.prompt()
def greet(name: str, tone: str = "kind") -> str:
    """Greet somebody."""
    return f"Say hello to {name} in a {tone} tone."


@server.prompt()
def review() -> list[Message]:
    """Look at the notes."""
    text = types.TextResourceContents(uri="notes://today", text="buy milk")  # type: ignore[arg-type]
    return [UserMessage("Review these notes."), UserMessage(types.EmbeddedResource(type="resource", resource=text))]


@server.completion()  # type: ignore[no-untyped-call,untyped-decorator]
async def complete(ref: Any, argument: types.CompletionArgument, context: Any) -> types.Completion | None:
    """Complete the tones of a greeting."""
    tones = ["kind", "not so kind", "stern"] if (ref.name, argument.name) == ("greet", "tone") else []
    return types.Completion(values=[tone for tone in tones if tone.startswith(argument.value)])


@server.tool(annotations=ToolAnnotations(readOnlyHint=True, openWorldHint=False))
def die() -> str:
    """End the server."""
    os._exit(3)


if __name__ == "__main__":
    note("pid", str(os.getpid()))
    note("env", json.dumps(dict(os.environ)))
    if listening is not None:
        app = server.streamable_http_app()

        async def noted(scope: Any, receive: Any, send: Any) -> None:
            note("headers", str(dict(scope.get("headers", ()))))
            await app(scope, receive, send)

        config = uvicorn.Config(noted, log_level="error")
        uvicorn.Server(config).run(sockets=[listening])
    else:
        server.run("stdio")
