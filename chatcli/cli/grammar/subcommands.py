"""The sub-commands of `chat`: listed here, and imported only when they are used."""

from importlib import import_module
from typing import Any

from typer.core import TyperCommand
from typer.main import get_command


class Subcommand(TyperCommand):
    """A sub-command whose Typer app, `app` in its own module, is imported when it is used.

    Args:
        name: What the user types.
        module: The module, imported once the command line names this command.
        help: The line that `chat --help` and a shell's completion show; the module has the rest.

    """

    def __init__(self, name: str, module: str, help: str) -> None:  # noqa: A002 - the name that Typer gives it
        super().__init__(name, help=help, rich_markup_mode=None)
        self.module = module

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """Read `args` as the real command does, and return its context."""
        return get_command(import_module(self.module).app).make_context(info_name, args, parent, **extra)


SUBCOMMANDS = (
    Subcommand("threads", "chatcli.cli.subcommands.threads", "List, show, search, change, export and import threads."),
    Subcommand("models", "chatcli.cli.subcommands.models", "List models, and choose the default."),
    Subcommand("roles", "chatcli.cli.subcommands.roles", "Named system prompts with variables."),
    Subcommand(
        "keys", "chatcli.cli.subcommands.keys", "Keep the keys of providers: in the system keyring, or a private file."
    ),
    Subcommand("config", "chatcli.cli.subcommands.config", "Show and edit settings; print JSON Schemas."),
    Subcommand("trust", "chatcli.cli.subcommands.trust", "Trust the files of a folder, or list what is trusted."),
    Subcommand("doctor", "chatcli.cli.subcommands.doctor", "Check what is installed, configured and reachable."),
    Subcommand("help", "chatcli.cli.subcommands.help", "Show a page of the manual, or list its topics."),
)
