"""Which model is meant when less than `provider:model` is said."""

from pathlib import Path

import pytest
from genai_prices import Usage, calc_price

from chatcli.config.providers import KEY_VARIABLES, PROVIDERS, Provider
from chatcli.config.settings import Settings
from chatcli.errors import UsageError
from chatcli.models.names import choose_model, resolve_model

WITH_DEFAULT = [row for row in PROVIDERS.values() if row.default_model]


@pytest.fixture(autouse=True)
def _no_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    for variable in (*KEY_VARIABLES, "OPENAI_BASE_URL", "CHATCLI_MODEL"):
        monkeypatch.delenv(variable, raising=False)


@pytest.mark.parametrize(
    ("keys", "model", "provider"),
    [
        ((), None, "openai"),
        (("ANTHROPIC_API_KEY",), None, "anthropic"),
        (("ANTHROPIC_API_KEY", "OPENAI_API_KEY"), None, "openai"),
        (("ANTHROPIC_API_KEY", "OPENAI_API_KEY"), "claude:claude-sonnet-4-5", "anthropic"),
        (("OPENAI_API_KEY",), "groq:llama-3.1-8b-instant", "groq"),
        (("ANTHROPIC_API_KEY",), "local:smollm2-135m", "anthropic"),
    ],
)
def test_a_bare_name_is_a_model_of_the_default_provider(
    keys: tuple[str, ...], model: str | None, provider: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in keys:
        monkeypatch.setenv(variable, "a-key")
    settings = Settings.load({"model": model})
    assert str(resolve_model("some-model", settings)) == f"{provider}:some-model"
    custom = Settings.load({"model": model, "base_url": "http://127.0.0.1:9/v1"})
    assert str(resolve_model("some-model", custom)) == "openai:some-model"


@pytest.mark.parametrize(
    "provider", [row for row in PROVIDERS.values() if row.default_model], ids=lambda row: row.prefix
)
def test_a_key_alone_chooses_its_providers_default_model(provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(provider.key_variables[0], "a-key")
    chosen = choose_model(Settings.load())
    assert str(chosen) == f"{provider.prefix}:{provider.default_model}"
    for name in (provider.prefix, *provider.other_names, f"{provider.prefix}:"):
        assert resolve_model(name, Settings.load()) == chosen


@pytest.mark.parametrize("provider", ["ollama", "azure", "langflow"])
def test_a_provider_without_a_default_model_asks_which(provider: str) -> None:
    with pytest.raises(UsageError, match="has no default model"):
        resolve_model(provider, Settings.load())


def test_a_named_server_may_give_its_model_the_name_of_a_provider() -> None:
    settings = Settings.load({"base_url": "http://127.0.0.1:9/v1"})
    assert str(resolve_model("mistral", settings)) == "openai:mistral"


def test_default_models_are_on_the_price_list() -> None:
    own_prices = ("nvidia", "openrouter")  # none on the list; a router, whose prices are those of what it chooses
    for row in WITH_DEFAULT:
        if row.prefix not in own_prices:
            calc_price(Usage(), row.default_model, provider_id=row.price_list)  # raises LookupError if it is missing
