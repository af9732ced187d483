"""`chat mcp`: an MCP server for other programs, on standard input and output or on a loopback port."""

import asyncio
import logging
import os
import re
import secrets
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from chatcli import paths
from chatcli.cli.app import SERVED, given_settings, takes_options
from chatcli.cli.grammar.completion import offer
from chatcli.cli.load_settings import report_servers
from chatcli.cli.subcommands.output import AsJson, settings_of, show_or_print_json
from chatcli.config.entries import find_entry
from chatcli.config.installation import install_command, is_mcp_installed
from chatcli.config.mcp_servers import McpServer, read_servers
from chatcli.config.settings import Settings
from chatcli.config.trust import MCP_FILE
from chatcli.conversation.backend import choose_backend
from chatcli.conversation.compose import compose
from chatcli.errors import ExitCode, UsageError
from chatcli.events import Listing
from chatcli.runtime.options import scoped
from chatcli.runtime.program import command
from chatcli.sanitize import reveal
from chatcli.text import tell

if TYPE_CHECKING:
    from chatcli.serve.mcp.service import McpService

TOKEN = "CHATCLI_MCP_TOKEN"  # noqa: S105 - the variable's name
"""The environment variable of the token; without it, one is made."""
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
MIN_TOKEN = 16
"""Characters; a shorter one can be guessed."""
app = typer.Typer(invoke_without_command=True, rich_markup_mode=None, add_completion=False)

_HTTP_HELP = "Serve streamable HTTP on this port of the loopback address, 0 for a free one, with a token."
Http = Annotated[int | None, typer.Option("--http", metavar="PORT", min=0, max=65535, help=_HTTP_HELP)]
Name = Annotated[str, typer.Argument(metavar="NAME", help="The server's name.", autocompletion=offer("mcp_servers"))]
Target = Annotated[list[str], typer.Argument(metavar="URL|-- COMMAND ARG...", help="Where it is, or what starts it.")]
_ENV_HELP = "Set a variable for its command; '${NAME}' is filled in later."
Variables = Annotated[list[str] | None, typer.Option("--env", metavar="NAME=VALUE", help=_ENV_HELP)]
_HEADER_HELP = "Send this header to its URL; '${NAME}' is filled in later."
Headers = Annotated[list[str] | None, typer.Option("--header", metavar="NAME=VALUE", help=_HEADER_HELP)]
Browser = Annotated[bool, typer.Option("--browser", help="Open the address in a browser here.")]


@app.callback()
@takes_options(SERVED, http=Http)
def mcp(ctx: typer.Context, http: int | None, **options: Any) -> None:
    """Serve other programs by the Model Context Protocol: an editor, Claude Desktop, another chat.

    They ask, and list, search and read threads and documents. The commands `add`, `list`, `remove`, `login` and
    `logout` are about the servers whose tools `chat` itself uses.
    """
    ctx.obj = settings_of(ctx).with_options(given_settings(options))
    if ctx.invoked_subcommand is None:
        _start(ctx.obj, http)


@app.command()
@takes_options(SERVED, http=Http)
def serve(ctx: typer.Context, http: int | None, **options: Any) -> None:
    """Serve other programs, as `chat mcp` alone does."""
    assert ctx.parent is not None
    settings = settings_of(ctx).with_options(given_settings(options))
    _start(settings, ctx.parent.params["http"] if http is None else http)


@app.command()
def add(ctx: typer.Context, name: Name, target: Target, env: Variables = None, header: Headers = None) -> None:
    """Add a server to config.toml: `add NAME URL`, or `add NAME -- COMMAND ARG...`."""
    if not _NAME.fullmatch(name):
        raise UsageError(f"{name!r} can't be a server's name", remedy="Use letters, digits, - and _, at most 64.")
    settings = settings_of(ctx)
    if settings.source("mcp_file") == "config file":
        raise UsageError(f"config.toml names a file of MCP servers: {settings.mcp_file}", remedy="Add it there.")
    if name in settings.mcp_servers:
        raise UsageError(f"there is an MCP server {name}", remedy=f"First: `{command('mcp remove', name)}`.")
    first, *args = target
    table: dict[str, Any]
    if first.startswith(("http://", "https://")) and not args:
        table = {"url": first, "headers": _pairs(header, "--header")}
        excluded = ("--env", env)
    else:
        table = {"command": first, "args": args, "env": _pairs(env, "--env")}
        excluded = ("--header", header)
    if excluded[1]:
        raise UsageError(f"{excluded[0]} has no effect on {first}", remedy="Leave it out.")
    find_entry(f"mcp.{name}").write({key: value for key, value in table.items() if value})
    tell(f"the MCP server {name} is added to {paths.config_file()}")


@app.command("list")
def list_(ctx: typer.Context, as_json: AsJson = False) -> None:
    """List the servers whose tools `chat` uses, without starting any."""
    settings = settings_of(ctx)
    project = settings.project_servers()
    written = settings.mcp_servers
    found = [(name, server, "config.toml", "") for name, server in written.items()]
    if (file := settings.mcp_file) is not None:
        found += [(name, server, str(file), "") for name, server in read_servers(file).items()]
    state = "" if project.trusted else "not trusted"
    found += [(name, server, MCP_FILE, state) for name, server in project.values.items() if name not in written]
    columns = ("name", "server", "source", "state")
    rows = tuple(
        (name, server.describe(), source, state or ("disabled" if server.disabled else "used"))
        for name, server, source, state in found
    )
    listed = [dict(zip(columns, row, strict=True)) for row in rows]
    show_or_print_json(settings, listed, Listing("MCP servers", columns, rows), as_json=as_json)


@app.command()
def remove(name: Name) -> None:
    """Remove a server from config.toml."""
    find_entry(f"mcp.{name}").remove()
    tell(f"the MCP server {name} is removed from {paths.config_file()}")


@app.command()
def login(ctx: typer.Context, name: Name, browser: Browser = False) -> None:
    """Log in to a server that asks for it (OAuth); the tokens are kept as keys are."""
    from chatcli.tools.mcp_login import log_in

    def show(address: str) -> None:
        tell(f"Open this address to log in to {reveal(name)}:\n\n{reveal(address)}\n")
        tell("Waiting for the browser. If it runs elsewhere, paste the address that it ends at.")
        if browser:
            import webbrowser

            webbrowser.open(address)

    logging.getLogger("mcp").addHandler(logging.NullHandler())  # the SDK logs tracebacks
    logging.getLogger("mcp").propagate = False
    asyncio.run(log_in(_server(ctx, name), show))
    tell(f"logged in to the MCP server {name}")


@app.command()
def logout(ctx: typer.Context, name: Name) -> None:
    """Delete the tokens of a server."""
    from chatcli.tools.mcp_login import log_out

    if not log_out(_server(ctx, name)):
        raise UsageError(f"you are not logged in to the MCP server {name}", remedy="Nothing was changed.")
    tell(f"the tokens of the MCP server {name} are deleted")


def _server(ctx: typer.Context, name: str) -> McpServer:
    """Return the server `name`, with the environment's values in it."""
    _need_extra("mcp login")
    servers = settings_of(ctx).servers()
    if name not in servers:
        raise UsageError(f"there is no MCP server {name}", remedy=f"See `{command('mcp list')}`.")
    return servers[name].filled()


def _need_extra(words: str) -> None:
    if not is_mcp_installed():
        raise UsageError(f"`{command(words)}` needs the extra mcp", remedy=f"Install it: {install_command('mcp')}")


def _pairs(given: list[str] | None, option: str) -> dict[str, str]:
    """Return the values that `option` gives, by name."""
    pairs = {}
    for text in given or ():
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise UsageError(f"{option} takes NAME=VALUE", remedy=f"Such as: {option} 'NAME=value'")
        pairs[name.strip()] = value
    return pairs


def _start(settings: Settings, http: int | None) -> None:
    """Serve until the client is gone; raise `typer.Exit`."""
    settings.refuse_options(scoped("question"), f"`{command('mcp')}`: the other program asks")
    if settings.system is not None and settings.is_option("system") and settings.is_option("role"):
        raise UsageError("--system and --role exclude each other", remedy="Give one of them.")
    _need_extra("mcp")
    report_servers(settings)  # and refuse an unreadable file of MCP servers now
    token = _token() if http is not None else ""
    raise typer.Exit(_serve(settings, http, token))


def _token() -> str:
    """Return the token that the environment sets, empty for none; no child process inherits it."""
    token = os.environ.pop(TOKEN, "").strip()
    if token and (len(token) < MIN_TOKEN or not token.isascii() or not token.isprintable() or " " in token):
        problem = f"{TOKEN} is no token: it needs {MIN_TOKEN} ASCII characters or more, without spaces"
        raise UsageError(problem, remedy="Leave it empty, and one is made.")
    return token


def _serve(settings: Settings, port: int | None, token: str) -> ExitCode:
    """Serve until the client is gone, or a signal ends it; return the exit code."""
    if not settings.debug:
        logging.getLogger().addHandler(logging.NullHandler())  # the SDK's log has requests and tracebacks
    # Wrong options are refused here, before it starts. The backend is shared, so that one turn finds another's threads.
    composed = compose(settings, backend=choose_backend(settings, shared=True))
    from chatcli.runtime.exits import exits_contained
    from chatcli.serve.mcp.server import ChatServer

    def open_service() -> "McpService":
        from chatcli.serve.mcp.service import McpService

        return McpService(composed)

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
        usage = f"see `{command('help mcp')}`. Ctrl-D ends it."
        tell(f"This speaks MCP with the program that starts it: {usage}")
    return ExitCode.INTERRUPTED if asyncio.run(serve()) else ExitCode.OK
