"""`chat keys`: the keys that chatcli keeps for providers."""

import getpass
import sys
from typing import Annotated

import typer

from chatcli.cli.grammar.completion import offer
from chatcli.cli.subcommands.output import AsJson, command_group, settings_of, show_or_print_json
from chatcli.config.credentials import describe_storage, forget_key, kept_keys, save_key
from chatcli.config.providers import OTHER_NAMES, PROVIDERS, Provider
from chatcli.config.secrets import Secret
from chatcli.errors import UsageError
from chatcli.events import Listing
from chatcli.text import tell

_ABOUT = "Keep the keys of providers in the system keyring or, if there is none, in a file that only you can read."
app = command_group(_ABOUT)

_HELP = "The provider's prefix, e.g. openai or anthropic."
Name = Annotated[str, typer.Argument(metavar="PROVIDER", help=_HELP, autocompletion=offer("providers"))]
KeptName = Annotated[str, typer.Argument(metavar="PROVIDER", help=_HELP, autocompletion=offer("kept_keys"))]


@app.command("set", context_settings={"allow_extra_args": True})
def set_(ctx: typer.Context, name: Name) -> None:
    """Keep a key.

    On a terminal it is asked for without echo; else it is read from standard input. It is never an argument.
    """
    provider = _provider(name)
    if ctx.args:  # the message must not repeat them
        problem = "a key is no argument: the shell history and the list of processes would show it"
        raise UsageError(problem, remedy=f"Type `chat keys set {provider.prefix}` alone; it asks for the key.")
    key = ask_key(provider) if sys.stdin.isatty() else Secret(sys.stdin.readline().strip())
    check_key(key)
    keep_key(provider, key)


@app.command("list")
def list_(ctx: typer.Context, as_json: AsJson = False) -> None:
    """List which providers have a key, and where it is."""
    settings = settings_of(ctx)
    kept = kept_keys()
    rows = []
    for provider in PROVIDERS.values():
        if settings.credentials.sets_key(provider.prefix):
            rows.append((provider.prefix, "environment or .env"))
        elif provider.prefix in kept:
            rows.append((provider.prefix, describe_storage(kept[provider.prefix])))
    found = [{"provider": prefix, "place": place} for prefix, place in rows]
    show_or_print_json(settings, found, Listing("Keys", ("provider", "place"), tuple(rows)), as_json=as_json)


@app.command()
def delete(name: KeptName) -> None:
    """Delete a kept key."""
    provider = _provider(name)
    if not forget_key(provider.prefix):
        raise UsageError(f"no key of {provider.title} is kept", remedy="See `chat keys list`.")
    print(f"the key of {provider.title} is deleted")


def ask_key(provider: Provider) -> Secret:
    """Ask on the terminal for a key of `provider`, without echo; empty when the user gives none."""
    return Secret(getpass.getpass(f"Key for {provider.title}: ").strip())


def check_key(key: Secret) -> None:
    """Refuse a `key` that can't be one."""
    if not key.get_secret_value():
        raise UsageError("the key is empty: nothing was kept")
    if not key.is_sendable():
        raise UsageError("the key has characters that no key has: nothing was kept")


def keep_key(provider: Provider, key: Secret) -> None:
    """Keep `key`, and print where."""
    tell(f"the key of {provider.title} is kept in {save_key(provider.prefix, key)}")


def _provider(name: str) -> Provider:
    prefix = OTHER_NAMES.get(name.lower(), name.lower())
    provider = PROVIDERS.get(prefix)
    if provider is None:
        raise UsageError(f"unknown provider {name!r}", remedy=f"Known: {', '.join(PROVIDERS)}.")
    if provider.keyless:
        raise UsageError(f"{provider.title} takes no key", remedy="See `chat help providers`.")
    return provider
