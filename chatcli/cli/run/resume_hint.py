"""Tells how to go on with a thread."""

import shlex
import sys

from chatcli.cli.run.chosen_graph import recorded_model
from chatcli.config.endpoints import public_url
from chatcli.config.settings import Settings
from chatcli.models.names import GRAPH


def resume_command(settings: Settings, thread_id: str, *, waits: bool = False) -> str:
    """Return the command that goes on with the thread: what this command line says of where it is, is repeated.

    A URL that holds a password or a key is left out, and a remark follows that says so. `waits` is for a thread that is
    waiting for an answer, which needs the tools again.
    """
    words, remark = ["chat"], ""
    for option in ("url", "store", "base_url"):
        value = getattr(settings, option)
        if not settings.is_option(option) or value is None:
            continue
        secret = settings.redact(value) != value or (option != "store" and public_url(value) != value)
        words += [f"--{option.replace('_', '-')}", "URL" if secret else value]
        if secret:
            remark = "  (URL: the one that you gave; it holds a password or a key, so it is not shown)"
    if settings.is_option("graph") and settings.graph and _needs_graph(settings, thread_id):
        words += ["--graph", settings.graph]
    if waits and settings.is_option("tools") and settings.tools:
        words.append("--tools")
    if waits and settings.is_option("mcp_file") and settings.mcp_file is not None:
        words += ["--mcp", str(settings.mcp_file)]
    words += ["--thread", thread_id, *(["--resume-with", "JSON"] if waits else [])]
    return f"{shlex.join(words)}{remark}"


def _needs_graph(settings: Settings, thread_id: str) -> bool:
    """Return whether the thread does not go on with its graph by itself: the graph keeps its threads, say."""
    return recorded_model(settings, thread_id).partition(":")[0] != GRAPH


def tell_waiting(settings: Settings, thread_id: str) -> None:
    """Tell how to answer what the thread waits for, where nobody can be asked."""
    print(f"It waits for an answer: {resume_command(settings, thread_id, waits=True)}", file=sys.stderr)
