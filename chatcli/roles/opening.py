"""How a thread is answered when it is opened: what it has stored, and what the user asks for."""

from dataclasses import replace

from chatcli.config.settings import Settings
from chatcli.errors import UsageError
from chatcli.models.names import ModelName, choose_model, resolve_model
from chatcli.providers import PROVIDERS
from chatcli.roles.library import find_role
from chatcli.roles.setup import Setup


def opening_setup(settings: Settings, stored: Setup | None, *, first: bool) -> Setup:
    """Return the setup of a thread that has `stored`, None for a new one.

    The command line's own options change the thread that the program begins on (`first`); what the environment and
    the config file say is for new threads only.

    Raises:
        UsageError: There is no such role, or a variable is missing or unknown.

    """
    if stored is None or (first and (settings.is_option("role") or settings.is_option("system"))):
        return _chosen(settings, stored or Setup())
    if first and settings.is_option("var"):
        return stored.with_variables(settings.var)
    return stored


def opening_model(settings: Settings, setup: Setup, *, first: bool = True) -> ModelName:
    """Return the model to begin with: an option's, else the thread's or the role's, else what `choose_model` says.

    Options are for the thread that the program begins on (`first`). A server that an option names is asked for the
    thread's model only where that thread remembers the same server.

    Raises:
        UsageError: The name's provider is not known.

    """
    if first and settings.is_option("model"):
        return switched_model(settings.model or "", settings, setup, first=first)
    elsewhere = first and settings.is_option("base_url") and settings.base_url != setup.base_url
    if not setup.model or elsewhere:
        return choose_model(settings)
    return replace(resolve_model(setup.model, settings), base_url=_remembered_url(settings, setup, first=first))


def switched_model(text: str, settings: Settings, setup: Setup, *, first: bool) -> ModelName:
    """Return the model that the user names by `text` on a thread that is answered as `setup` says.

    The server that the thread remembers belongs to its model; a name without a provider is one of that server's too.

    Raises:
        UsageError: The name's provider is not known.

    """
    if url := _remembered_url(settings, setup, first=first):
        there = resolve_model(text, replace(settings, base_url=url))
        named = settings.aliases.get(text.strip(), text).strip().startswith(f"{there.provider}:")
        if str(there) == setup.model or (setup.model.startswith(f"{there.provider}:") and not named):
            return replace(there, base_url=url)
    return resolve_model(text, settings)


def _remembered_url(settings: Settings, setup: Setup, *, first: bool) -> str:
    """Return the server that the thread remembers for its model, empty for none, or where a setting names one."""
    provider = setup.model.partition(":")[0]
    if provider not in PROVIDERS or (settings.is_option("base_url") and not first):
        return setup.base_url
    return "" if settings.credentials.server_url(provider) else setup.base_url


def _chosen(settings: Settings, setup: Setup) -> Setup:
    only_system = settings.is_option("system") and not settings.is_option("role")
    if settings.role and not only_system:
        role = find_role(settings.role)
        by_option = settings.is_option("var")
        given = {name: value for name, value in settings.var.items() if by_option or name in role.variables}
        return setup.with_role(role, given)
    if settings.is_option("var"):
        raise UsageError("variables belong to a role, and none is chosen", remedy="Choose one with --role NAME.")
    return setup if settings.system is None else setup.with_system(settings.system)
