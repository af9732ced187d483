"""What sub-commands print as JSON: by their option `--json`, or by `chat --format json` or `jsonl`."""

import json
from typing import Annotated, Any

import typer

from chatcli.config.settings import Settings

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


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
