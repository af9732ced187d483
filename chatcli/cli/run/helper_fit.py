"""Decides which runs of `chat` the helper may do."""

from chatcli.cli.run.chosen_graph import recorded_graph, recorded_model
from chatcli.config.settings import Settings
from chatcli.conversation.place import choose_place, open_threads


def fits_helper(settings: Settings, *, continue_: bool = False) -> bool:
    """Return whether a one-shot with these settings only asks a model: it runs no user graph and no tools.

    Raises:
        ChatcliError: The store can't be read.

    """
    elsewhere = settings.graph or settings.url or settings.resume_with or settings.script
    tools = settings.tools or settings.mcp_file or settings.mcp_servers
    if not settings.helper or elsewhere or tools:
        return False
    place, thread = choose_place(settings), settings.thread
    if continue_ and (newest := open_threads(place).recent(limit=1)):
        thread = newest[0].thread_id
    return thread is None or not recorded_graph(recorded_model(place, thread))
