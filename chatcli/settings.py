"""What the user chose: option > environment > .env > config file > default.

Every option of `chat` is a field here; its environment variable is `CHATCLI_` and the field's name in capitals, its
config-file key is the field's name. `.env.example` lists them all.
"""

import json
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args
from urllib.parse import unquote

from dotenv import dotenv_values
from pydantic import (
    AfterValidator,
    AliasChoices,
    AllowInfNan,
    BeforeValidator,
    Field,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    PrivateAttr,
    SecretStr,
    ValidationError,
)
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    InitSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from chatcli import paths
from chatcli.errors import UsageError
from chatcli.keys import kept_keys, read_key
from chatcli.providers import OPENAI, PROVIDERS

Format = Literal["text", "markdown", "json", "jsonl"]
ColorMode = Literal["auto", "always", "never"]
ThemeName = Literal["auto", "dark", "light", "mono"]
THEMES = get_args(ThemeName)
EditingMode = Literal["emacs", "vi"]

SERVER_KEY_VARIABLES = ("CHATCLI_LANGGRAPH_API_KEY", "LANGGRAPH_API_KEY", "LANGSMITH_API_KEY")
"""The variables of a LangGraph server's key, the first that is set before the others."""
MAX_THREAD_ID = 200
"""The longest thread ID, in characters."""


def check_thread_id(thread_id: str) -> str:
    """Return `thread_id` when it is 1 to 200 printable characters; raise ValueError otherwise."""
    if not 1 <= len(thread_id) <= MAX_THREAD_ID:
        raise ValueError(f"a thread ID has 1 to {MAX_THREAD_ID} characters, not {len(thread_id)}")
    if not thread_id.isprintable():
        raise ValueError("a thread ID has printable characters only")
    return thread_id


def _check_url(url: str) -> str:
    if not url.startswith(("http://", "https://")):
        raise ValueError("a URL starts with http:// or https://")
    return url.rstrip("/")


def _is_accessible() -> bool:
    """Tell whether ACCESSIBLE asks every program for plain text, as people who use a screen reader set it."""
    return os.environ.get("ACCESSIBLE", "").lower() not in ("", "0", "false", "no", "off")


def parse_variable(text: str) -> tuple[str, str]:
    """Read `KEY=VALUE`; the value may be empty, or stand in quotes.

    Raises:
        ValueError: There is no `=`, or nothing before it.

    """
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise ValueError(f"{text!r} is no KEY=VALUE")
    value = value.strip()
    if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"":
        value = value[1:-1]
    return name.strip(), value


def _read_variables(value: object) -> object:
    """Read a list of `KEY=VALUE`, as the command line gives it."""
    return dict(map(parse_variable, value)) if isinstance(value, list | tuple) else value


def _as_list(value: object) -> object:
    """Read the environment's text: a JSON list, or one name."""
    if not isinstance(value, str):
        return value
    return json.loads(value) if value.startswith("[") else (value,)


class Settings(BaseSettings):
    """The settings of one run, frozen; keys are `SecretStr`, so that no repr or log shows them."""

    model_config = SettingsConfigDict(
        env_prefix="CHATCLI_",
        env_file=".env",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        populate_by_name=True,
    )

    thread: Annotated[str, AfterValidator(check_thread_id)] | None = None
    no_save: bool = False
    model: str | None = None
    aliases: dict[str, str] = Field(default_factory=dict)
    base_url: Annotated[str, AfterValidator(_check_url)] | None = None
    openai_base_url: Annotated[str, AfterValidator(_check_url)] | None = Field(
        default=None, validation_alias=AliasChoices("CHATCLI_OPENAI_BASE_URL", "OPENAI_BASE_URL")
    )
    system: str | None = None
    role: str | None = None
    var: Annotated[dict[str, str], BeforeValidator(_read_variables)] = Field(default_factory=dict)
    temperature: Annotated[NonNegativeFloat, AllowInfNan(False)] | None = None
    max_tokens: PositiveInt | None = None
    context_tokens: PositiveInt | None = None
    auto_compact: bool = False
    format: Format | None = None
    # Hidden, since a PostgreSQL URI may hold a password.
    store: str | None = Field(default=None, repr=False)
    # A LangGraph server; hidden, since a URL may hold a password too.
    url: Annotated[str, AfterValidator(_check_url)] | None = Field(default=None, repr=False)
    assistant: str | None = None
    langgraph_api_key: SecretStr | None = Field(default=None, validation_alias=AliasChoices(*SERVER_KEY_VARIABLES))
    quiet: bool = False
    color: ColorMode = "auto"
    theme: ThemeName = "auto"
    editing_mode: EditingMode = "emacs"
    plain: bool = Field(default_factory=_is_accessible)
    file: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_as_list)] = ()
    allow_private_urls: bool = False
    script: str | None = None
    schema_file: Path | None = Field(default=None, validation_alias="CHATCLI_SCHEMA")
    timeout: Annotated[PositiveFloat, AllowInfNan(False)] | None = None
    debug: bool = False
    local_model: Path | None = None
    openai_api_key: SecretStr | None = Field(
        default=None, validation_alias=AliasChoices("CHATCLI_OPENAI_API_KEY", "OPENAI_API_KEY")
    )

    _given: frozenset[str] = PrivateAttr(default=frozenset())
    _dotenv: dict[str, str] = PrivateAttr(default_factory=dict)
    _secrets: dict[str, SecretStr] = PrivateAttr(default_factory=dict)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Put the sources in the documented order of precedence."""
        if paths.config_file().is_dir():
            raise UsageError(f"{paths.config_file()} is a folder", remedy="It should be a file.")
        written = TomlConfigSettingsSource(settings_cls, paths.config_file()).toml_data
        fields = {user_name(name): name for name in settings_cls.model_fields}
        _refuse_unknown_keys(fields, written)
        config_file = InitSettingsSource(settings_cls, {fields[key]: value for key, value in written.items()})
        return init_settings, env_settings, dotenv_settings, config_file

    @classmethod
    def load(cls, options: dict[str, Any] | None = None) -> Self:
        """Read every source; `options` are the command line's, where None means not given.

        Raises:
            UsageError: A value is impossible, or the config file can't be read.

        """
        given = {name: value for name, value in (options or {}).items() if value is not None}
        try:
            settings = cls(**given)
            settings._dotenv = {name: value for name, value in dotenv_values(".env").items() if value}
        except ValidationError as error:
            raise UsageError(_first_problem(error), remedy="See `chat --help`.") from None
        except (OSError, ValueError) as error:
            raise UsageError(f"the settings in {paths.config_file()} or .env can't be read: {error}") from None
        settings._given = frozenset(given)
        return settings

    def with_options(self, options: dict[str, Any]) -> Self:
        """Return these settings with the options of a sub-command on top, where None means not given.

        Raises:
            UsageError: See `load`.

        """
        given = {name: value for name, value in options.items() if value is not None}
        return self.load({name: getattr(self, name) for name in self._given} | given) if given else self

    def is_option(self, name: str) -> bool:
        """Tell whether the command line itself sets the field `name`."""
        return name in self._given

    @property
    def openai_endpoint(self) -> str | None:
        """The base URL of the OpenAI-compatible server that the user named, if any."""
        return self.base_url or self.openai_base_url

    def has_key(self, provider: str) -> bool:
        """Tell whether there is a key for `provider`; a keyring is not asked for it."""
        return self.sets_key(provider) or provider in self._secrets or provider in kept_keys()

    def lacks_key(self, provider: str) -> bool:
        """Tell whether `provider` needs a key that is nowhere; a server of the user's own may do without."""
        own_server = self.base_url or (self.openai_endpoint and provider == OPENAI)
        return not (PROVIDERS[provider].keyless or own_server or self.has_key(provider))

    def sets_key(self, provider: str) -> bool:
        """Tell whether the environment or .env sets the key of `provider`."""
        return self._set_key(provider) is not None

    def use_key(self, provider: str, key: SecretStr) -> None:
        """Use `key` for `provider` in this run, where nothing else sets one."""
        self._secrets[provider] = key

    def credentials(self, provider: str) -> "Credentials":
        """Return the base URL that the user set for `provider`, and its key: environment > .env > kept ones.

        Raises:
            UsageError: A `.env` would send a key that is not its own to a server that it names itself, or the
                keyring can't be read.

        """
        base_url = self.openai_endpoint if provider == OPENAI else self.base_url
        key = self._set_key(provider) or self._secrets.get(provider)
        if key is None and provider in kept_keys():
            key = read_key(provider)
        if key is not None:
            self._secrets[provider] = key
            names = ("base_url", "openai_base_url") if provider == OPENAI else ("base_url",)
            variables = (*PROVIDERS[provider].key_variables, "CHATCLI_OPENAI_API_KEY")
            self._refuse_borrowed_key(base_url, names, key, variables)
        return Credentials(base_url, key)

    def server_key(self) -> SecretStr | None:
        """Return the key of the LangGraph server that `url` names.

        Raises:
            UsageError: A `.env` would send a key that is not its own to a server that it names itself.

        """
        if self.langgraph_api_key is not None:
            self._refuse_borrowed_key(self.url, ("url",), self.langgraph_api_key, SERVER_KEY_VARIABLES)
        return self.langgraph_api_key

    def redact(self, text: str) -> str:
        """Return `text` with every key and password that these settings know replaced by `***`."""
        known = [self._set_key(provider) for provider in PROVIDERS]
        secrets = (*known, *self._secrets.values(), self.langgraph_api_key)
        keys = [secret.get_secret_value() for secret in secrets if secret]
        for value in (*keys, *_passwords(self.store or ""), *_passwords(self.url or "")):
            if value:
                text = text.replace(value, "***")
        return text

    def _set_key(self, provider: str) -> SecretStr | None:
        """Return the key that the environment or .env sets."""
        if provider == OPENAI:
            return self.openai_api_key
        for source in (os.environ, self._dotenv):
            for variable in PROVIDERS[provider].key_variables:
                if value := source.get(variable):
                    return SecretStr(value)
        return None

    def _refuse_borrowed_key(
        self, url: str | None, names: tuple[str, ...], key: SecretStr, variables: tuple[str, ...]
    ) -> None:
        """Refuse a `.env` that would send a key from elsewhere to a `url` that it sets itself, by one of `names`.

        A repository that somebody clones can bring such a file along to collect keys.
        """
        dotenv = _fields(DotEnvSettingsSource(Settings)())
        its_own = {str(dotenv[name]).rstrip("/") for name in names if name in dotenv}
        if url not in its_own or self.is_option(names[0]):
            return
        if key.get_secret_value() in (self._dotenv.get(variable) for variable in variables):
            return
        what, option = names[0].replace("_", " ").replace("url", "URL"), names[0].replace("_", "-")
        raise UsageError(
            f"the .env file in this folder sets the {what} {url}, but the key comes from elsewhere",
            remedy=f"To send your key there, say so with --{option}, or put the key into that .env too.",
        )


@dataclass(frozen=True, slots=True)
class Credentials:
    """Where a provider's requests go, None for its own address, and the key that goes with them."""

    base_url: str | None
    key: SecretStr | None


def _passwords(uri: str) -> list[str]:
    """Return the password in `uri` as it stands there and as it is meant; it may be in the query too."""
    user_info = uri.partition("://")[2].rpartition("@")[0]
    found = [user_info.partition(":")[2]]
    found += [field.partition("=")[2] for field in re.split("[?&]", uri) if field.startswith("password=")]
    return found + [unquote(password) for password in found]


def user_name(field: str) -> str:
    """Return what users call `field`: pydantic keeps `schema` for itself."""
    return "schema" if field == "schema_file" else field


def _refuse_unknown_keys(known: Iterable[str], data: dict[str, Any]) -> None:
    """Refuse a misspelt key in the config file: ignoring it would hide that it has no effect."""
    unknown = sorted(set(data) - set(known))
    if unknown:
        raise UsageError(
            f"{paths.config_file()} has a key that chatcli does not know: {unknown[0]}",
            remedy=f"Known keys: {', '.join(sorted(known))}.",
        )


def _fields(source: dict[str, Any]) -> dict[str, Any]:
    """Map what a source holds, which it names by alias, to field names."""
    named = {}
    for name, field in Settings.model_fields.items():
        aliases = field.validation_alias.choices if isinstance(field.validation_alias, AliasChoices) else [name]
        for alias in (*aliases, name):
            if isinstance(alias, str) and alias in source:
                named[name] = source[alias]
                break
    return named


def _first_problem(error: ValidationError) -> str:
    problem = error.errors(include_url=False, include_input=False)[0]
    field = str(problem["loc"][0]) if problem["loc"] else "settings"
    field = next((name for name in Settings.model_fields if field in (name, *_aliases(name))), field)
    message = problem["msg"].removeprefix("Value error, ")
    return f"--{user_name(field).replace('_', '-')}: {message}"


def _aliases(name: str) -> list[str]:
    alias = Settings.model_fields[name].validation_alias
    return [str(choice) for choice in alias.choices] if isinstance(alias, AliasChoices) else []
