"""A key of any provider, set or kept, is struck out of what is shown."""

from pathlib import Path

import pytest

from chatcli.config.credentials import save_key
from chatcli.config.providers import KEY_VARIABLES, PROVIDERS
from chatcli.config.secrets import Secret, redact
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
