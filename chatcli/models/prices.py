"""What a turn costs, by the price list of the package genai-prices."""

from typing import TYPE_CHECKING

from chatcli.events import Usage
from chatcli.models.model import Model
from chatcli.providers import PROVIDERS

if TYPE_CHECKING:
    from genai_prices.types import PriceCalculation


def price(model: Model, usage: Usage) -> float | None:
    """Return the price of `usage` in US dollars; None if the list does not have the model or there is no usage.

    Discounts, for example for a cached prompt, are not subtracted. A server that the user named has no list price.
    """
    if not usage.total_tokens or model.custom_server:
        return None
    found = _look_up(model.name.provider, model.name.model, usage)
    return None if found is None else float(found.total_price)


def known_window(provider: str, model: str) -> int | None:
    """Return the context window of a model in tokens; None if the list does not have it."""
    found = _look_up(provider, model, Usage())
    return None if found is None else found.model.context_window


def _look_up(provider: str, model: str, usage: Usage) -> "PriceCalculation | None":
    """Return the entry of the list for `model`, with the price of `usage`."""
    price_list = PROVIDERS[provider].price_list
    if not price_list:
        return None
    # Its import takes 0.1 s, and only a listed model needs it.
    from genai_prices import Usage as PricedUsage
    from genai_prices import calc_price

    priced = PricedUsage(input_tokens=usage.input_tokens, output_tokens=usage.output_tokens)
    try:
        return calc_price(priced, model, provider_id=price_list)
    except LookupError:
        return None
