"""What a turn costs, by the price list of the package genai-prices."""

from chatcli.events import Usage
from chatcli.models.model import Model
from chatcli.providers import PROVIDERS


def price(model: Model, usage: Usage) -> float | None:
    """Return the price of `usage` in US dollars; None where the list does not know it, or the provider said no usage.

    Discounts, such as those for a cached prompt, are not taken off. A server of one's own has no list price.
    """
    provider = PROVIDERS[model.name.provider].price_list
    if not provider or not usage.total_tokens or model.custom_server:
        return None
    # 0.1 s, and only known models need it: after the answer has been shown.
    from genai_prices import Usage as Counted
    from genai_prices import calc_price

    counted = Counted(input_tokens=usage.input_tokens, output_tokens=usage.output_tokens)
    try:
        return float(calc_price(counted, model.name.model, provider_id=provider).total_price)
    except LookupError:
        return None


def known_window(provider: str, model: str) -> int | None:
    """Return the context window of a model in tokens, where the list has it."""
    from genai_prices.data_snapshot import get_snapshot

    price_list = PROVIDERS[provider].price_list
    if not price_list:
        return None
    try:
        _provider, found = get_snapshot().find_provider_model(model, None, price_list, None)
    except LookupError:
        return None
    return found.context_window
