"""A listing as a table on a terminal."""

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from chatcli.events import Listing
from chatcli.sanitize import sanitize_line


def listing_table(listing: Listing) -> Table:
    """Return `listing` as a table as wide as it must be; what stands in brackets is no markup."""
    title = Text(sanitize_line(listing.title), style="bold") if listing.title else None
    table = Table(box=SIMPLE_HEAD, title=title, title_justify="left", pad_edge=False)
    for column in listing.columns:
        table.add_column(Text(sanitize_line(column)), overflow="fold")
    for row in listing.rows:
        table.add_row(*(Text(sanitize_line(cell)) for cell in row))
    return table
