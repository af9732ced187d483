"""What the sub-commands of `chat threads` share."""

import json
import sys
from typing import Annotated, Any

import typer

from chatcli.cli.grammar import completion as complete
from chatcli.config.settings import Settings
from chatcli.conversation.place import choose_place, open_threads
from chatcli.events import Event
from chatcli.rendering.build import build_renderer
from chatcli.store.threads import Threads

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]

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
    """Return the threads of the place that `settings` choose."""
    return open_threads(choose_place(settings))


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
    """Return whether there is somebody to answer a question."""
    return sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()


def choose_json(ctx: typer.Context, as_json: bool) -> None:
    """Let all that follows in the group of `ctx` print JSON, if its option says so: `chat models --json`."""
    if not as_json:
        return
    if isinstance(ctx.obj, Settings):
        ctx.obj = ctx.obj.with_options({"format": "json"})
    else:  # of `chat config`, the options that were given
        ctx.obj = {**(ctx.obj or {}), "format": "json"}


def print_as_json(value: Any, chosen: str | None, as_json: bool = False) -> bool:
    """Print `value` if JSON is asked for; return whether it is.

    Args:
        value: A list is printed as one value a line in "jsonl", anything else on one line.
        chosen: The format of `chat` itself.
        as_json: Whether the sub-command has its option `--json`, which goes before that format.

    """
    if as_json or chosen == "json":
        print(json.dumps(value, indent=2))
    elif chosen == "jsonl":
        for one in value if isinstance(value, list) else [value]:
            print(json.dumps(one))
    else:
        return False
    return True
