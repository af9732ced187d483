"""`chat acp`: an agent for editors that speak the Agent Client Protocol."""

import asyncio
import importlib.util
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from chatcli.cli.app import SERVED, given_settings, takes_options
from chatcli.cli.load_settings import report_dotenv
from chatcli.cli.report import report_traceback
from chatcli.config.installation import install_command
from chatcli.config.providers import PROVIDERS
from chatcli.config.settings import Settings
from chatcli.conversation.compose import compose
from chatcli.errors import ChatcliError, UsageError
from chatcli.runtime.options import scoped
from chatcli.runtime.signals import take_signals
from chatcli.sanitize import sanitize_line

if TYPE_CHECKING:
    from chatcli.conversation.conversation import Conversation
    from chatcli.tools.workspace import Workspace

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
@takes_options(SERVED)
def acp(ctx: typer.Context, **options: Any) -> None:
    """Serve an editor by the Agent Client Protocol, on stdin and stdout; its sessions are threads.

    The editor starts this command; see `chat help editors`.
    """
    if importlib.util.find_spec("acp") is None:
        raise UsageError(f"`chat acp` needs the extra acp: {install_command('acp')}")
    base = ctx.find_object(Settings)
    assert base is not None
    settings = base.with_options(given_settings(options))
    base.refuse_options(scoped("question"), "`chat acp`: the editor asks")
    provider = compose(settings).name.provider
    settings.servers()  # refuse an unreadable file of MCP servers now
    if sys.stdin is not None and sys.stdin.isatty():
        print("waiting for an editor's messages on standard input; see `chat help editors`", file=sys.stderr)
    from chatcli.serve.acp.agent import Agent, serve  # late: it needs the extra

    def reread(folder: Path) -> Settings:
        found = settings.read_again(folder)
        report_dotenv(found.folder)
        return found

    def report(failure: ChatcliError) -> None:
        print(settings.credentials.redact(f"error: {sanitize_line(failure.message)}"), file=sys.stderr, flush=True)
        if settings.debug:
            report_traceback(failure, settings.credentials.redact)

    agent = Agent(settings, provider if provider in PROVIDERS else "", reread, begin, report)
    serve(agent, lambda end: take_signals(asyncio.get_running_loop(), end))


def begin(settings: Settings, thread_id: str, stored: bool, workspace: "Workspace") -> "Conversation":
    """Return the conversation of a session on `thread_id`, whose tools work in `workspace`."""
    composed = compose(settings, thread_id, stored=stored)
    if composed.graph_notice:
        print(composed.graph_notice, file=sys.stderr)
    return replace(composed, can_ask=True, embedded=composed.graph is not None, workspace=workspace).conversation()
