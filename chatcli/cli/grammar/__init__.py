"""The command line as Typer reads it: options, sub-commands and completion."""
