"""Where the keys of providers are kept, which server gets one, and which texts show none."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import keyring.backend
import pytest
from keyring.backend import KeyringBackend
from keyring.errors import KeyringLocked

from chatcli.config.credentials import Access, Credentials, forget_key, keys_file, read_key, save_key
from chatcli.config.grants import note_endpoint
from chatcli.config.providers import KEY_VARIABLES
from chatcli.config.secrets import Secret
from chatcli.config.settings import Settings
from chatcli.config.trust import read_folder, trust
from chatcli.errors import AuthError, MissingKeyError, UsageError

KEY = "key-7d1f0a5e3c9b4286"
URL = "https://a.example/v1"


class Backend(KeyringBackend):
    """A keyring in memory."""

    kept: ClassVar[dict[str, str]] = {}
    locked: ClassVar[bool] = False
    priority = 5

    def get_password(self, service: str, username: str) -> str | None:
        return self.kept.get(username)

    def set_password(self, service: str, username: str, password: str) -> None:
        if Backend.locked:
            raise KeyringLocked("it is locked")
        self.kept[username] = password

    def delete_password(self, service: str, username: str) -> None:
        del self.kept[username]


class Null(Backend):
    """One that says of itself that it keeps nothing."""

    priority = 0


@pytest.fixture(autouse=True)
def folder(own_folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in (*KEY_VARIABLES, "OLLAMA_API_KEY"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(Backend, "kept", {})
    use(monkeypatch, Backend)


def use(monkeypatch: pytest.MonkeyPatch, backend: type[KeyringBackend]) -> None:
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", f"{__name__}.{backend.__name__}")


def of(dotenv: Mapping[str, str] | None = None, **settings: Any) -> Credentials:
    return Credentials(Settings(**settings), dotenv or {}, {}, False)


def test_a_key_in_the_keyring_is_in_no_file_and_is_deleted_there() -> None:
    save_key("groq", Secret(KEY))
    assert read_key("groq") == Secret(KEY)
    assert json.loads(keys_file().read_text()) == {"groq": None}
    assert forget_key("groq")
    assert Backend.kept == {}
    assert not forget_key("groq")


def test_a_keyring_that_lost_the_key_is_reported() -> None:
    save_key("groq", Secret(KEY))
    Backend.kept.clear()
    with pytest.raises(AuthError, match="is not in the system keyring"):
        read_key("groq")


def test_an_older_key_stays_in_a_keyring_that_is_locked_now(monkeypatch: pytest.MonkeyPatch) -> None:
    save_key("groq", Secret(KEY))
    monkeypatch.setattr(Backend, "locked", True)
    with pytest.raises(UsageError, match="can't be changed"):
        save_key("groq", Secret("another"))
    assert read_key("groq") == Secret(KEY)
    assert "can't be used: it is locked" in save_key("openai", Secret(KEY))


@pytest.mark.parametrize("named", [True, False])
def test_a_keyring_that_keeps_nothing_or_does_not_encrypt_gets_no_key(
    named: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if named:
        use(monkeypatch, Null)
    else:
        monkeypatch.delenv("PYTHON_KEYRING_BACKEND")
        monkeypatch.setattr(Null, "priority", 0.5)  # as the plain files of keyrings.alt
        monkeypatch.setattr(keyring.backend, "get_all_keyring", lambda: [Null()])  # type: ignore[no-untyped-call]
    assert "not encrypted (0600)" in save_key("groq", Secret(KEY))
    assert Backend.kept == {}
    assert keys_file().stat().st_mode & 0o777 == 0o600


def test_the_environment_goes_before_dotenv(monkeypatch: pytest.MonkeyPatch) -> None:
    dotenv = {"GROQ_API_KEY": "of-the-folder"}
    assert of(dotenv).access("groq").key == Secret("of-the-folder")
    monkeypatch.setenv("GROQ_API_KEY", " of-the-user\n")
    assert of(dotenv).access("groq").key == Secret("of-the-user")


def test_a_server_of_the_environment_goes_before_dotenv(monkeypatch: pytest.MonkeyPatch) -> None:
    dotenv = {"ANTHROPIC_BASE_URL": URL}
    monkeypatch.delenv("ANTHROPIC_BASE_URL", raising=False)
    assert of(dotenv).access("anthropic").base_url == URL
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "https://b.example")
    assert of(dotenv).access("anthropic").base_url is None  # its client reads the variable
    assert of(dotenv).server_url("anthropic") == "https://b.example"


def test_a_missing_key_that_an_untrusted_dotenv_sets_is_explained() -> None:
    Path(".env").write_text(f"GROQ_API_KEY={KEY}\n")
    missing = MissingKeyError("Groq needs a key", remedy="Set GROQ_API_KEY.", provider="groq")
    explained = Settings.load().credentials.explain(missing)
    assert "sets GROQ_API_KEY, but is not trusted" in explained.message
    trust(read_folder(Path()))
    assert Settings.load().credentials.explain(missing) is missing


def test_a_key_that_no_header_can_hold_is_not_sent() -> None:
    with pytest.raises(AuthError, match="not copied correctly") as caught:
        of({"GROQ_API_KEY": "k\N{LATIN SMALL LETTER E WITH ACUTE}y"}).access("groq")
    assert "k\N{LATIN SMALL LETTER E WITH ACUTE}y" not in str(caught.value)


def test_a_server_that_only_a_thread_names_gets_only_the_key_that_went_there() -> None:
    note_endpoint(URL, None)
    settings = Settings(openai_api_key=Secret(KEY)).with_remembered_url(URL)
    assert settings.credentials.access("openai") == Access(URL, None)
    note_endpoint(URL, Secret(KEY))
    assert settings.credentials.access("openai") == Access(URL, Secret(KEY))


@pytest.mark.parametrize(
    ("provider", "variable"),
    [("anthropic", "ANTHROPIC_API_KEY"), ("ollama", "OLLAMA_API_KEY"), ("bedrock_converse", "")],
)
def test_a_client_that_would_send_what_it_finds_itself_is_not_led_there_by_a_thread(
    provider: str, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    note_endpoint(URL, None)
    credentials = Settings().with_remembered_url(URL).credentials
    if variable:
        assert credentials.access(provider) == Access(URL, None)
        monkeypatch.setenv(variable, KEY)
    with pytest.raises(AuthError, match="which only the thread names"):
        credentials.access(provider)


def test_every_key_that_a_run_knows_is_struck_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CORP_TOKEN", "of-the-environment")
    monkeypatch.setenv("GROQ_API_KEY", "groq-k1")  # shorter than what is a secret by its name alone
    credentials = of(
        {"CORP_SECRET": "of-the-dotenv"},
        openai_api_key=Secret("openai1"),
        langgraph_api_key=Secret("graph-1"),
        store="postgresql://me:store-pw@host/chat",
        url="https://me:url-pw@host",
    )
    credentials.use_key("mistralai", Secret("typed-1"))
    named = "of-the-environment of-the-dotenv groq-k1 openai1 graph-1 store-pw url-pw typed-1"
    assert credentials.redact(named) == " ".join(["***"] * 8)
