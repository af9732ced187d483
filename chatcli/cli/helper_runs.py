"""Serves one-shots in the helper, and decides which command lines it may run; imported by the helper only."""

import typer

from chatcli.cli.app import given_settings, read_command_line
from chatcli.cli.grammar.group import SUBCOMMAND, WrongArguments
from chatcli.cli.process import run_here
from chatcli.cli.run.dispatch import fits_helper
from chatcli.config.settings import Settings
from chatcli.errors import ChatcliError
from chatcli.helper.same_conditions import Environment
from chatcli.helper.server import serve


def serve_runs(environment: Environment, lock: int) -> None:
    """Serve one-shots until the helper is not needed any more; for the arguments, see `serve`."""
    read_command_line([], resilient=True)  # the children share the parser that this makes
    serve(environment, is_helper_run, run_here, lock)


def is_helper_run(args: list[str], has_input: bool) -> bool:
    """Return whether the helper may run `chat ARGS`; `has_input` says whether there is piped input. Print nothing."""
    try:
        context = read_command_line(args, resilient=True)
        asks = bool(context.args) or has_input
        if not asks or SUBCOMMAND in context.meta or context.params["interactive"] or context.params["resume"]:
            return False
        settings = Settings.load(given_settings(context.params))
        return fits_helper(settings, continue_=context.params["continue_"])
    except (ChatcliError, OSError, WrongArguments, typer.Exit):
        return False  # it fails in its own process instead
