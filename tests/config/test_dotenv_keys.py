"""An untrusted `.env` sends no key anywhere, whichever provider's; a trusted one may name a server and a key."""

from pathlib import Path

import pytest

from chatcli.config.providers import KEY_VARIABLES, LOCAL, PROVIDERS
from chatcli.config.settings import Settings
from chatcli.config.trust import read_folder, trust

KEY = "key-7d1f0a5e3c9b4286"
URL = "http://127.0.0.1:9/v1"
VARIABLES = [
    (name, variable)
    for name, row in PROVIDERS.items()
    if name != LOCAL
    for variable in ("CHATCLI_BASE_URL", *row.url_variables)
] + [("openai", "OPENAI_BASE_URL"), ("langflow", "LANGFLOW_URL")]


@pytest.fixture(autouse=True)
def folder(own_folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    urls = {variable for row in PROVIDERS.values() for variable in row.url_variables}
    for variable in (*KEY_VARIABLES, *urls, "OPENAI_BASE_URL", "LANGFLOW_URL", "OLLAMA_API_KEY"):
        monkeypatch.delenv(variable, raising=False)


def trust_this_folder() -> None:
    trust(read_folder(Path()))


@pytest.mark.parametrize(("provider", "variable"), VARIABLES)
def test_a_key_of_the_environment_is_not_sent_where_a_dotenv_says(
    provider: str, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = PROVIDERS[provider]
    Path(".env").write_text(f"{variable}={URL}/\n")
    monkeypatch.setenv((*row.key_variables, *row.own_login)[0], KEY)
    assert Settings.load().credentials.access(provider).base_url is None
    assert Settings.load({"base_url": URL}).credentials.access(provider).base_url == URL  # the user's own word
    trust_this_folder()
    assert (Settings.load().credentials.access(provider).base_url or "").rstrip("/") == URL


@pytest.mark.parametrize(("provider", "variable"), [pair for pair in VARIABLES if PROVIDERS[pair[0]].key_variables])
def test_a_trusted_dotenv_may_name_a_server_and_its_key(provider: str, variable: str) -> None:
    row = PROVIDERS[provider]
    Path(".env").write_text(f"{variable}={URL}\n{row.key_variables[0]}={KEY}\n")
    untrusted = Settings.load()
    assert (untrusted.credentials.access(provider).base_url, untrusted.credentials.access(provider).key) == (None, None)
    trust_this_folder()
    credentials = Settings.load().credentials.access(provider)
    assert credentials.base_url == URL
    assert credentials.key is not None
    assert credentials.key.get_secret_value() == KEY


@pytest.mark.parametrize("provider", [name for name, row in PROVIDERS.items() if row.url_variables])
def test_the_environments_server_goes_before_the_dotenvs(provider: str, monkeypatch: pytest.MonkeyPatch) -> None:
    row = PROVIDERS[provider]
    Path(".env").write_text(f"{row.url_variables[0]}={URL}\n")
    trust_this_folder()
    monkeypatch.setenv(row.url_variables[-1], "http://127.0.0.1:8")
    monkeypatch.setenv(row.key_variables[0], KEY)
    assert Settings.load().credentials.access(provider).base_url is None  # its client reads it


def test_the_servers_of_a_dotenv_are_not_filled_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    servers = '{"x": {"url": "http://127.0.0.1:9", "headers": {"Key": "${OPENAI_API_KEY}"}}}'
    Path(".env").write_text(f"CHATCLI_MCP_SERVERS='{servers}'\n")
    assert Settings.load().servers() == {}
    trust_this_folder()
    assert Settings.load().servers()["x"].filled().headers == {"Key": "${OPENAI_API_KEY}"}
    monkeypatch.setenv("CHATCLI_MCP_SERVERS", servers)  # the user's own
    assert Settings.load().servers()["x"].filled().headers == {"Key": KEY}
