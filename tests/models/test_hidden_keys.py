"""A key of any provider, set or kept, is struck out of what is shown."""

from pathlib import Path

import pytest

from chatcli.keys import keep_key
from chatcli.providers import KEY_VARIABLES, PROVIDERS
from chatcli.secret import Secret, redact
from chatcli.settings import Settings

KEY = "key-7d1f0a5e3c9b4286"


@pytest.mark.parametrize("kept", [False, True])
@pytest.mark.parametrize("provider", [name for name, row in PROVIDERS.items() if not row.keyless])
def test_a_key_is_in_no_text_of_ours(
    provider: str, kept: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.fail.Keyring")  # so that the file is what keeps it
    for variable in KEY_VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    if kept:
        keep_key(provider, Secret(KEY))
    else:
        monkeypatch.setenv(PROVIDERS[provider].key_variables[0], KEY)
    settings = Settings.load({})
    credentials = settings.credentials(provider)
    assert credentials.key is not None
    assert credentials.key.get_secret_value() == KEY
    assert KEY not in f"{settings!r} {settings} {credentials!r} {settings.redact(f'refused: {KEY}')}"


def test_a_key_in_a_url_is_in_no_text_of_ours() -> None:
    told = redact(f"http://me:{KEY}@host/v1?a=b&api_key={KEY}&c=d can't be reached", ())
    assert told == "http://me:***@host/v1?a=b&api_key=***&c=d can't be reached"
