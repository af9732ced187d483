"""`chat usage`: what the stored threads used and cost, by model."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from chatcli.cli.app import Store, Url
from chatcli.cli.subcommands.output import AsJson, read_age, settings_of, show_or_print_json
from chatcli.conversation.backend import choose_backend
from chatcli.events import Notice
from chatcli.models.prices import cost_listing, spent, spent_by, table_name
from chatcli.store.usage import without_copies

app = typer.Typer(rich_markup_mode=None, add_completion=False)

_SINCE_HELP = "Only what was asked within this time: 12h, 30d, 8w, 1y."
Since = Annotated[str | None, typer.Option("--since", metavar="AGE", help=_SINCE_HELP)]


@app.command()
def usage(
    ctx: typer.Context, since: Since = None, as_json: AsJson = False, store: Store = None, url: Url = None
) -> None:
    """Sum the turns, tokens and costs of the stored threads, by model."""
    settings = settings_of(ctx, store, url)
    begin = None if since is None else datetime.now(UTC) - read_age(since, "--since")
    found = list(without_copies(choose_backend(settings).threads().usage()))
    if begin is not None:
        found = [answer for answer in found if answer.at >= begin.timestamp()]
    value = {
        "since": None if begin is None else begin.isoformat(timespec="seconds"),
        "prices": table_name(),
        "models": [{"model": model, **each.as_json()} for model, each in spent_by("model", found).items()],
        "total": spent(found).as_json(),
    }
    events = (cost_listing("Usage", found), Notice(f"prices: {table_name()}"))
    show_or_print_json(settings, value, *events, as_json=as_json)
