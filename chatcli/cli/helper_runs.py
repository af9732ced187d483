"""Decides which command lines the helper may run; imported by the helper only."""

import typer

from chatcli.cli.app import given_settings
from chatcli.cli.grammar.group import SUBCOMMAND
from chatcli.cli.main import read_command_line
from chatcli.cli.run.dispatch import fits_helper
from chatcli.config.settings import Settings
from chatcli.errors import ChatcliError


def is_helper_run(args: list[str], has_input: bool) -> bool:
    """Return whether the helper may run `chat ARGS`; `has_input` says whether there is piped input. Print nothing."""
    try:
        context = read_command_line(args, resilient=True)
        asks = bool(context.args) or has_input
        if not asks or SUBCOMMAND in context.meta or context.params["interactive"] or context.params["resume"]:
            return False
        settings = Settings.load(given_settings(context.params))
        return fits_helper(settings, continue_=context.params["continue_"])
    except (ChatcliError, OSError, typer.TyperException, typer.Exit):
        return False  # it fails in its own process instead
