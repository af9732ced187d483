"""`chat threads`: the stored conversations."""

import typer

from chatcli.cli.subcommands.output import AsJson, choose_json
from chatcli.cli.subcommands.threads import change, look, transfer

app = typer.Typer(
    help="List, show, search, change, export and import threads.",
    invoke_without_command=True,
    rich_markup_mode=None,
    add_completion=False,
)
app.command("list")(look.list_)
app.command()(look.show)
app.command()(look.search)
app.command()(change.rename)
app.command()(change.delete)
app.command()(change.fork)
app.command()(change.prune)
app.command()(transfer.export)
app.command("import")(transfer.import_)


@app.callback()
def threads(ctx: typer.Context, as_json: AsJson = False) -> None:
    """List the threads unless a sub-command follows."""
    choose_json(ctx, as_json)
    if ctx.invoked_subcommand is None:
        look.list_(ctx)
