"""Roles: what one is, how its file is read, and which ones exist.

The user's own roles, in the config folder, replace the shipped ones of the same name.
"""

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from string import Formatter
from typing import Any

from chatcli import paths
from chatcli.config.values import not_negative
from chatcli.errors import UsageError
from chatcli.runtime.parse import read_toml

SUFFIXES = (".toml", ".md")
_FRONT_MATTER = re.compile(r"\A\+\+\+\n(.*?)^\+\+\+\n?", re.DOTALL | re.MULTILINE)
_KNOWN_KEYS = frozenset({"description", "system", "variables", "model", "temperature"})
_BRACES = "write braces that are text as {{ and }}"
_RESERVED = "messages"
"""The name of the conversation in the prompt, which no variable may have."""
SHIPPED = Path(__file__).parent / "shipped"
MAX_NAME = 64
"""The longest name of a role, in characters."""


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
        """Return a value for each variable: those `given`, else the defaults.

        Raises:
            UsageError: A variable has no value, or `given` has one that the role does not know; the message names them.

        """
        unknown = sorted(set(given) - set(self.variables))
        if unknown:
            raise UsageError(
                f"the role {self.name} has no variable {', '.join(unknown)}",
                remedy=f"Its variables: {', '.join(self.variables) or 'none'}.",
            )
        values = {**self.defaults, **given}
        missing = [name for name in self.variables if name not in values]
        if missing:
            value = f"{missing[0]}=VALUE"
            raise UsageError(
                f"the role {self.name} needs a value for {', '.join(missing)}",
                remedy=f"Give it with -v {value}, or in a conversation: /role {self.name} {value}",
            )
        return {name: values[name] for name in self.variables}


def template_variables(template: str) -> tuple[str, ...]:
    """Return the names in braces in `template`, each once.

    Raises:
        ValueError: The braces do not match, or the text in them is not a plain name.

    """
    try:
        fields = [found[1:] for found in Formatter().parse(template) if found[1] is not None]
    except ValueError as error:
        raise ValueError(f"{error}; {_BRACES}") from None
    for name, form, conversion in fields:
        if not str(name).isidentifier() or name == _RESERVED or form or conversion:
            raise ValueError(f"{{{name}{'...' if form or conversion else ''}}} is not a variable; {_BRACES}")
    return tuple(dict.fromkeys(str(name) for name, _form, _conversion in fields))


def read_role(path: Path, *, shipped: bool = False) -> Role:
    """Read the role file at `path`: TOML, or Markdown that may begin with TOML between two lines of `+++`.

    Raises:
        UsageError: The file can't be read as a role.

    """
    try:
        text = path.read_text(encoding="utf-8-sig")  # some editors begin a file with a byte order mark
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
    for place in (SHIPPED, roles_folder()):
        if place.is_dir():
            found |= {path.stem.lower(): path for path in sorted(place.iterdir()) if path.suffix in SUFFIXES}
    return dict(sorted(found.items()))


def find_role(name: str) -> Role:
    """Return the role `name`; capitals do not matter.

    Raises:
        UsageError: There is no such role, or its file can't be used.

    """
    files = role_files()
    path = files.get(name.strip().lower())
    if path is None:
        near = difflib.get_close_matches(name.strip().lower(), files, n=1)
        hint = f"Did you mean {near[0]}? " if near else ""
        raise UsageError(f"there is no role {name!r}", remedy=f"{hint}See `chat roles list`.")
    return read_role(path, shipped=path.parent == SHIPPED)


def own_file(name: str) -> Path:
    """Return the user's own file for the role `name`, which may not exist yet.

    Raises:
        UsageError: The name is not valid as a file name.

    """
    plain = name.strip().lower()
    if not plain or len(plain) > MAX_NAME or not all(letter.isalnum() or letter in "-_" for letter in plain):
        raise UsageError(
            f"{name!r} is not a valid role name", remedy=f"Use letters, digits, - and _, at most {MAX_NAME} of them."
        )
    path = role_files().get(plain)
    return path if path is not None and path.parent != SHIPPED else roles_folder() / f"{plain}.toml"
