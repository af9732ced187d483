"""Keys that `chat keys set` keeps: in the system keyring or, if there is none, in a file that only its owner can read.

A file in the config folder lists the kept keys, since a keyring can't be listed.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from chatcli import paths
from chatcli.config.secrets import Secret
from chatcli.errors import AuthError, UsageError
from chatcli.providers import PROVIDERS
from chatcli.runtime.files import replace_privately
from chatcli.runtime.parse import read_json

if TYPE_CHECKING:
    from keyring.backend import KeyringBackend

Place = Literal["keyring", "file"]
SERVICE = "chatcli"


@dataclass(frozen=True, slots=True)
class KeyPlace:
    """Where a key was put and, if not in a keyring, the reason."""

    place: Place
    reason: str = ""

    def __str__(self) -> str:
        reason = f", since the system keyring can't be used: {self.reason}" if self.reason else ""
        return f"{describe_place(self.place)}{reason}"


def keys_file() -> Path:
    """Return the file that lists the kept keys, and holds the keys themselves if there is no keyring."""
    return paths.config_dir() / "keys.json"


def kept_keys() -> dict[str, Place]:
    """Return where the key of each provider is kept; the keyring itself is not asked.

    Raises:
        UsageError: The file can't be read.

    """
    return {provider: "keyring" if key is None else "file" for provider, key in _read().items()}


def read_key(provider: str) -> Secret | None:
    """Return the kept key of `provider`, or None.

    Raises:
        AuthError: The keyring that it was put into can't be read now, or no longer has it.
        UsageError: The file can't be read.

    """
    kept = _read()
    if provider not in kept:
        return None
    key = kept[provider]
    if key is not None:
        return Secret(key)
    from keyring.errors import KeyringError

    variable = PROVIDERS[provider].key_variables[0]
    try:
        key = _keyring().get_password(SERVICE, provider)
    except KeyringError as error:
        raise AuthError(
            f"the key of {provider} is in the system keyring, which can't be read: {error}",
            remedy=f"Unlock it, or set {variable}.",
        ) from None
    if key is None:
        raise AuthError(
            f"the key of {provider} is not in the system keyring, where it was put",
            remedy=f"Set {variable}, or keep the key again: chat keys set {provider}",
        )
    return Secret(key)


def save_key(provider: str, key: Secret) -> KeyPlace:
    """Keep the key of `provider` in place of an older one; return where.

    Raises:
        UsageError: The older key is in a keyring that can't be changed now, so it would stay there.

    """
    kept = _read()
    problem = _keep_in_keyring(provider, key)
    if problem and provider in kept and kept[provider] is None:
        raise UsageError(
            f"the older key of {provider} is in the system keyring, which can't be changed: {problem}",
            remedy="Unlock it first.",
        )
    kept[provider] = key.get_secret_value() if problem else None
    _write(kept)
    return KeyPlace("file", problem) if problem else KeyPlace("keyring")


def describe_place(place: Place) -> str:
    """Return where a key in `place` is, in words."""
    return "the system keyring" if place == "keyring" else f"the file {keys_file()}, not encrypted (0600)"


def forget_key(provider: str) -> bool:
    """Delete the kept key of `provider`; return whether there was one."""
    kept = _read()
    if provider not in kept:
        return False
    if kept.pop(provider) is None:
        from keyring.errors import KeyringError, PasswordDeleteError

        try:
            _keyring().delete_password(SERVICE, provider)
        except PasswordDeleteError:
            pass  # somebody else deleted it
        except KeyringError as error:
            raise UsageError(f"the system keyring can't be changed: {error}", remedy="Unlock it first.") from None
    _write(kept)
    return True


def _keep_in_keyring(provider: str, key: Secret) -> str:
    """Save `key` in the system keyring; return the reason if that fails, else an empty text."""
    from keyring.errors import KeyringError

    try:
        keyring = _keyring()
        if keyring.priority <= 0:  # backends that always fail, or keep nothing
            return "there is none"
        keyring.set_password(SERVICE, provider, key.get_secret_value())
    except KeyringError as error:
        return str(error)
    return ""


def _keyring() -> "KeyringBackend":
    """Return the keyring that the user names (PYTHON_KEYRING_BACKEND), else the best of those that encrypt.

    Raises:
        InitError: The one that is named can't be loaded.

    """
    from keyring import core
    from keyring.errors import InitError

    try:
        core.init_backend(limit=core.recommended)  # without the limit, a plain file would do (keyrings.alt)
    except (ImportError, AttributeError, TypeError, ValueError, RuntimeError) as error:
        raise InitError(f"its backend can't be loaded: {error}") from None
    return core.get_keyring()


def _read() -> dict[str, str | None]:
    path = keys_file()
    try:
        if not path.exists():
            return {}
        kept = read_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} can't be read: {error}", remedy="Fix or delete it.") from None
    return kept if isinstance(kept, dict) else {}


def _write(kept: dict[str, str | None]) -> None:
    """Replace the file in one step, readable by its owner alone from the first byte on.

    Raises:
        UsageError: It can't be written; it is as it was before.

    """
    import json

    path = keys_file()
    try:
        paths.private_dir(path.parent)
        replace_privately(path, [json.dumps(kept, indent=2)])
    except OSError as error:
        raise UsageError(f"{path} can't be written: {error.strerror}", remedy="It is as it was before.") from None
