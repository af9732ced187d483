"""Keys that `chat keys set` keeps: in the system keyring, or where there is none in a file that only its owner reads.

One file in the config folder says which keys are kept and where, since a keyring can't be listed.
"""

import os
from pathlib import Path
from typing import Literal

from chatcli import paths
from chatcli.errors import UsageError
from chatcli.secret import Secret

Place = Literal["keyring", "file"]
SERVICE = "chatcli"


def keys_file() -> Path:
    """Where it stands which keys are kept, and the keys themselves where there is no keyring."""
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
        UsageError: It is kept in a keyring that can't be read now.

    """
    kept = _read()
    if provider not in kept:
        return None
    key = kept[provider]
    if key is not None:
        return Secret(key)
    import keyring
    from keyring.errors import KeyringError

    try:
        key = keyring.get_password(SERVICE, provider)
    except KeyringError as error:
        raise UsageError(
            f"the key of {provider} is in the system keyring, which can't be read: {error}",
            remedy="Unlock it, or set the key's environment variable.",
        ) from None
    return None if key is None else Secret(key)


def keep_key(provider: str, key: Secret) -> Place:
    """Keep the key of `provider` in place of an older one; return where."""
    kept = _read()
    in_keyring = _keep_in_keyring(provider, key)
    kept[provider] = None if in_keyring else key.get_secret_value()
    _write(kept)
    return "keyring" if in_keyring else "file"


def where_kept(place: Place) -> str:
    """Say where a key in `place` is."""
    return "the system keyring" if place == "keyring" else f"the file {keys_file()}, not encrypted (0600)"


def forget_key(provider: str) -> bool:
    """Delete the kept key of `provider`; return whether there was one."""
    kept = _read()
    if provider not in kept:
        return False
    if kept.pop(provider) is None:
        import keyring
        from keyring.errors import KeyringError, PasswordDeleteError

        try:
            keyring.delete_password(SERVICE, provider)
        except PasswordDeleteError:
            pass  # somebody else deleted it
        except KeyringError as error:
            raise UsageError(f"the system keyring can't be changed: {error}", remedy="Unlock it first.") from None
    _write(kept)
    return True


def _keep_in_keyring(provider: str, key: Secret) -> bool:
    import keyring
    from keyring.errors import KeyringError

    if keyring.get_keyring().priority <= 0:  # the backends that fail always, or keep nothing
        return False
    try:
        keyring.set_password(SERVICE, provider, key.get_secret_value())
    except KeyringError:
        return False
    return True


def _read() -> dict[str, str | None]:
    path = keys_file()
    try:
        if not path.exists():
            return {}
        import json

        kept = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} can't be read: {error}", remedy="Mend or delete it.") from None
    return kept if isinstance(kept, dict) else {}


def _write(kept: dict[str, str | None]) -> None:
    """Replace the file in one step, readable by its owner alone from the first byte on."""
    import json

    path = paths.private_dir(paths.config_dir()) / "keys.json"
    draft = path.with_suffix(f".{os.getpid()}.new")
    with open(draft, "x", encoding="utf-8", opener=paths.private_opener) as file:
        json.dump(kept, file, indent=2)
    draft.replace(path)
