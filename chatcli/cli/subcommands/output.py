"""What the sub-commands share: their settings, JSON or a table as output, questions, and the user's editor."""

import json
import os
import re
import sys
from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from chatcli.cli.grammar.completion import offer
from chatcli.config.settings import FORMATS, Settings
from chatcli.errors import UsageError
from chatcli.events import Event
from chatcli.ranking import BY_MEANING
from chatcli.rendering.build import build_renderer

_MAX_AGE = timedelta(days=365_000)  # further back than dates go is no error
_UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1), "y": timedelta(days=365)}

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]

_ID_HELP, _IDS_HELP = "A thread's ID, or the beginning of it.", "Threads' IDs, or the beginnings of them."
ThreadId = Annotated[str, typer.Argument(metavar="ID", help=_ID_HELP, autocompletion=offer("threads"))]
ThreadIds = Annotated[list[str], typer.Argument(metavar="ID...", help=_IDS_HELP, autocompletion=offer("threads"))]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


def settings_of(ctx: typer.Context, store: str | None = None, url: str | None = None) -> Settings:
    """Return the settings of `chat`'s options, overridden by those of the sub-command."""
    settings = ctx.find_object(Settings)
    assert settings is not None
    BY_MEANING.set(settings.semantic)
    return settings.with_options({"store": store, "url": url})


def options_of(ctx: typer.Context) -> dict[str, Any]:
    """Return the options of `chat` that were given, for a sub-command that reads the settings itself."""
    return ctx.find_object(dict) or {}


def format_settings(options: Mapping[str, Any]) -> Settings:
    """Return settings that hold only the wanted format, for a command that works when others are wrong."""
    wanted: Any = options.get("format") or os.environ.get("CHATCLI_FORMAT")
    return Settings(format=wanted if wanted in FORMATS else None)


def show(settings: Settings, *events: Event) -> None:
    """Show `events` in the format of `settings`."""
    renderer = build_renderer(settings)
    for event in events:
        renderer.render(event)
    renderer.close()


def show_or_print_json(settings: Settings, value: Any, *events: Event, as_json: bool = False) -> None:
    """Print `value` if JSON is wanted, else show `events`."""
    if wants_json(settings, as_json=as_json):
        print_json(settings, value, as_json=as_json)
    else:
        show(settings, *events)


def wants_json(settings: Settings, *, as_json: bool) -> bool:
    """Return whether JSON is wanted: by the sub-command's `--json`, or by the format of `chat` itself."""
    return as_json or settings.format in ("json", "jsonl")


def print_json(settings: Settings, value: Any, *, as_json: bool = False) -> None:
    """Print `value` as JSON; as JSON Lines, a list is one line for each item, unless `--json` was given."""
    if as_json or settings.format != "jsonl":
        print(json.dumps(value, indent=2))
        return
    for one in value if isinstance(value, list) else [value]:
        print(json.dumps(one))


def command_group(description: str, default: str = "list") -> typer.Typer:
    """Return an app for the commands of a sub-command; the command `default` runs where none is named."""

    class Group(TyperGroup):
        """Takes the options of the command `default` without its name."""

        def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
            own = {name for param in self.get_params(ctx) for name in param.opts}
            others = [word for word in args if word not in own]
            if others and others[0].startswith("-") and others[0] != "--":  # it is an option of the command `default`
                args.insert(args.index(others[0]), default)
            return super().parse_args(ctx, args)

    app = typer.Typer(
        cls=Group, help=description, invoke_without_command=True, rich_markup_mode=None, add_completion=False
    )

    @app.callback()
    def run_default(ctx: typer.Context, as_json: AsJson = False) -> None:
        if as_json and isinstance(ctx.obj, Settings):
            ctx.obj = ctx.obj.with_options({"format": "json"})
        elif as_json:  # the options that were given to `chat config`
            ctx.obj = {**(ctx.obj or {}), "format": "json"}
        if ctx.invoked_subcommand is None:
            assert isinstance(ctx.command, TyperGroup)
            command = ctx.command.commands[default]
            with command.make_context(default, [], ctx) as context:
                command.invoke(context)

    return app


def read_age(text: str, option: str) -> timedelta:
    """Return the length of time that `text` means; raise UsageError, which names `option`, if it means none."""
    match = re.fullmatch(r"([0-9]{1,4})([hdwy])", text)
    if match is None:
        raise UsageError(f"{option}: {text!r} is no age", remedy="Give a number of h, d, w or y, such as 90d.")
    return min(int(match[1]) * _UNITS[match[2]], _MAX_AGE)


def has_terminal() -> bool:
    """Return whether a user is there to answer a question."""
    return sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()


def confirm(question: str) -> None:
    """Ask on the terminal; raise `typer.Abort` unless the answer is yes."""
    typer.confirm(question, abort=True, err=True)
