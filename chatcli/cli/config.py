"""`chat config`: the settings in effect, the file that holds them, and the shape of what chat prints as JSON."""

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from typing import Annotated, Any

import typer

from chatcli import paths
from chatcli.bootstrap import build_renderer
from chatcli.cli.as_json import AsJson, choose_json
from chatcli.cli.trusting import load_settings
from chatcli.errors import UsageError
from chatcli.events import Listing
from chatcli.schemas import NAMES, read_all, read_schema
from chatcli.secret import Secret
from chatcli.settings import Settings, user_name

app = typer.Typer(
    help="Settings, and JSON Schemas.", invoke_without_command=True, rich_markup_mode=None, add_completion=False
)


_FIRST_LINES = "# Settings of chatcli, by the names of its options: `chat --help`, README.md.\n"


@app.callback()
def config(ctx: typer.Context, as_json: AsJson = False) -> None:
    """Show the settings unless a sub-command follows."""
    choose_json(ctx, as_json)
    if ctx.invoked_subcommand is None:
        show(ctx)


@app.command()
def show(ctx: typer.Context, as_json: AsJson = False) -> None:
    """Show the settings in effect; of a key, only that it is set."""
    settings = load_settings(ctx.find_object(dict) or {})
    values = {user_name(name): _shown(getattr(settings, name), settings.redact) for name in Settings.names()}
    if as_json or settings.format == "json":
        print(json.dumps(values, indent=2))
        return
    rows = tuple((name, "" if value is None else _in_words(value)) for name, value in values.items())
    renderer = build_renderer(settings)
    renderer.render(Listing("Settings", ("setting", "value"), rows))
    renderer.close()


@app.command()
def path() -> None:
    """Print where the config file is, or would be."""
    print(paths.config_file())


@app.command()
def edit(ctx: typer.Context) -> None:
    """Open the config file in $VISUAL or $EDITOR, and check it afterwards."""
    file = paths.config_file()
    paths.private_dir(file.parent)
    if not file.exists():
        with open(file, "x", encoding="utf-8", opener=paths.private_opener) as new:
            new.write(_FIRST_LINES)
    editor = shlex.split(os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi")
    try:
        code = subprocess.run([*editor, str(file)], check=False).returncode  # noqa: S603 - the user's own editor
    except OSError as error:
        raise UsageError(f"the editor {editor[0]} can't be run: {error.strerror}", remedy="Set $EDITOR.") from None
    if code != 0:
        raise UsageError(f"the editor {editor[0]} failed with exit code {code}")
    Settings.load(ctx.find_object(dict))
    print(f"{file} is fine", file=sys.stderr)


@app.command()
def schema(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help=f"{', '.join(NAMES)}; all of them.")] = None,
) -> None:
    """Print the JSON Schema of what chat prints as JSON."""
    if name is not None and name not in NAMES:
        raise UsageError(f"there is no schema {name!r}", remedy=f"Schemas: {', '.join(NAMES)}.")
    print(json.dumps(read_all() if name is None else read_schema(name), indent=2))


def _shown(value: Any, redact: Callable[[str], str]) -> Any:
    """Return a setting's value as JSON can hold it, without what is secret in it."""
    if isinstance(value, Secret):
        return "***"
    if isinstance(value, tuple):
        return [_shown(part, redact) for part in value]
    if isinstance(value, dict):
        return {name: _shown(part, redact) for name, part in value.items()}
    if isinstance(value, bool | int | float | None):
        return value
    return redact(str(value))


def _in_words(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name}={part}" for name, part in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
