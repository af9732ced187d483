"""`chat config`: the settings in effect, the config file, and the JSON Schemas of the output."""

import sys
from dataclasses import asdict
from typing import Annotated

import typer

from chatcli import paths
from chatcli.cli.grammar.completion import offer
from chatcli.cli.load_settings import load_settings
from chatcli.cli.schemas import NAMES, read_all, read_schema
from chatcli.cli.subcommands.output import (
    AsJson,
    command_group,
    edit_in_editor,
    format_settings,
    options_of,
    print_json,
    show_or_print_json,
)
from chatcli.config.settings import Settings
from chatcli.conversation.effective_settings import effective_settings
from chatcli.errors import UsageError
from chatcli.events import Listing
from chatcli.runtime.files import replace_privately

app = command_group("Show and edit settings; print JSON Schemas.", default="show")


_FIRST_LINES = "# Settings of chatcli, by the names of its options: `chat help settings`.\n"


@app.command()
def show(ctx: typer.Context, as_json: AsJson = False) -> None:
    """Show the settings and where each comes from.

    Of a key, only the fact that it is set is shown.
    """
    settings = load_settings(options_of(ctx))
    found = effective_settings(settings)
    rows = tuple((name, str(one), one.source) for name, one in found.items())
    table = Listing("Settings", ("setting", "value", "from"), rows)
    show_or_print_json(settings, {name: asdict(one) for name, one in found.items()}, table, as_json=as_json)


@app.command()
def path() -> None:
    """Print the path of the config file, which need not exist."""
    print(paths.config_file())


@app.command()
def edit(ctx: typer.Context) -> None:
    """Edit the config file in $VISUAL or $EDITOR.

    It is checked afterwards.
    """
    file = paths.config_file()
    paths.private_dir(file.parent)
    if not file.exists():
        replace_privately(file, [_FIRST_LINES])
    edit_in_editor(file)
    Settings.load(options_of(ctx))
    print(f"{file} is fine", file=sys.stderr)


@app.command()
def schema(
    ctx: typer.Context,
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[NAME]",
            help=f"One of {', '.join(NAMES)}; by default all of them.",
            autocompletion=offer("schemas"),
        ),
    ] = None,
) -> None:
    """Print the JSON Schema of what chat prints as JSON."""
    if name is not None and name not in NAMES:
        raise UsageError(f"there is no schema {name!r}", remedy=f"Schemas: {', '.join(NAMES)}.")
    shown = read_all() if name is None else read_schema(name)
    print_json(format_settings(options_of(ctx)), shown)
