"""The key that goes to a provider, and where it goes."""

from dataclasses import dataclass

from chatcli.config.secrets import Secret
from chatcli.errors import AuthError
from chatcli.providers import PROVIDERS


@dataclass(frozen=True, slots=True)
class Credentials:
    """Where a provider's requests go, None for its own address, and the key that goes with them."""

    base_url: str | None
    key: Secret | None


def sendable_key(key: Secret, provider: str) -> Secret:
    """Return `key` without the white space around it, which a file's last line brings along.

    Raises:
        AuthError: An HTTP header can't hold it.

    """
    key = Secret(key.get_secret_value().strip())
    if not key.is_sendable():
        raise AuthError(
            f"the key of {PROVIDERS[provider].title} has characters that no key has: it was not copied as it is",
            remedy=f"Set {PROVIDERS[provider].key_variables[0]} anew, or: chat keys set {provider}",
        )
    return key
