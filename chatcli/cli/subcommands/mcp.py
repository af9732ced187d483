"""`chat mcp`: an MCP server for other programs, on standard input and output or on a loopback port."""

import asyncio
import logging
import os
import secrets
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated, Any

import typer

from chatcli.cli.app import given_settings
from chatcli.cli.grammar.options import SERVED, takes_options
from chatcli.cli.subcommands.output import settings_of
from chatcli.config.installation import install_command
from chatcli.config.settings import Settings
from chatcli.conversation.backend import choose_backend
from chatcli.conversation.compose import compose
from chatcli.errors import ExitCode, UsageError
from chatcli.runtime.options import scoped
from chatcli.runtime.program import command

if TYPE_CHECKING:
    from chatcli.serve.mcp.service import McpService

TOKEN = "CHATCLI_MCP_TOKEN"  # noqa: S105 - the variable's name
"""The environment variable of the token; without it, one is made."""
MIN_TOKEN = 16
"""Characters; a shorter one can be guessed."""
app = typer.Typer(rich_markup_mode=None, add_completion=False)

Http = Annotated[
    int | None,
    typer.Option(
        "--http",
        metavar="PORT",
        min=0,
        max=65535,
        help="Serve streamable HTTP on this port of the loopback address, 0 for a free one, with a token.",
    ),
]


@app.command()
@takes_options(SERVED, http=Http)
def mcp(ctx: typer.Context, http: int | None, **options: Any) -> None:
    """Serve other programs by the Model Context Protocol: an editor, Claude Desktop, another chat.

    They ask, and list, search and read threads and documents.
    """
    settings = settings_of(ctx).with_options(given_settings(options))
    settings.refuse_options(scoped("question"), f"`{command('mcp')}`: the other program asks")
    if settings.system is not None and settings.is_option("system") and settings.is_option("role"):
        raise UsageError("--system and --role exclude each other", remedy="Give one of them.")
    if find_spec("mcp") is None:
        raise UsageError(f"`{command('mcp')}` needs the extra mcp", remedy=f"Install it: {install_command('mcp')}")
    settings.servers()  # refuse an unreadable file of MCP servers now
    token = _token() if http is not None else ""
    raise typer.Exit(_serve(settings, http, token))


def _token() -> str:
    """Return the token that the environment sets, empty for none; no child process inherits it."""
    token = os.environ.pop(TOKEN, "").strip()
    if token and (len(token) < MIN_TOKEN or not token.isascii() or not token.isprintable() or " " in token):
        raise UsageError(
            f"{TOKEN} is no token: it needs {MIN_TOKEN} ASCII characters or more, without spaces",
            remedy="Leave it empty, and one is made.",
        )
    return token


def _serve(settings: Settings, port: int | None, token: str) -> ExitCode:
    """Serve until the client is gone, or a signal ends it; return the exit code."""
    if not settings.debug:
        logging.getLogger().addHandler(logging.NullHandler())  # the SDK's log has requests and tracebacks
    open_service = _opener(settings)
    from chatcli.runtime.exits import exits_contained
    from chatcli.serve.mcp.server import ChatServer

    async def serve() -> bool:
        server = ChatServer(open_service, settings.credentials.redact)
        with exits_contained():
            if port is None:
                from chatcli.serve.mcp.stdio import serve_stdio

                return await serve_stdio(server)
            from chatcli.serve.mcp.http import serve_http

            made = secrets.token_urlsafe(32)
            return await serve_http(server, port, token or made, shows_token=not token)

    if port is None and sys.stdin is not None and sys.stdin.isatty():
        print(
            f"This speaks MCP with the program that starts it: see `{command('help mcp')}`. Ctrl-D ends it.",
            file=sys.stderr,
        )
    return ExitCode.INTERRUPTED if asyncio.run(serve()) else ExitCode.OK


def _opener(settings: Settings) -> Any:
    """Return the function that opens the server's service; wrong options are refused here, before it starts."""
    # Shared, so that one turn finds the threads of another.
    composed = compose(settings, backend=choose_backend(settings, shared=True))

    def open_service() -> "McpService":
        from chatcli.serve.mcp.service import McpService

        return McpService(composed)

    return open_service
