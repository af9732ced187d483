"""Which command lines the helper may run."""

from chatcli.cli.run.helper_fit import suits_helper
from chatcli.config.settings import Settings


def is_for_helper(args: list[str], has_input: bool) -> bool:
    """Tell whether `chat ARGS`, with something piped in or not, is a one-shot that suits the helper; shows nothing."""
    import typer

    from chatcli.cli.app import given_settings
    from chatcli.cli.grammar.group import SUBCOMMAND
    from chatcli.cli.main import read_command_line
    from chatcli.errors import ChatcliError

    try:
        context = read_command_line(args, resilient=True)
        asks = bool(context.args) or has_input
        if not asks or SUBCOMMAND in context.meta or context.params["interactive"] or context.params["resume"]:
            return False
        settings = Settings.load(given_settings(context.params))
        return suits_helper(settings, continue_=context.params["continue_"])
    except (ChatcliError, OSError, typer.TyperException, typer.Exit):
        return False  # as it would in a process of its own, it fails there
