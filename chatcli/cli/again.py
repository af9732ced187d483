"""Tells how to go on with a thread."""

import shlex
import sys

from chatcli.settings import Settings
from chatcli.store.location import choose_server


def resume_command(settings: Settings, thread_id: str) -> str:
    """Return the command that goes on with the thread: where it is kept is said again where it was said."""
    server = choose_server(settings)
    where = f"--url {shlex.quote(server.shown)} " if server is not None and settings.is_option("url") else ""
    return f"chat {where}--thread {shlex.quote(thread_id)}"


def tell_waiting(settings: Settings, thread_id: str) -> None:
    """Tell how to answer what the thread waits for, where nobody can be asked."""
    print(f"It waits for an answer: {resume_command(settings, thread_id)} --resume-with JSON", file=sys.stderr)
