"""Whose model a name without a provider is."""

from pathlib import Path

import pytest

from chatcli.models.names import resolve_model
from chatcli.providers import KEY_VARIABLES
from chatcli.settings import Settings


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
    keys: tuple[str, ...], model: str | None, provider: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    for variable in (*KEY_VARIABLES, "OPENAI_BASE_URL", "CHATCLI_MODEL"):
        monkeypatch.delenv(variable, raising=False)
    for variable in keys:
        monkeypatch.setenv(variable, "a-key")
    settings = Settings.load({"model": model})
    assert str(resolve_model("some-model", settings)) == f"{provider}:some-model"
    custom = Settings.load({"model": model, "base_url": "http://127.0.0.1:9/v1"})
    assert str(resolve_model("some-model", custom)) == "openai:some-model"
