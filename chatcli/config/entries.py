"""One entry of config.toml, named as a setting (`theme`) or as a part of its table (`aliases.fast`)."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from chatcli import paths
from chatcli.config.credentials import SERVER_KEY_VARIABLES
from chatcli.config.files import read_config_file, remove_value, set_value
from chatcli.config.providers import KEY_VARIABLES, OPENAI
from chatcli.config.secrets import Secret
from chatcli.config.settings import Settings, read_fields, user_name
from chatcli.config.values import TypedText, is_a, read_value
from chatcli.errors import UsageError, usage_errors
from chatcli.runtime.program import command, current_program
from chatcli.text import did_you_mean

_KINDS = {one.name: one.type for one in fields(Settings)}


@dataclass(frozen=True, slots=True)
class Entry:
    """A key of config.toml."""

    setting: str
    """The field of `Settings` that it belongs to; empty for a key that chatcli does not know."""
    path: tuple[str, ...]
    """Its name in the file, after those of the tables that it is in."""

    def __str__(self) -> str:
        return ".".join(self.path)

    @property
    def kind(self) -> Any:
        """The annotation of the field."""
        return _KINDS[self.setting]

    @property
    def is_table(self) -> bool:
        """Whether the setting has entries by name."""
        return is_a(dict, self.kind)

    def read(self, text: str) -> "tuple[Entry, Any]":
        """Return the entry that `text`, in the form of the environment variable, sets, and its value in TOML.

        `KEY=VALUE` for a whole table is one entry of it: the others stay.
        """
        entry = self
        if self.is_table and len(self.path) == 1 and not text.lstrip().startswith("{"):
            name, equals, value = text.partition("=")
            if not equals or not name.strip():
                remedy = f"Set one: `{command('config set')} {self}.NAME VALUE`."
                raise UsageError(f"{self} is a table, and {text!r} is no entry of it", remedy=remedy)
            entry, text = find_entry(f"{self}.{name.strip()}"), value
        with usage_errors(f"{entry}: ", remedy=f"See `{command('help settings')}`."):
            return entry, _plain(entry._value(text))

    def _value(self, text: str) -> Any:
        if self.kind == dict[str, str] and len(self.path) > 1:
            return text
        if len(self.path) > 1:
            return TypedText(text).readings()[0]
        return read_value(dict, text) if self.is_table else read_fields({self.setting: text})[self.setting]

    def write(self, value: Any) -> None:
        """Write `value` to config.toml."""
        set_value(self.path, value, self._check)

    def remove(self) -> None:
        """Remove the entry from config.toml."""
        found: Any = read_config_file()
        for name in self.path:
            if not isinstance(found, Mapping) or name not in found:
                raise UsageError(f"{self} is not set in {paths.config_file()}", remedy="Nothing was changed.")
            found = found[name]
        remove_value(self.path, self._check if len(self.path) > 1 else None)

    def _check(self, content: Mapping[str, Any]) -> None:
        """Refuse the `content` of config.toml if the setting can't be read from it."""
        if self.path[0] in content:
            read_fields({self.setting: content[self.path[0]]})


def known_keys() -> dict[str, str]:
    """Return the keys that config.toml may have, each with its field of `Settings`, without those for secrets."""
    program = current_program()
    absent = program.without | program.not_from_user
    return {user_name(name): name for name in Settings.names() if name not in absent and not is_a(Secret, _KINDS[name])}


def find_entry(name: str) -> Entry:
    """Return the entry that a user names: `theme`, `aliases.fast`, `mcp.files.command`."""
    key, dot, rest = name.partition(".")
    known = known_keys()
    if key not in known:
        raise _unknown(key, known)
    entry = Entry(known[key], (key, *_split(key, rest))) if dot else Entry(known[key], (key,))
    if not all(map(str.strip, entry.path)) or (dot and not entry.is_table):
        raise UsageError(f"{key} has no entry {rest!r}", remedy=f"See `{command('help settings')}`.")
    return entry


def find_written(name: str) -> Entry:
    """Return the entry that a user names, also one of config.toml that should not be there. Raises as `find_entry`."""
    try:
        return find_entry(name)
    except UsageError:
        if name in read_config_file():
            return Entry("", (name,))
        raise


def written_keys() -> Iterator[str]:
    """Yield the names of the entries of config.toml."""
    for key, value in read_config_file().items():
        yield key
        if isinstance(value, dict):
            yield from (f"{key}.{name}" for name in value)


def _split(key: str, rest: str) -> tuple[str, ...]:
    """Return the names that `rest` joins by dots: those of aliases and variables may have dots themselves."""
    if key == "mcp":
        return tuple(rest.split(".", 2))
    if key == "tweak":
        component, _, field = rest.rpartition(".")
        return (component, field) if component else (field,)
    return (rest,)


def _unknown(key: str, known: Mapping[str, str]) -> UsageError:
    """Return the error for a `key` that can't be set: it is misspelt, or that of a provider."""
    provider = OPENAI if key.lower() == "openai_api_key" else KEY_VARIABLES.get(key.upper())
    if provider:
        return UsageError("config.toml holds no keys", remedy=f"Keep it: `{command('keys set', provider)}`.")
    if key.upper() in SERVER_KEY_VARIABLES or key == "langgraph_api_key":
        return UsageError("config.toml holds no keys", remedy=f"Export it as {SERVER_KEY_VARIABLES[0]}.")
    meant = key.lower().removeprefix("chatcli_").lstrip("-").replace("-", "_")
    remedy = f"{did_you_mean(meant, known)}See `{command('help settings')}`."
    return UsageError(f"there is no setting {key!r}", remedy=remedy)


def _plain(value: Any) -> Any:
    """Return `value` as TOML can hold it. Raises `ValueError` if it can't."""
    match value:
        case str() | Path():
            try:
                str(value).encode()
            except UnicodeEncodeError:
                raise ValueError("it is not UTF-8 text") from None
            return str(value)
        case bool() | int() | float():
            return value
        case list() | tuple():
            return [_plain(part) for part in value]
        case dict():
            return {_plain(name): _plain(part) for name, part in value.items()}
        case _:
            raise ValueError("config.toml can't hold null")
