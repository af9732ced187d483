"""Keys in a real Secret Service: the keyring of Linux desktops."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import KEY
from tests.e2e.checks import assert_reported
from tests.e2e.program import Chat, Home
from tests.fakes.openai_server import FakeOpenAI
from tests.keyring_service import SecretService, missing_program, running_service

pytestmark = [
    pytest.mark.skipif(missing_program() is not None, reason=f"{missing_program()} is not installed"),
]


@pytest.fixture
def service(tmp_path: Path, home: Home) -> Iterator[SecretService]:
    """Give a running Secret Service to programs in `home`, which have no key."""
    folder = tmp_path / "service"
    folder.mkdir(mode=0o700)
    with running_service(folder) as running:
        home.env["DBUS_SESSION_BUS_ADDRESS"] = running.address
        yield running


@pytest.fixture
def keyless(fake: FakeOpenAI, home: Home) -> FakeOpenAI:
    del home.env["OPENAI_API_KEY"]
    return fake


def files_with_key(home: Home) -> list[Path]:
    return [file for file in home.files() if KEY.encode() in file.read_bytes()]


def test_a_key_is_kept_used_listed_and_deleted(
    chat: Chat, keyless: FakeOpenAI, home: Home, service: SecretService
) -> None:
    kept = chat("keys", "set", "openai", input=f"{KEY}\n")
    assert (kept.returncode, kept.stderr) == (0, "the key of OpenAI is kept in the system keyring\n")
    assert service.secrets == {"openai": KEY}
    assert chat("hello").returncode == 0
    assert keyless.requests[-1].key == KEY
    assert files_with_key(home) == []
    assert chat("keys", "list", "--json").json() == [{"provider": "openai", "place": "the system keyring"}]
    assert chat("keys", "set", "openai", input="another\n").returncode == 0
    assert service.secrets == {"openai": "another"}
    assert chat("keys", "delete", "openai").returncode == 0
    assert service.secrets == {}
    assert chat("keys", "list", "--json").json() == []


def test_a_locked_keyring_is_reported_and_new_keys_go_into_the_file(
    chat: Chat, keyless: FakeOpenAI, home: Home, service: SecretService
) -> None:
    assert chat("keys", "set", "openai", input=f"{KEY}\n").returncode == 0
    service.lock()
    locked = chat("hello")
    assert_reported(locked, 3)
    assert "OPENAI_API_KEY" in locked.stderr
    assert "unlock" in locked.stderr.lower()
    assert not keyless.requests
    assert chat("models", "list").returncode == 0
    # It would stay in the keyring, unknown to everybody.
    assert_reported(chat("keys", "delete", "openai"), 2)
    assert_reported(chat("keys", "set", "openai", input="another\n"), 2)
    assert chat("hello", env={"OPENAI_API_KEY": KEY}).returncode == 0
    other = chat("keys", "set", "groq", input="another\n")
    assert other.returncode == 0
    assert "not encrypted" in other.stderr
    assert "the system keyring can't be used" in other.stderr
    assert files_with_key(home) == []


def test_a_key_whose_keyring_is_gone_is_not_taken_for_missing(
    chat: Chat, keyless: FakeOpenAI, home: Home, service: SecretService
) -> None:
    assert chat("keys", "set", "openai", input=f"{KEY}\n").returncode == 0
    # As in a cron job, or over SSH.
    nowhere = {"DBUS_SESSION_BUS_ADDRESS": "unix:path=/nowhere"}
    away = chat("hello", env=nowhere)
    assert_reported(away, 3)
    assert "keyring" in away.stderr
    assert not keyless.requests
    assert chat("keys", "list", "--json", env=nowhere).json() == [{"provider": "openai", "place": "the system keyring"}]
    assert_reported(chat("keys", "delete", "openai", env=nowhere), 2)
    other = chat("keys", "set", "groq", env=nowhere, input="another\n")
    assert (other.returncode, "not encrypted" in other.stderr) == (0, True)
    assert service.secrets == {"openai": KEY}
    assert chat("hello").returncode == 0  # back at the desktop
    assert keyless.requests[-1].key == KEY


def test_a_key_that_somebody_else_deleted_is_asked_for_again(
    chat: Chat, keyless: FakeOpenAI, service: SecretService
) -> None:
    assert chat("keys", "set", "openai", input=f"{KEY}\n").returncode == 0
    service.clear()
    gone = chat("hello")
    assert_reported(gone, 3)
    assert "chat keys set openai" in gone.stderr
    assert not keyless.requests
    assert chat("keys", "delete", "openai").returncode == 0
    assert chat("keys", "list", "--json").json() == []


def test_a_keyring_that_is_unlocked_again_gives_its_key(
    chat: Chat, keyless: FakeOpenAI, service: SecretService
) -> None:
    assert chat("keys", "set", "openai", input=f"{KEY}\n").returncode == 0
    service.lock()
    assert_reported(chat("hello"), 3)
    service.unlock()
    assert chat("hello").returncode == 0
    assert keyless.requests[-1].key == KEY
    assert chat("keys", "set", "openai", input="another\n").returncode == 0
    assert service.secrets == {"openai": "another"}
