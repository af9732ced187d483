"""`chat config`: the settings in effect, the config file, and the JSON Schemas of the output."""

import json
import sys
from dataclasses import asdict
from typing import Annotated, Any

import typer

from chatcli import paths
from chatcli.cli.grammar.completion import offer, offer_files
from chatcli.cli.load_settings import load_settings
from chatcli.cli.schemas import NAMES, read_all, read_schema
from chatcli.cli.subcommands import output as common
from chatcli.cli.subcommands.output import AsJson, command_group
from chatcli.config.entries import Entry, find_entry, find_written
from chatcli.config.secrets import redact
from chatcli.config.settings import DEFAULT, Settings
from chatcli.conversation.backend import choose_backend
from chatcli.conversation.effective_settings import effective_settings, show_settings
from chatcli.errors import ChatcliError, UsageError
from chatcli.message import MessageShown
from chatcli.models.names import check_alias, resolve_model
from chatcli.roles import find_role
from chatcli.runtime.editor import edit_in_editor
from chatcli.runtime.files import replace_privately
from chatcli.runtime.program import command
from chatcli.sanitize import sanitize_line
from chatcli.text import one_line, tell

app = command_group("Show, set and edit settings; print JSON Schemas.", default="show")

ShowAll = Annotated[bool, typer.Option("--all", help="Show those that have their defaults, too.")]

_SHOWN_VALUE = 80
"""Characters of a value that are shown."""

_PREVIEW = '''\
An answer has **strong**, *stressed* and `code` words, and a [link](https://example.org).

```python
def greet(name: str = "world") -> str:
    """Return a greeting."""
    return f"Hello, {name}!"  # in the style of --code-theme
```
'''
"""Shows the colours of the theme and of code."""

_FIRST_LINES = "# Settings of chatcli, by the names of its options: `chat help settings`.\n"


@app.command()
def show(ctx: typer.Context, show_all: ShowAll = False, as_json: AsJson = False) -> None:
    """Show the settings that were set, and where each comes from.

    JSON has all settings. Keys are shown as `***`.
    """
    settings = load_settings(common.options_of(ctx))
    found = effective_settings(settings)
    table = show_settings(found, command("config --all"), show_all=show_all)
    preview = [MessageShown("assistant", _PREVIEW)] if sys.stdout.isatty() and not settings.plain else []
    values = {name: asdict(one) for name, one in found.items()}
    common.show_or_print_json(settings, values, *table, *preview, as_json=as_json)


@app.command()
def path() -> None:
    """Print the path of the config file, which need not exist."""
    print(paths.config_file())


def _offer_values(ctx: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """Return the values of the setting on the command line; where there is no list, fish gets files as others do."""
    return offer("config_values", ctx.params.get("key") or "")(incomplete) or offer_files(incomplete)


_KEY_HELP = "A setting, such as theme, or a part of one: aliases.fast."
_VALUE_HELP = "As in the environment variable: a list is JSON."
Key = Annotated[str, typer.Argument(metavar="KEY", help=_KEY_HELP, autocompletion=offer("config_keys"))]
Value = Annotated[str, typer.Argument(metavar="VALUE", help=_VALUE_HELP, autocompletion=_offer_values)]
WrittenKey = Annotated[
    str, typer.Argument(metavar="KEY", help="See `set`.", autocompletion=offer("written_config_keys"))
]


@app.command("set", context_settings={"ignore_unknown_options": True})
def set_(key: Key, value: Value) -> None:
    """Set KEY in the config file.

    Comments and other settings stay as they are.
    """
    entry, read = find_entry(key).read(value)
    _check_use(entry, read)
    entry.write(read)
    print(f"{sanitize_line(str(entry))} is {_shown(entry, read)} in {paths.config_file()}")
    _report_use(entry)


@app.command()
def unset(key: WrittenKey) -> None:
    """Remove KEY from the config file.

    Exit code 2 if it is not there.
    """
    entry = find_written(key)
    entry.remove()
    print(f"{sanitize_line(str(entry))} is no longer set in {paths.config_file()}")
    if entry.setting:
        _report_use(entry)


def _check_use(entry: Entry, value: Any) -> None:
    """Refuse a `value` that every later run would refuse."""
    try:
        settings = Settings.load()
    except ChatcliError:  # this may be what mends it
        settings = Settings()
    match entry.setting:
        case "model":
            resolve_model(value, settings)
        case "aliases":
            for name, model in value.items() if len(entry.path) == 1 else [(entry.path[1], value)]:
                check_alias(name)
                resolve_model(str(model), settings)
        case "role":
            find_role(value)
        case "store":
            choose_backend(settings.with_options({"store": value}))


def _shown(entry: Entry, value: Any) -> str:
    """Return `value` in a line; of a table only the names of models, since nobody knows which other value is a key."""
    if entry.is_table and entry.setting != "aliases":
        return "set"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return one_line(sanitize_line(redact(text, [])), _SHOWN_VALUE) or "empty"


def _report_use(entry: Entry) -> None:
    """Print on stderr what else sets `entry`, and what is still wrong in the file."""
    try:
        settings = Settings.load()
    except ChatcliError as error:
        tell(f"note: {error.message}")
        return
    source = settings.source(entry.setting)
    if source not in ("config file", DEFAULT):
        tell(f"note: {source} sets it too, and goes before the file")
    elif entry.setting == "model" and settings.outranks("base_url", "model"):
        tell(f"note: {settings.source('base_url')} names a server, whose model goes before it")


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
    Settings.load(common.options_of(ctx))
    tell(f"{file} is fine")


_SCHEMA_HELP = f"One of {', '.join(NAMES)}; by default all of them."
Schema = Annotated[str | None, typer.Argument(metavar="[NAME]", help=_SCHEMA_HELP, autocompletion=offer("schemas"))]


@app.command()
def schema(ctx: typer.Context, name: Schema = None) -> None:
    """Print the JSON Schema of what chat prints as JSON."""
    if name is not None and name not in NAMES:
        raise UsageError(f"there is no schema {name!r}", remedy=f"Schemas: {', '.join(NAMES)}.")
    shown = read_all() if name is None else read_schema(name)
    common.print_json(common.format_settings(common.options_of(ctx)), shown)
