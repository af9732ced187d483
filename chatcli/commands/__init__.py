"""The slash commands of the REPL; importing `chatcli.commands.all` registers them."""
