"""Which runs of `chat` the helper may do."""

from chatcli.cli.run.chosen_graph import recorded_graph, recorded_model
from chatcli.config.settings import Settings
from chatcli.store.location import choose_store, open_threads


def suits_helper(settings: Settings, *, continue_: bool = False) -> bool:
    """Tell whether a one-shot with such settings asks a model, and runs no code of others' and no tools.

    Raises:
        ChatcliError: The store can't be read.

    """
    elsewhere = settings.graph or settings.url or settings.resume_with or settings.script
    tools = settings.tools or settings.mcp_file or settings.mcp_servers
    if not settings.helper or elsewhere or tools:
        return False
    thread = settings.thread
    if continue_ and (newest := open_threads(choose_store(settings)).recent(limit=1)):
        thread = newest[0].thread_id
    return thread is None or not recorded_graph(recorded_model(settings, thread))


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
