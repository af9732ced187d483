"""Without the extra keyring, keys go into the private file, and those in the keyring stay there."""

import json
import sys
from pathlib import Path

import pytest

from chatcli.config.credentials import forget_key, keys_file, read_key, save_key
from chatcli.config.secrets import Secret
from chatcli.errors import AuthError, UsageError

MISSING = "it needs the extra keyring ("


@pytest.fixture(autouse=True)
def _missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setitem(sys.modules, "keyring", None)


def test_a_new_key_goes_into_the_file() -> None:
    kept = save_key("openai", Secret("sk-1"))
    assert f"not encrypted (0600), since the system keyring can't be used: {MISSING}" in kept
    assert kept.endswith("[keyring]')")
    assert read_key("openai") == Secret("sk-1")
    assert forget_key("openai")


def test_a_key_in_the_keyring_is_neither_lost_nor_replaced() -> None:
    stored = {"openai": None, "mcp:docs": None}
    keys_file().parent.mkdir(parents=True)
    keys_file().write_text(json.dumps(stored))
    with pytest.raises(AuthError) as unread:
        read_key("openai")
    assert (MISSING in unread.value.message, unread.value.remedy) == (True, "Install it, or set OPENAI_API_KEY.")
    with pytest.raises(AuthError) as login:
        read_key("mcp:docs")
    assert (MISSING in login.value.message, login.value.remedy) == (True, "Install it.")
    for change in (lambda: save_key("openai", Secret("sk-2")), lambda: forget_key("openai")):
        with pytest.raises(UsageError) as unchanged:
            change()
        assert (MISSING in unchanged.value.message, unchanged.value.remedy) == (True, "Install it first.")
    assert json.loads(keys_file().read_text()) == stored
