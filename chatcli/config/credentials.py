"""The keys of providers and the servers that they go to.

`chat keys set` keeps a key in the system keyring or, if there is none, in a file that only its owner can read. A file
in the config folder lists the kept keys, since a keyring can't be listed.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from chatcli import paths
from chatcli.config.grants import was_sent
from chatcli.config.providers import LANGFLOW, LMSTUDIO, OPENAI, PROVIDERS
from chatcli.config.secrets import Secret, passwords_in, redact, secrets_of
from chatcli.errors import AuthError, ChatcliError, MissingKeyError, UsageError
from chatcli.runtime.files import change_state, read_file
from chatcli.runtime.parse import read_json

if TYPE_CHECKING:
    from keyring.backend import KeyringBackend

    from chatcli.config.settings import Settings

KeyStorage = Literal["keyring", "file"]
SERVICE = "chatcli"

OPENAI_KEY_VARIABLES = ("CHATCLI_OPENAI_API_KEY", "OPENAI_API_KEY")
"""The variables of OpenAI's key; the first that is set is used."""
SERVER_KEY_VARIABLES = ("CHATCLI_LANGGRAPH_API_KEY", "LANGGRAPH_API_KEY", "LANGSMITH_API_KEY")
"""The variables of a LangGraph server's key; the first that is set is used."""
_URL_FIELDS = {OPENAI: "openai_base_url", LANGFLOW: "langflow_url"}
"""The settings that name the server of one provider alone."""


class _KeyringProblemError(Exception):
    """The system keyring can't be used, for the reason in the message; `remedy` helps."""

    def __init__(self, reason: object, remedy: str = "Unlock it") -> None:
        super().__init__(reason)
        self.remedy = remedy


def keys_file() -> Path:
    """Return the file that lists the kept keys, and holds the keys themselves if there is no keyring."""
    return paths.config_dir() / "keys.json"


def kept_keys() -> dict[str, KeyStorage]:
    """Return the storage of each provider's key; the keyring itself is not asked."""
    known = {provider: key for provider, key in _read().items() if provider in PROVIDERS}
    return {provider: "keyring" if key is None else "file" for provider, key in known.items()}


def is_kept(name: str) -> bool:
    """Return whether there is a key of the provider `name`, or of another service; the keyring itself is not asked."""
    return name in _read()


def read_key(provider: str) -> Secret | None:
    """Return the kept key of `provider`, or of another service, or None."""
    kept = _read()
    if provider not in kept:
        return None
    key = kept[provider]
    if key is not None:
        return Secret(key)
    known = PROVIDERS.get(provider)
    variable = known.key_variables[0] if known else ""
    try:
        with _system_keyring() as keyring:
            key = keyring.get_password(SERVICE, provider)
    except _KeyringProblemError as error:
        remedy = f"{error.remedy}, or set {variable}." if known else f"{error.remedy}."
        problem = f"the key of {provider} is in the system keyring, which can't be read: {error}"
        raise AuthError(problem, remedy=remedy) from None
    if key is None:
        remedy = f"Set {variable}, or keep the key again: chat keys set {provider}" if known else "Log in again."
        raise AuthError(f"the key of {provider} is not in the system keyring, where it was put", remedy=remedy)
    return Secret(key)


def save_key(provider: str, key: Secret) -> str:
    """Keep the key of `provider` instead of an older one; return its storage in words and, if a file, the reason."""
    kept = _read()
    try:
        with _system_keyring() as keyring:
            if keyring.priority <= 0:  # backends that always fail, or keep nothing
                raise _KeyringProblemError("there is none")
            keyring.set_password(SERVICE, provider, key.get_secret_value())
    except _KeyringProblemError as error:
        if provider in kept and kept[provider] is None:
            refusal = f"the older key of {provider} is in the system keyring, which can't be changed: {error}"
            raise UsageError(refusal, remedy=f"{error.remedy} first.") from None
        _change(lambda kept: kept.update({provider: key.get_secret_value()}))
        return f"{describe_storage('file')}, since the system keyring can't be used: {error}"
    _change(lambda kept: kept.update({provider: None}))
    return describe_storage("keyring")


def describe_storage(storage: KeyStorage) -> str:
    """Return the name of `storage` for people."""
    return "the system keyring" if storage == "keyring" else f"the file {keys_file()}, not encrypted (0600)"


def forget_key(provider: str) -> bool:
    """Delete the kept key of `provider`; return whether there was one."""
    kept = _read()
    if provider not in kept:
        return False
    if kept[provider] is None:
        try:
            with _system_keyring() as keyring:
                keyring.delete_password(SERVICE, provider)
        except _KeyringProblemError as error:
            problem = f"the system keyring can't be changed: {error}"
            raise UsageError(problem, remedy=f"{error.remedy} first.") from None
    _change(lambda kept: kept.pop(provider, None))
    return True


@contextmanager
def _system_keyring() -> Iterator["KeyringBackend"]:
    """Give the keyring that the user names (PYTHON_KEYRING_BACKEND), else the best of those that encrypt.

    Raises `_KeyringProblemError` where it can't be used.
    """
    try:
        from keyring import core, errors
    except ModuleNotFoundError:
        from chatcli.config.installation import install_command  # late: few need it

        reason = f"it needs the extra keyring ({install_command('keyring')})"
        raise _KeyringProblemError(reason, "Install it") from None
    try:
        core.init_backend(limit=core.recommended)  # without the limit, a plain file would do (keyrings.alt)
    except (ImportError, AttributeError, TypeError, ValueError, RuntimeError, errors.KeyringError) as error:
        raise _KeyringProblemError(f"its backend can't be loaded: {error}") from None
    try:
        yield core.get_keyring()
    except errors.PasswordDeleteError:
        pass  # somebody else deleted it
    except errors.KeyringError as error:
        raise _KeyringProblemError(error) from None


def _read() -> dict[str, str | None]:
    path = keys_file()
    try:
        if not path.exists():
            return {}
        kept = read_json(read_file(path).decode())
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} can't be read: {error}", remedy="Fix or delete it.") from None
    return kept if isinstance(kept, dict) else {}


def _change(change: Callable[[dict[str, Any]], None]) -> None:
    """Let `change` alter the file, which is readable by its owner alone."""
    path = keys_file()
    try:
        change_state(path, change)
    except OSError as error:
        raise UsageError(f"{path} can't be written: {error.strerror}", remedy="It is as it was before.") from None


@dataclass(frozen=True, slots=True)
class Access:
    """Where a provider's requests go, None for its own address, and the key that goes with them."""

    base_url: str | None
    key: Secret | None


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Credentials:
    """The keys and servers that one run knows, by its settings and the variables of a trusted `.env`."""

    _settings: "Settings"
    _dotenv: Mapping[str, str]
    _known: dict[str, Secret]
    """The keys that were read or asked for in this run, by provider; it grows."""
    _remembered: bool
    """Whether only a thread names the server `base_url` of the settings."""

    def has_key(self, provider: str) -> bool:
        """Return whether there is a key for `provider`; a keyring is not asked for it."""
        return self.sets_key(provider) or provider in self._known or provider in kept_keys()

    def lacks_key(self, provider: str) -> bool:
        """Return whether `provider` needs a key and there is none; a server with OpenAI's protocol may need none."""
        known, own_server = PROVIDERS[provider], provider == OPENAI and self._chosen_url(provider)
        return not (known.keyless or known.key_optional or own_server or self.has_key(provider))

    def sets_key(self, provider: str) -> bool:
        """Return whether the environment or `.env` sets the key of `provider`."""
        return self._set_key(provider) is not None

    def use_key(self, provider: str, key: Secret) -> None:
        """Use `key` for `provider` in this run, unless the environment or `.env` sets one."""
        self._known[provider] = key

    def access(self, provider: str) -> Access:
        """Return the server that the user chose for `provider`, and its key: environment > .env > kept keys."""
        if self._remembered:
            return self._access_remembered(provider)
        key = self._find_key(provider)
        if key is not None:
            self._known[provider] = key
            key = _sendable_key(key, provider)
        return Access(self._chosen_url(provider), key)

    def server_url(self, provider: str) -> str | None:
        """Return the server that is named for `provider`: by a setting, or by a variable that its client reads."""
        variables = PROVIDERS[provider].url_variables
        return self._chosen_url(provider) or next(filter(None, map(os.environ.get, variables)), None)

    def is_url_of_dotenv(self, provider: str) -> bool:
        """Return whether the `.env` of this folder names what `server_url` returns."""
        field = "base_url" if self._settings.base_url is not None else _URL_FIELDS.get(provider)
        if field:
            return self._settings.is_dotenv(field)
        return not any(map(os.environ.get, PROVIDERS[provider].url_variables))

    def redact(self, text: str) -> str:
        """Return `text` with every known key and password replaced by `***`."""
        settings = self._settings
        keys = (*map(self._set_key, PROVIDERS), *self._known.values(), settings.langgraph_api_key)
        passwords = map(Secret, (*passwords_in(settings.store or ""), *passwords_in(settings.url or "")))
        named = (*secrets_of(os.environ), *secrets_of(self._dotenv))
        return redact(text, [*filter(None, (*keys, *passwords)), *named])

    def explain(self, error: ChatcliError, provider: str = "") -> ChatcliError:
        """Return `error` of the model's `provider`, with a hint if an untrusted `.env` sets the missing key."""
        folder = self._settings.folder
        if not isinstance(error, AuthError) or folder.trusted:
            return error
        missing = self._missing_keys(error.provider if isinstance(error, MissingKeyError) else provider)
        left_out = [name for name in missing if name in folder.values]
        if not left_out:
            return error
        reason = f"the .env of this folder sets {left_out[0]}, but is not trusted"
        explained = AuthError(f"{error.message}; {reason}", remedy="Look at what it sets and trust it: chat trust")
        explained.__cause__ = error
        return explained

    def _missing_keys(self, provider: str) -> tuple[str, ...]:
        """Return the variables of the key of `provider`, else of the LangGraph server, if there is no such key."""
        if provider in PROVIDERS:
            return () if self.sets_key(provider) or provider in self._known else key_variables(provider)
        return SERVER_KEY_VARIABLES if self._settings.url and self._settings.langgraph_api_key is None else ()

    def _chosen_url(self, provider: str) -> str | None:
        """Return the server that the user chose for `provider`, if any.

        A client reads the provider's own variable from the environment itself, but never from a `.env`.
        """
        if self._settings.base_url is not None:
            return self._settings.base_url
        if provider in _URL_FIELDS:
            url: str | None = getattr(self._settings, _URL_FIELDS[provider])
            return url
        variables = PROVIDERS[provider].url_variables
        if any(map(os.environ.get, variables)):
            return None
        return next(filter(None, map(self._dotenv.get, variables)), None)

    def _access_remembered(self, provider: str) -> Access:
        """Return access to the server that a thread remembers, with a key only if it was sent there before."""
        row, url = PROVIDERS[provider], self._settings.base_url or ""
        key = self._find_key(provider)
        if key is not None and was_sent(url, key):
            return Access(url, _sendable_key(key, provider))
        finds_key = key or "*" in row.own_login or any(map(os.environ.get, (*row.key_variables, *row.own_login)))
        if provider not in (OPENAI, LANGFLOW, LMSTUDIO) and finds_key:  # its client would send what it finds
            problem = f"the key of {row.title} is not sent to {url}, which only the thread names"
            raise AuthError(problem, remedy="To send it there, name the server: --base-url URL")
        return Access(url, None)

    def _find_key(self, provider: str) -> Secret | None:
        key = self._set_key(provider) or self._known.get(provider)
        return read_key(provider) if key is None and provider in kept_keys() else key

    def _set_key(self, provider: str) -> Secret | None:
        """Return the key that the environment or `.env` sets."""
        if provider == OPENAI:
            return self._settings.openai_api_key
        for source in (os.environ, self._dotenv):
            for variable in PROVIDERS[provider].key_variables:
                if value := source.get(variable):
                    return Secret(value)
        return None


def key_variables(provider: str) -> tuple[str, ...]:
    """Return the variables that hold a key of `provider`."""
    return OPENAI_KEY_VARIABLES if provider == OPENAI else PROVIDERS[provider].key_variables


def _sendable_key(key: Secret, provider: str) -> Secret:
    """Return `key` without the white space around it, such as the newline at the end of a file."""
    key, row = Secret(key.get_secret_value().strip()), PROVIDERS[provider]
    if not key.is_sendable():
        remedy = f"Set {row.key_variables[0]} again, or: chat keys set {provider}"
        problem = f"the key of {row.title} has characters that no key has: it was not copied correctly"
        raise AuthError(problem, remedy=remedy)
    return key
