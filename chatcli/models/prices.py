"""What answers cost in US dollars, by the price table of genai-prices."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, Literal

from chatcli.config.providers import LOCAL, PROVIDERS
from chatcli.events import Listing
from chatcli.store.usage import AnswerUsage, Tokens

if TYPE_CHECKING:
    from genai_prices.types import PriceCalculation

    from chatcli.models.model import Model


@dataclass(frozen=True, slots=True)
class Spent:
    """What was used and paid, by one model or in all."""

    turns: int = 0
    tokens: Tokens = field(default_factory=Tokens)
    cost_usd: float = 0.0
    """The price of all that has one."""
    unpriced: int = 0
    """The turns of which a part has no known price."""

    @property
    def complete(self) -> bool:
        """Whether all prices are known."""
        return self.unpriced == 0

    def shown(self) -> str:
        """Return the cost for a user."""
        if self.complete:
            return dollars(self.cost_usd)
        return "unknown" if not self.cost_usd else f"{dollars(self.cost_usd)} + unknown"

    def as_json(self) -> dict[str, Any]:
        """Return it as an object of JSON. A cost of which nothing is known is null."""
        return {
            "turns": self.turns,
            "input_tokens": self.tokens.input,
            "output_tokens": self.tokens.output,
            **self.cost_as_json(),
        }

    def cost_as_json(self) -> dict[str, Any]:
        """Return the cost as fields of JSON."""
        known = self.complete or self.cost_usd > 0
        return {
            "cost_usd": round(self.cost_usd, 9) if known else None,
            "cost_complete": self.complete,
            "unpriced_turns": self.unpriced,
        }


def dollars(amount: float) -> str:
    """Return `amount` of US dollars for a user."""
    return f"${amount:,.2f}" if amount >= 100 else f"${amount:.4f}"


def cost_listing(title: str, answers: Sequence[AnswerUsage]) -> Listing:
    """Return the table of the usage and cost of `answers`, by model, and the total."""
    lines = [*spent_by("model", answers).items(), ("total", spent(answers))]
    rows = tuple(
        (name or "unknown", str(each.turns), f"{each.tokens.input:,}", f"{each.tokens.output:,}", each.shown())
        for name, each in lines
    )
    return Listing(title, ("model", "turns", "tokens in", "tokens out", "cost"), rows)


def spent_by(field: Literal["model", "thread_id"], answers: Iterable[AnswerUsage]) -> dict[str, Spent]:
    """Return the usage of each model, or of each thread, in the order in which they first answered.

    A model is `provider:model`, `graph:NAME`, or "" if it is not known.
    """
    groups: dict[str, list[AnswerUsage]] = {}
    for answer in answers:
        groups.setdefault(getattr(answer, field), []).append(answer)
    return {name: spent(group) for name, group in groups.items()}


def spent(answers: Iterable[AnswerUsage]) -> Spent:
    """Return the usage of `answers` together."""
    total, cost = Tokens(), 0.0
    turns: set[tuple[str, int]] = set()
    unpriced: set[tuple[str, int]] = set()
    for answer in answers:
        turn = answer.thread_id, answer.turn
        turns.add(turn)
        total += answer.tokens or Tokens()
        paid = cost_of(answer)
        if paid is None:
            unpriced.add(turn)
        cost += paid or 0.0
    return Spent(len(turns), total, cost, len(unpriced))


@lru_cache(65536)
def cost_of(answer: AnswerUsage) -> float | None:
    """Return the cost of `answer` in US dollars; None if it is not known. A local model costs nothing."""
    provider, _, model = answer.model.partition(":")
    if provider == LOCAL:
        return 0.0
    if answer.own_server or answer.tokens is None or not model:
        return None
    return list_price(provider, model, answer.tokens, answer.at)


def price(model: "Model", tokens: Tokens) -> float | None:
    """Return the list price of `tokens` of `model` in US dollars; None for a server of the user's, or if unknown."""
    if not (tokens.input or tokens.output) or model.custom_server:
        return None
    return list_price(model.name.provider, model.name.model, tokens)


def has_price(model: "Model") -> bool:
    """Return whether what `model` costs is known. A local one costs nothing."""
    if model.name.provider == LOCAL:
        return True
    return not model.custom_server and _look_up(model.name.provider, model.name.model, Tokens(), 0) is not None


def list_price(provider: str, model: str, tokens: Tokens, at: float = 0) -> float | None:
    """Return the price of `tokens` in US dollars at the time `at`, 0 for now; None if the table lacks the model."""
    found = _look_up(provider, model, tokens, at)
    return None if found is None else float(found.total_price)


def known_window(provider: str, model: str) -> int | None:
    """Return the context window of a model in tokens; None if the table does not have it."""
    found = _look_up(provider, model, Tokens(), 0)
    return None if found is None else found.model.context_window


def _look_up(provider: str, model: str, tokens: Tokens, at: float) -> "PriceCalculation | None":
    """Return the entry of the table for `model`, with the price of `tokens`."""
    known = PROVIDERS.get(provider)
    if known is None or not known.price_list:
        return None
    # Its import takes 0.1 s, and only a listed model needs it.
    import genai_prices

    used = genai_prices.Usage(
        input_tokens=tokens.input,
        output_tokens=tokens.output,
        cache_read_tokens=tokens.cache_read or None,
        cache_write_tokens=tokens.cache_write or None,
    )
    when = datetime.fromtimestamp(at, UTC) if at else None
    try:
        return genai_prices.calc_price(used, model, provider_id=known.price_list, genai_request_timestamp=when)
    except (LookupError, ValueError):  # of a name that no model has, or of counts that don't fit each other
        return None


@cache
def table_name() -> str:
    """Return the name of the price table with its date: that of the newest price in it."""
    from genai_prices import __version__, data_snapshot

    today = datetime.now(UTC).date()
    dates = [
        start
        for provider in data_snapshot.get_snapshot().providers
        for model in provider.models
        for price in (model.prices if isinstance(model.prices, list) else ())
        if isinstance(start := getattr(price.constraint, "start_date", None), date) and start <= today
    ]
    of = f" of {max(dates).isoformat()}" if dates else ""
    return f"genai-prices {__version__}{of}"
