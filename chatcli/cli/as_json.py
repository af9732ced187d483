"""The option `--json` of sub-commands, and of the groups of them that list when they stand alone."""

from typing import Annotated

import typer

from chatcli.settings import Settings

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def choose_json(ctx: typer.Context, as_json: bool) -> None:
    """Let all that follows in the group of `ctx` print JSON, if its option says so: `chat models --json`."""
    if not as_json:
        return
    if isinstance(ctx.obj, Settings):
        ctx.obj = ctx.obj.with_options({"format": "json"})
    else:  # of `chat config`, the options that were given
        ctx.obj = {**(ctx.obj or {}), "format": "json"}
