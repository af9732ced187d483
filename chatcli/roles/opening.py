"""How a thread is answered when it is opened: what it has stored, and what the user asks for."""

from chatcli.errors import UsageError
from chatcli.models.names import ModelName, choose_model, resolve_model
from chatcli.roles.library import find_role
from chatcli.roles.setup import Setup
from chatcli.settings import Settings


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


def opening_model(settings: Settings, setup: Setup) -> ModelName:
    """Return the model to begin with: an option's, else the thread's or the role's, else what `choose_model` says.

    Raises:
        UsageError: The name's provider is not known.

    """
    if setup.model and not settings.is_option("model") and not settings.is_option("base_url"):
        return resolve_model(setup.model, settings)
    return choose_model(settings)


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
