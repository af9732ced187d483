"""What a turn costs: known for a listed model of a provider's own server, else None."""

import pytest
from langchain_core.language_models import FakeListChatModel

from chatcli.models.model import Limits, Model
from chatcli.models.names import ModelName
from chatcli.models.prices import known_window, price
from chatcli.store.usage import Tokens

USAGE = Tokens(1_000_000, 1_000_000)


def model(provider: str, name: str, *, custom_server: bool = False) -> Model:
    client = FakeListChatModel(responses=[])
    return Model(ModelName(provider, name), client, Limits(), custom_server=custom_server)


@pytest.mark.parametrize(
    ("provider", "name", "dollars"),
    [("openai", "gpt-4o-mini", 0.15 + 0.60), ("anthropic", "claude-3-5-haiku-latest", 0.80 + 4.00)],
)
def test_a_listed_model_has_a_price(provider: str, name: str, dollars: float) -> None:
    assert price(model(provider, name), USAGE) == pytest.approx(dollars)


@pytest.mark.parametrize(
    ("provider", "name"), [("openai", "no-such-model"), ("nvidia", "gpt-4o-mini"), ("local", "smollm2-135m")]
)
def test_an_unknown_model_has_none(provider: str, name: str) -> None:
    assert price(model(provider, name), USAGE) is None


def test_list_prices_do_not_hold_on_another_server_or_without_a_usage() -> None:
    assert price(model("openai", "gpt-4o-mini", custom_server=True), USAGE) is None
    assert price(model("openai", "gpt-4o-mini"), Tokens()) is None


def test_windows_come_from_the_same_list() -> None:
    assert known_window("openai", "gpt-4o-mini") == 128_000
    assert known_window("openai", "no-such-model") is None
