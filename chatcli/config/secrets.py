"""Keys and passwords: a type that is never shown, and the removal of secrets from other text."""

import re
from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import quote, quote_plus, unquote

HIDDEN = "***"
_USER_INFO = re.compile(r"(?<=://)[^/?#\s'\"]*(?=@)")
_KEY_IN_QUERY = re.compile(
    r"([?&;#](?:[\w.%-]{0,40}(?:key|token|secret|passw|passphrase|pwd|signature|credential)[\w.%-]{0,40}"
    r"|auth|authorization|sig|code|pass|pw)=)[^&;\s'\"#]+",
    re.IGNORECASE,
)
_NAME = re.compile(r"KEY|TOKEN|SECRET|PASSWORD|AUTHORIZATION|COOKIE", re.IGNORECASE)
# The API keys of well-known services, signed tokens, private keys, and assignments to names that sound like a key.
_SECRETS = re.compile(
    r"\b(?:sk|pk|rk|gsk|xai|hf|ghp|gho|github_pat|glpat|lsv2|AIza|xox[abp])[-_]?[\w-]{16,}"
    r"|\bAKIA[0-9A-Z]{16}\b|\beyJ[\w-]{10,}\.[\w-]+\.|-----BEGIN [A-Z ]*PRIVATE KEY"
    r"|(?:key|token|secret|password)\w*\s*=\s*\S|(?:password|passphrase|api[ _-]?key)\w*\s*:\s*\S",
    re.IGNORECASE,
)
_SHORTEST = 4
"""The length of a key: a shorter one is a placeholder, which other words may contain."""
_SHORTEST_NAMED = 8
"""The length of a value that is a secret only by the name of its variable."""


class Secret:
    """A text that no repr, log or traceback shows. pydantic's type takes as long to import as to show a prompt."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def get_secret_value(self) -> str:
        """Return the text itself."""
        return self._text

    def is_sendable(self) -> bool:
        """Return whether an HTTP header can hold it."""
        return self._text.isascii() and self._text.isprintable()

    def __bool__(self) -> bool:
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __repr__(self) -> str:
        return "Secret('***')"


def redact(text: str, secrets: Iterable[Secret]) -> str:
    """Return `text` with `secrets`, as they are or encoded, and the passwords and keys in URLs replaced by `***`.

    The user name in an HTTP URL is hidden too: many services take a key there.
    """
    forms = {form for secret in secrets for form in _forms(secret.get_secret_value())}
    for form in sorted(forms, key=len, reverse=True):  # one may be a part of another
        text = text.replace(form, HIDDEN)
    return _KEY_IN_QUERY.sub(rf"\1{HIDDEN}", _USER_INFO.sub(_hide_user_info, text))


def _hide_user_info(match: re.Match[str]) -> str:
    name, colon, _password = match[0].partition(":")
    by_http = match.string[max(match.start() - 8, 0) : match.start()].lower().endswith(("http://", "https://"))
    return HIDDEN if by_http else f"{name}:{HIDDEN}" if colon else name


def secrets_of(environment: Mapping[str, str]) -> list[Secret]:
    """Return the values of variables whose names say key, token or password, such as those of a cloud login."""
    return [
        Secret(value)
        for name, value in environment.items()
        if names_secret(name) and len(value) >= _SHORTEST_NAMED and not value.isdigit()
    ]


def names_secret(variable: str) -> bool:
    """Return whether the name of `variable` says that it holds a key, a token, a password or a header with one."""
    return _NAME.search(variable) is not None


def holds_secret(text: str) -> bool:
    """Return whether `text`, which a user typed, may contain a key or a password."""
    return _SECRETS.search(text) is not None


def passwords_in(uri: str) -> list[str]:
    """Return the password in `uri`, in its login or its query, percent-encoded and decoded."""
    user_info = uri.partition("://")[2].rpartition("@")[0]
    found = [user_info.partition(":")[2]]
    found += [field.partition("=")[2] for field in re.split("[?&]", uri) if field.startswith("password=")]
    return found + [unquote(password) for password in found]


def _forms(value: str) -> Iterator[str]:
    """Yield the forms in which a server or a library may repeat `value`; none if it is too short."""
    from base64 import b64encode, urlsafe_b64encode

    for plain in {value, value.strip()}:
        if len(plain) < _SHORTEST:
            continue
        yield plain
        yield repr(plain)[1:-1]
        yield from (quote(plain), quote(plain, safe=""), quote_plus(plain))
        data = plain.encode("utf-8", "surrogateescape")
        yield from (encode(data).decode().rstrip("=") for encode in (b64encode, urlsafe_b64encode))
