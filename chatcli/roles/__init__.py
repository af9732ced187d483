"""Roles: named system prompt templates with variables, and the setup that a thread keeps of one.

The user's own roles, in the config folder, replace the shipped ones of the same name. The setup is the system prompt,
role and model in the state of a thread, so that a resumed thread has them.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from string import Formatter
from typing import Any, Self

from chatcli import paths
from chatcli.config.providers import PROVIDERS
from chatcli.config.settings import Settings
from chatcli.config.values import not_negative
from chatcli.errors import UsageError
from chatcli.models.names import ModelName, choose_model, resolve_model
from chatcli.runtime.files import read_file
from chatcli.runtime.parse import read_toml
from chatcli.text import did_you_mean

SUFFIXES = (".toml", ".md")
_FRONT_MATTER = re.compile(r"\A\+\+\+\n(.*?)^\+\+\+\n?", re.DOTALL | re.MULTILINE)
_KNOWN_KEYS = frozenset({"description", "system", "variables", "model", "temperature"})
_BRACES = "write braces that are text as {{ and }}"
_CONVERSATION = "messages"
"""The variable of a template for the conversation, so that no variable of a role can have its name."""
SHIPPED = Path(__file__).parent / "shipped"
MAX_NAME = 64


@dataclass(frozen=True, slots=True)
class Role:
    """A system prompt template: `{name}` stands for a variable, `{{` and `}}` for braces.

    `defaults` has a value for each optional variable; `model` and `temperature` apply when the user chose none.
    """

    name: str
    template: str
    description: str = ""
    defaults: Mapping[str, str] = field(default_factory=dict)
    model: str | None = None
    temperature: float | None = None
    path: Path = Path()
    shipped: bool = False

    @property
    def variables(self) -> tuple[str, ...]:
        """The variables of the template, in the order of their first use."""
        return template_variables(self.template)

    def fill(self, given: Mapping[str, str]) -> dict[str, str]:
        """Return a value for each variable: those `given`, else the defaults."""
        unknown = sorted(set(given) - set(self.variables))
        if unknown:
            remedy = f"Its variables: {', '.join(self.variables) or 'none'}."
            raise UsageError(f"the role {self.name} has no variable {', '.join(unknown)}", remedy=remedy)
        values = {**self.defaults, **given}
        missing = [name for name in self.variables if name not in values]
        if missing:
            value = f"{missing[0]}=VALUE"
            remedy = f"Give it with -v {value}, or in a conversation: /role {self.name} {value}"
            raise UsageError(f"the role {self.name} needs a value for {', '.join(missing)}", remedy=remedy)
        return {name: values[name] for name in self.variables}


def template_variables(template: str) -> tuple[str, ...]:
    """Return the names in braces in `template`, each once. Raises `ValueError` for other text in braces."""
    try:
        fields = [found[1:] for found in Formatter().parse(template) if found[1] is not None]
    except ValueError as error:
        raise ValueError(f"{error}; {_BRACES}") from None
    for name, form, conversion in fields:
        if not str(name).isidentifier() or name == _CONVERSATION or form or conversion:
            raise ValueError(f"{{{name}{'...' if form or conversion else ''}}} is not a variable; {_BRACES}")
    return tuple(dict.fromkeys(str(name) for name, _form, _conversion in fields))


def read_role(path: Path, *, shipped: bool = False) -> Role:
    """Read the role file at `path`: TOML, or Markdown that may begin with TOML between two lines of `+++`."""
    try:
        # Some editors begin a file with a byte order mark.
        text = read_file(path).decode("utf-8-sig").replace("\r\n", "\n")
        data, template = _split(text) if path.suffix == ".md" else (read_toml(text), None)
        return _role(path, data, template, shipped=shipped)
    except (OSError, ValueError) as error:  # a TOML error is a ValueError
        raise UsageError(f"the role file {path} can't be used: {error}", remedy="See `chat roles --help`.") from None


def _split(text: str) -> tuple[dict[str, Any], str]:
    found = _FRONT_MATTER.match(text)
    if found is None:
        if text.startswith("+++\n"):
            raise ValueError("the keys before its text have no end: a second line of +++ is missing")
        return {}, text.strip()
    return read_toml(found[1]), text[found.end() :].strip()


def _role(path: Path, data: dict[str, Any], template: str | None, *, shipped: bool) -> Role:
    unknown = sorted(set(data) - _KNOWN_KEYS)
    if unknown:
        raise ValueError(f"unknown key {unknown[0]}; known: {', '.join(sorted(_KNOWN_KEYS))}")
    system = template or data.get("system")
    if not isinstance(system, str) or not system.strip():
        raise ValueError("it has no system prompt: the key `system`, or the text of a Markdown file")
    variables = data.get("variables", {})
    if not isinstance(variables, dict):
        raise ValueError("`variables` must be a table of names and their defaults")
    defaults = {name: str(value) for name, value in variables.items()}
    unused = sorted(set(defaults) - set(template_variables(system)))
    if unused:
        raise ValueError(f"the variable {unused[0]} has a default, but is not used in the text")
    model, temperature = data.get("model"), data.get("temperature")
    if not isinstance(model, str | None) or type(temperature) not in (float, int, type(None)):
        raise ValueError("`model` must be a string and `temperature` a number")
    if temperature is not None:
        not_negative(temperature)
    return Role(path.stem, system, str(data.get("description", "")), defaults, model, temperature, path, shipped)


def roles_folder() -> Path:
    """Return the folder of the user's own role files."""
    return paths.config_dir() / "roles"


def role_files() -> dict[str, Path]:
    """Return the file of each role, by its name in lower case, sorted by name, without reading them."""
    found: dict[str, Path] = {}
    for folder in (SHIPPED, roles_folder()):
        if folder.is_dir():
            found |= {path.stem.lower(): path for path in sorted(folder.iterdir()) if path.suffix in SUFFIXES}
    return dict(sorted(found.items()))


def find_role(name: str) -> Role:
    """Return the role `name`; capitals do not matter."""
    files = role_files()
    path = files.get(name.strip().lower())
    if path is None:
        hint = did_you_mean(name.strip().lower(), files)
        raise UsageError(f"there is no role {name!r}", remedy=f"{hint}See `chat roles list`.")
    return read_role(path, shipped=path.parent == SHIPPED)


def own_file(name: str) -> Path:
    """Return the user's own file for the role `name`, which may not exist yet."""
    plain = name.strip().lower()
    if not plain or len(plain) > MAX_NAME or not all(letter.isalnum() or letter in "-_" for letter in plain):
        remedy = f"Use letters, digits, - and _, at most {MAX_NAME} of them."
        raise UsageError(f"{name!r} is not a valid role name", remedy=remedy)
    path = role_files().get(plain)
    return path if path is not None and path.parent != SHIPPED else roles_folder() / f"{plain}.toml"


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
        """Return this setup with `role`, the variables `given`, and the role's temperature and model."""
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
        """Return this setup with other values of its role's variables."""
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
