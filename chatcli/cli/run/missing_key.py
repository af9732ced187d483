"""Asks the user at a terminal for a missing key."""

import sys

from chatcli.config.kept_keys import save_key
from chatcli.config.settings import Settings
from chatcli.models.names import ModelName
from chatcli.providers import PROVIDERS
from chatcli.runtime.signals import leave_signals_to_python


def ask_missing_key(settings: Settings, name: ModelName | None) -> None:
    """Ask for the key of the model `name` if it is missing and a user can be asked; offer to keep it.

    The key goes to `settings` only, not to the environment, which every child process would inherit.
    """
    if name is None:
        return
    provider = PROVIDERS[name.provider]
    if not settings.credentials.lacks_key(provider.prefix) or not (sys.stdin.isatty() and sys.stderr.isatty()):
        return
    from chatcli.cli.subcommands.keys import ask_key, report_place

    leave_signals_to_python()
    print(f"{name} needs a key, and {provider.key_variables[0]} is not set.", file=sys.stderr)
    key = ask_key(provider)
    if not key.get_secret_value():
        return  # the turn that needs it tells what to do
    settings.credentials.use_key(provider.prefix, key)
    print("Keep the key for the next time? [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() in ("y", "yes"):
        report_place(provider, save_key(provider.prefix, key))
