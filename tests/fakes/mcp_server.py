"""A real MCP server with small tools: over stdio, or over streamable HTTP on the socket whose number is its argument.

A second argument says how it answers over HTTP: "json" without events, "resumable" with events that have a number,
"oauth" only to clients that have logged in, which everybody may. What the file `revoked` of the notes lists are tokens
that it refuses.

It speaks every version of the protocol; with MCP_LEGACY, only those before 2026-07-28.

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
from typing import Annotated, Any, Literal

import uvicorn
from mcp import MCPError, types
from mcp.server.auth.provider import (
    AccessToken,
    AuthorizationCode,
    AuthorizationParams,
    OAuthAuthorizationServerProvider,
    RefreshToken,
    construct_redirect_uri,
)
from mcp.server.auth.settings import AuthSettings, ClientRegistrationOptions
from mcp.server.mcpserver import (
    Context,
    Elicit,
    ElicitationResult,
    ListRoots,
    MCPServer,
    Message,
    Resolve,
    Sample,
    UserMessage,
)
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.runner import serve_loop
from mcp.server.stdio import stdio_server
from mcp.server.streamable_http import EventCallback, EventStore
from mcp.shared.auth import OAuthClientInformationFull, OAuthToken
from mcp.types import JSONRPCMessage, ToolAnnotations
from pydantic import AnyHttpUrl, AnyUrl, BaseModel, Field


class Numbered(EventStore):
    """Gives each event a number, by which a client asks for what came after it; here that is nothing."""

    def __init__(self) -> None:
        self._count = 0

    async def store_event(self, stream_id: str, message: JSONRPCMessage | None) -> str:
        self._count += 1
        return f"{stream_id}/{self._count}"

    async def replay_events_after(self, last_event_id: str, send_callback: EventCallback) -> str | None:
        return last_event_id.rpartition("/")[0]


class ByHand(OAuthClientInformationFull):
    """A client that its user registered: as servers have it for programs, it listens on any port."""

    def validate_redirect_uri(self, redirect_uri: AnyUrl | None) -> AnyUrl:
        assert redirect_uri is not None
        return redirect_uri


class Everybody(OAuthAuthorizationServerProvider[AuthorizationCode, RefreshToken, AccessToken]):
    """An OAuth server where everybody is logged in at once; each refresh token is good for one use."""

    def __init__(self) -> None:
        by_hand = ByHand(
            client_id="by-hand", client_secret="given-by-hand", token_endpoint_auth_method="client_secret_basic"
        )
        self._clients: dict[str | None, OAuthClientInformationFull] = {"by-hand": by_hand}
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
LEGACY = "MCP_LEGACY" in os.environ


async def refuse_discovery(ctx: Any, call_next: Any) -> Any:
    """Answer as a server that knows no version since 2026-07-28."""
    if LEGACY and ctx.method == "server/discover":
        raise MCPError(types.METHOD_NOT_FOUND, "Method not found")
    return await call_next(ctx)


server = MCPServer("fake", **oauth, log_level="ERROR", middleware=[refuse_discovery])
notes = Path(os.environ["MCP_NOTES"]) if "MCP_NOTES" in os.environ else None


def note(name: str, text: str) -> None:
    if notes is not None:
        with (notes / name).open("a") as file:
            file.write(f"{text}\n")


@server.tool(annotations=ToolAnnotations(read_only_hint=True, open_world_hint=False))
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@server.tool()
def remember(text: str) -> str:
    """Write a text down."""
    note("remembered", text)
    return f"remembered: {text}"


@server.tool(annotations=ToolAnnotations(read_only_hint=True, open_world_hint=False))
async def wait(seconds: float) -> str:
    """Wait."""
    note("waiting", str(seconds))
    try:
        await asyncio.sleep(seconds)
    except asyncio.CancelledError:
        note("given_up", str(seconds))
        raise
    return "waited"


meeting = asyncio.Barrier(2)


@server.tool(annotations=ToolAnnotations(read_only_hint=True, open_world_hint=False))
async def meet() -> str:
    """Wait for another call of this tool, at the same time."""
    await meeting.wait()
    return "met"


@server.tool(annotations=ToolAnnotations(read_only_hint=True, open_world_hint=False))
def fail(reason: str) -> str:
    """Fail."""
    raise ToolError(reason)


PIXEL = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNkYAAAAAYAAjCB0C8AAAAASUVORK5CYII=")
OWN_DATA = ToolAnnotations(read_only_hint=True, open_world_hint=False)


@server.tool(annotations=OWN_DATA)
def picture(sound: bool = False) -> list[types.ContentBlock]:
    """Return a picture, or a sound too."""
    heard = types.AudioContent(type="audio", data="AAAA", mime_type="audio/wav")
    seen = types.ImageContent(type="image", data=base64.b64encode(PIXEL).decode(), mime_type="image/png")
    return [seen, *([heard] if sound else []), types.TextContent(type="text", text="a pixel")]


def ask_for_roots() -> ListRoots:
    return ListRoots()


@server.tool(annotations=OWN_DATA)
def where(roots: Annotated[types.ListRootsResult, Resolve(ask_for_roots)]) -> str:
    """Return the folders that the client offers."""
    return "\n".join(str(root.uri) for root in roots.roots)


@server.tool(annotations=OWN_DATA)
async def work(steps: int, ctx: Context) -> str:
    """Report progress and log, in steps."""
    for step in range(1, steps + 1):
        await ctx.info(f"step \x1b[31m{step}")
        await ctx.report_progress(step, steps, f"step \x1b[31m{step}")
    return "worked"


class Person(BaseModel):
    name: str = Field(title="Full name", min_length=2)
    age: int = Field(ge=0)
    size: Literal["small", "large"] = "small"
    member: bool = False


def ask_who(message: str) -> Elicit[Person]:
    note("asking", message)
    return Elicit(message, Person)


@server.tool(annotations=OWN_DATA)
def register(
    answer: Annotated[ElicitationResult[Person], Resolve(ask_who)], message: str = "Who are \x1b[31myou?"
) -> str:
    """Ask the user who they are."""
    note("answered", answer.action)
    return json.dumps([answer.action, answer.data.model_dump() if answer.action == "accept" else None])


def ask_model(question: str) -> Sample:
    asked = types.SamplingMessage(role="user", content=types.TextContent(type="text", text=question))
    return Sample([asked], max_tokens=100, system_prompt="Be brief.")


@server.tool(annotations=OWN_DATA)
def think(question: str, answer: Annotated[types.CreateMessageResult, Resolve(ask_model)]) -> str:
    """Let the client's model answer a question."""
    return f"{answer.model} says {answer.content.text}" if isinstance(answer.content, types.TextContent) else "?"


def grown() -> str:
    """Say that it is there."""
    return "grown"


@server.tool(annotations=OWN_DATA)
async def grow(ctx: Context) -> str:
    """Add a tool."""
    server.add_tool(grown, annotations=OWN_DATA)
    if LEGACY:
        await ctx.session.send_tool_list_changed()
    else:
        await ctx.notify_tools_changed()
    return "added"


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
    text = types.TextResourceContents(uri="notes://today", text="buy milk")
    return [UserMessage("Review these notes."), UserMessage(types.EmbeddedResource(type="resource", resource=text))]


@server.completion()  # type: ignore[no-untyped-call,untyped-decorator]
async def complete(ref: Any, argument: types.CompletionArgument, context: Any) -> types.Completion | None:
    """Complete the tones of a greeting."""
    tones = ["kind", "not so kind", "stern"] if (ref.name, argument.name) == ("greet", "tone") else []
    return types.Completion(values=[tone for tone in tones if tone.startswith(argument.value)])


@server.tool(annotations=ToolAnnotations(read_only_hint=True, open_world_hint=False))
def die() -> str:
    """End the server."""
    os._exit(3)


async def serve_legacy() -> None:
    """Serve one client over stdio, which has to begin with `initialize`."""
    async with stdio_server() as (read, write):
        await serve_loop(server._lowlevel_server, read, write, lifespan_state={})


if __name__ == "__main__":
    note("pid", str(os.getpid()))
    note("env", json.dumps(dict(os.environ)))
    if listening is not None:
        store = Numbered() if kind == "resumable" else None
        app = server.streamable_http_app(json_response=kind == "json", event_store=store)

        async def noted(scope: Any, receive: Any, send: Any) -> None:
            note("headers", str(dict(scope.get("headers", ()))))
            await app(scope, receive, send)

        config = uvicorn.Config(noted, log_level="error")
        uvicorn.Server(config).run(sockets=[listening])
    elif LEGACY:
        asyncio.run(serve_legacy())
    else:
        server.run("stdio")
    os._exit(0)  # Python itself would free its memory first, a seventh of a second of CPU
