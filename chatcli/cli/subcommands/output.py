"""What the sub-commands of `chat threads` share."""

import sys
from typing import Annotated

import typer

from chatcli.bootstrap import build_renderer
from chatcli.cli.grammar import completion as complete
from chatcli.config.settings import Settings
from chatcli.events import Event
from chatcli.store.location import choose_store, open_threads
from chatcli.store.threads import Threads

ThreadId = Annotated[
    str,
    typer.Argument(metavar="ID", help="A thread's ID, or the beginning of it.", autocompletion=complete.threads),
]
ThreadIds = Annotated[
    list[str],
    typer.Argument(metavar="ID...", help="Threads' IDs, or the beginnings of them.", autocompletion=complete.threads),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


def settings_of(ctx: typer.Context, store: str | None, url: str | None) -> Settings:
    """Return the settings of `chat`'s own options, with the sub-command's on top."""
    settings = ctx.find_object(Settings)
    assert settings is not None
    return settings.with_options({"store": store, "url": url})


def threads_of(settings: Settings) -> Threads:
    """Return the threads of the store that `settings` name."""
    return open_threads(choose_store(settings))


def show(settings: Settings, *events: Event) -> None:
    """Show `events` as `settings` and the terminal want it."""
    renderer = build_renderer(settings)
    for event in events:
        renderer.render(event)
    renderer.close()


def confirm(question: str) -> None:
    """Ask on the terminal; raise `typer.Abort` unless the answer is yes."""
    typer.confirm(question, abort=True, err=True)


def can_ask() -> bool:
    """Tell whether there is somebody to answer a question."""
    return sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()
