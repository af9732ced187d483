"""`chat threads`: the stored conversations."""

from chatcli.cli.subcommands.output import command_group
from chatcli.cli.subcommands.threads import change, look, transfer

app = command_group("List, show, search, change, export and import threads.")
app.command("list")(look.list_)
app.command()(look.show)
app.command()(look.search)
app.command()(change.rename)
app.command()(change.delete)
app.command()(change.fork)
app.command()(change.prune)
app.command()(transfer.export)
app.command("import")(transfer.import_)
