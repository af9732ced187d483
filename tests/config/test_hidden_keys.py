"""A key of any provider, set or kept, is struck out of what is shown."""

from base64 import b64encode, urlsafe_b64encode
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest

from chatcli.config.credentials import save_key
from chatcli.config.providers import KEY_VARIABLES, PROVIDERS
from chatcli.config.secrets import Secret, holds_secret, passwords_in, redact, secrets_of
from chatcli.config.settings import Settings

KEY = "key-7d1f0a5e3c9b4286"


@pytest.mark.parametrize("kept", [False, True])
@pytest.mark.parametrize("provider", [name for name, row in PROVIDERS.items() if not row.keyless])
def test_a_key_is_in_no_text_of_ours(
    provider: str, kept: bool, own_folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.fail.Keyring")  # so that the file is what keeps it
    for variable in KEY_VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    if kept:
        save_key(provider, Secret(KEY))
    else:
        monkeypatch.setenv(PROVIDERS[provider].key_variables[0], KEY)
    settings = Settings.load({})
    credentials = settings.credentials.access(provider)
    assert credentials.key is not None
    assert credentials.key.get_secret_value() == KEY
    assert KEY not in f"{settings!r} {settings} {credentials!r} {settings.credentials.redact(f'refused: {KEY}')}"


def test_a_key_in_a_url_is_in_no_text_of_ours() -> None:
    shown = redact(f"http://me:{KEY}@host/v1?a=b&api_key={KEY}&c=d can't be reached", ())
    assert shown == "http://***@host/v1?a=b&api_key=***&c=d can't be reached"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (f"https://{KEY}@host/v1", "https://***@host/v1"),
        (f"https://{KEY}:@host/v1", "https://***@host/v1"),
        (f"https://{KEY}:x-oauth-basic@host", "https://***@host"),
        (f"postgresql://me:{KEY}@host/chat", "postgresql://me:***@host/chat"),
        (f"postgresql://me:{KEY}@{KEY}@host/chat", "postgresql://me:***@host/chat"),
        (f"https://host/v1?subscription-key={KEY}", "https://host/v1?subscription-key=***"),
        (f"https://host/v1?sv=2024&sig={KEY}&se=1", "https://host/v1?sv=2024&sig=***&se=1"),
        (f"https://host/f?code={KEY}", "https://host/f?code=***"),
        (f"https://host/#access_token={KEY}", "https://host/#access_token=***"),
        (f"https://host/?X-Amz-Credential={KEY};pwd={KEY}", "https://host/?X-Amz-Credential=***;pwd=***"),
        ("https://host/a?design=1&author=me see me@host", "https://host/a?design=1&author=me see me@host"),
    ],
)
def test_the_keys_that_a_url_may_hold(url: str, shown: str) -> None:
    assert redact(f"{url} fails", ()) == f"{shown} fails"


def test_a_key_is_struck_out_in_every_form_in_which_a_server_may_repeat_it() -> None:
    key = "k\u00e9y/1+2 3'4\\5"
    encoded = [encode(key.encode()).decode().rstrip("=") for encode in (b64encode, urlsafe_b64encode)]
    forms = [key, repr(key), quote(key), quote(key, safe=""), quote_plus(key), *encoded]
    shown = redact(" | ".join(forms), [Secret(f"{key}\n"), Secret(key[:6]), Secret("a")])
    assert shown.replace("'", "").replace('"', "").split(" | ") == ["***"] * len(forms)


@pytest.mark.parametrize(
    ("name", "value", "is_secret"),
    [
        ("AWS_SECRET", "a" * 8, True),
        ("my_token", "a" * 8, True),
        ("PGPASSWORD", "a" * 8, True),
        ("X_KEY", "a" * 8, True),
        ("X_KEY", "a" * 7, False),
        ("TOKENS", "1" * 8, False),
        ("PATH", "a" * 8, False),
    ],
)
def test_a_variable_is_a_secret_by_its_name_unless_other_words_may_hold_its_value(
    name: str, value: str, is_secret: bool
) -> None:
    assert secrets_of({name: value}) == [Secret(value)] * is_secret


@pytest.mark.parametrize(
    "typed",
    [
        *("my token = x", "the password: x", "API key: x", "passphrase:x", "-----BEGIN RSA PRIVATE KEY", "secret=x"),
        *("sk-" + "a" * 16, "ghp_" + "a" * 16, "AKIA" + "A" * 16, "eyJ" + "a" * 10 + ".b."),
    ],
)
def test_what_may_hold_a_key_is_known(typed: str) -> None:
    assert holds_secret(f"this is {typed} here")
    assert not holds_secret("the key to the tokens is a secret password")


def test_the_password_of_a_database_is_found_wherever_it_stands() -> None:
    found = passwords_in("postgresql://me:a%20b@host/chat?x=1&password=c%20d")
    assert {"a%20b", "a b", "c%20d", "c d"} <= set(found)


@pytest.mark.parametrize(("text", "sendable"), [("abc", True), ("a\nb", False), ("a\u00e9", False)])
def test_only_what_a_header_can_hold_is_sendable(text: str, sendable: bool) -> None:
    assert Secret(text).is_sendable() is sendable
    assert repr(Secret(text)) == "Secret('***')"
