"""What a turn costs: known for a listed model of a provider's own server, else None."""

import re

import pytest
from langchain_core.language_models import FakeListChatModel

from chatcli.models.model import Limits, Model
from chatcli.models.names import ModelName
from chatcli.models.prices import cost_of, known_window, list_price, price, spent, spent_by, table_name
from chatcli.store.usage import AnswerUsage, Tokens

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


def test_a_cached_prompt_has_its_own_price() -> None:
    whole = list_price("openai", "gpt-4o-mini", Tokens(1_000_000))
    cached = list_price("openai", "gpt-4o-mini", Tokens(1_000_000, cache_read=1_000_000))
    assert whole == pytest.approx(0.15)
    assert cached == pytest.approx(0.075)
    written = list_price("anthropic", "claude-3-5-haiku-latest", Tokens(1_000_000, cache_write=1_000_000))
    assert written == pytest.approx(1.0)


def answered(model: str, *, turn: int = 1, own_server: bool = False, tokens: Tokens | None = USAGE) -> AnswerUsage:
    return AnswerUsage("t", turn, f"{model} {turn}", model, own_server, 1.76e9, tokens)


@pytest.mark.parametrize(
    ("answer", "dollars"),
    [
        (answered("openai:gpt-4o-mini"), 0.75),
        (answered("openai:gpt-4o-mini", own_server=True), None),
        (answered("openai:gpt-4o-mini", tokens=None), None),
        (answered("local:small", tokens=None), 0.0),
        (answered("graph:mine"), None),
        (answered("openai"), None),
        (answered("openai:"), None),
        (answered(""), None),
        (answered("\x1b[31m:\x00"), None),
        (answered("openai:gpt-4o-mini", tokens=Tokens(10**12, 10**12)), 750_000),
    ],
)
def test_an_answer_is_priced_by_who_gave_it(answer: AnswerUsage, dollars: float | None) -> None:
    assert cost_of(answer) == (None if dollars is None else pytest.approx(dollars))


def test_a_thread_is_summed_by_model_and_what_is_unknown_is_said() -> None:
    answers = [
        answered("openai:gpt-4o-mini", turn=1),
        answered("openai:gpt-4o-mini", turn=1, tokens=Tokens(1_000_000)),  # before a call of a tool
        answered("anthropic:claude-3-5-haiku-latest", turn=2),
        answered("openai:gpt-mine", turn=3),
    ]
    used = spent_by("model", answers)
    assert list(used) == ["openai:gpt-4o-mini", "anthropic:claude-3-5-haiku-latest", "openai:gpt-mine"]
    first, second, third = used.values()
    assert (first.turns, first.tokens, first.shown()) == (1, Tokens(2_000_000, 1_000_000), "$0.9000")
    assert (second.turns, second.shown()) == (1, "$4.8000")
    assert (third.turns, third.shown(), third.cost_as_json()["cost_usd"]) == (1, "unknown", None)
    total = spent(answers)
    assert (total.turns, total.unpriced, total.shown()) == (3, 1, "$5.7000 + unknown")
    assert spent([]).shown() == "$0.0000"


def test_the_price_table_has_a_date() -> None:
    assert re.fullmatch(r"genai-prices [0-9.]+ of 20[0-9]{2}-[0-9]{2}-[0-9]{2}", table_name())
