"""The setup of a thread: the system prompt, role and model that its state keeps, so that a resumed thread has them."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Self

from chatcli.config.settings import Settings
from chatcli.errors import UsageError
from chatcli.models.names import ModelName, choose_model, resolve_model
from chatcli.providers import PROVIDERS
from chatcli.roles.role import Role, find_role


@dataclass(frozen=True, slots=True)
class Setup:
    """A thread's system prompt, as a text or as a role with its variables, and its model.

    It holds the role's template itself, so that a thread does not change when the role's file does.
    """

    system: str = ""
    role: str = ""
    template: str = ""
    variables: Mapping[str, str] = field(default_factory=dict)
    temperature: float | None = None
    model: str = ""
    base_url: str = ""
    """The server of the model, empty for its provider's own."""

    def with_system(self, text: str) -> Self:
        """Return this setup with the system prompt `text` in place of a role or another text."""
        return replace(self, system=text, role="", template="", variables={}, temperature=None)

    def with_role(self, role: Role, given: Mapping[str, str]) -> Self:
        """Return this setup with `role`, the variables `given`, and the temperature and model that the role asks for.

        Raises:
            UsageError: A variable is missing or unknown.

        """
        return replace(
            self,
            system="",
            role=role.name,
            template=role.template,
            variables=role.fill(given),
            temperature=role.temperature,
            model=role.model or self.model,
            base_url="" if role.model else self.base_url,
        )

    def with_variables(self, given: Mapping[str, str]) -> Self:
        """Return this setup with other values of its role's variables.

        Raises:
            UsageError: There is no role, or it has no such variable.

        """
        if not self.role:
            raise UsageError("variables belong to a role, and this thread has none", remedy="Choose one: /role NAME")
        kept = Role(self.role, self.template, defaults=self.variables)
        return replace(self, variables=kept.fill(given))

    def with_model(self, name: str, base_url: str) -> Self:
        """Return this setup with the model `name` at `base_url`, empty for the provider's own server."""
        return replace(self, model=name, base_url=base_url)


def opening_setup(settings: Settings, stored: Setup | None, *, first: bool) -> Setup:
    """Return the setup of a thread that has `stored`, None for a new one.

    Options of the command line change the thread with which the program starts (`first`); the environment and the
    config file apply to new threads only.

    Raises:
        UsageError: There is no such role, or a variable is missing or unknown.

    """
    if stored is None or (first and (settings.is_option("role") or settings.is_option("system"))):
        return _chosen(settings, stored or Setup())
    if first and settings.is_option("var"):
        return stored.with_variables(settings.var)
    return stored


def opening_model(settings: Settings, setup: Setup, *, first: bool = True) -> ModelName:
    """Return the model to begin with: that of an option, of the thread, of the role, or else of `choose_model`.

    Options apply to the thread with which the program starts (`first`). A server that an option names is used with the
    thread's model only if the thread remembers the same server.

    Raises:
        UsageError: The provider of the name is unknown.

    """
    if first and settings.is_option("model"):
        return switched_model(settings.model or "", settings, setup, first=first)
    elsewhere = first and settings.is_option("base_url") and settings.base_url != setup.base_url
    if not setup.model or elsewhere:
        return choose_model(settings)
    return replace(resolve_model(setup.model, settings), base_url=_remembered_url(settings, setup, first=first))


def switched_model(text: str, settings: Settings, setup: Setup, *, first: bool) -> ModelName:
    """Return the model that the user names by `text` on a thread with the setup `setup`.

    The server that the thread remembers belongs to its model; a name without a provider is looked up there.

    Raises:
        UsageError: The provider of the name is unknown.

    """
    if url := _remembered_url(settings, setup, first=first):
        there = resolve_model(text, replace(settings, base_url=url))
        named = settings.aliases.get(text.strip(), text).strip().startswith(f"{there.provider}:")
        if str(there) == setup.model or (setup.model.startswith(f"{there.provider}:") and not named):
            return replace(there, base_url=url)
    return resolve_model(text, settings)


def _remembered_url(settings: Settings, setup: Setup, *, first: bool) -> str:
    """Return the server that the thread remembers for its model, empty if it remembers none or a setting names one."""
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
