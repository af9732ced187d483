"""The user's bound of what a thread may cost."""

from typing import TYPE_CHECKING

from chatcli.errors import CostError
from chatcli.models.prices import dollars, has_price, spent, table_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chatcli.models.model import Model
    from chatcli.store.usage import AnswerUsage


class CostBound:
    """What a thread may have cost, in US dollars, when a turn begins; None for no bound."""

    def __init__(self, max_cost: float | None) -> None:
        self.max_cost = max_cost
        self._warned: set[tuple[str, str]] = set()
        """The threads and models of which the user knows that their cost has no bound."""

    def check(self, thread_id: str, model: "Model", answers: "Sequence[AnswerUsage]") -> str:
        """Return a warning, once for each thread and model, if the price of an answer is not known; else "".

        What has no known price is no part of what the thread has cost.

        Raises `CostError` if the thread's `answers` have cost more than the bound.
        """
        if self.max_cost is None:
            return ""
        total, known, table = spent(answers), has_price(model), table_name()
        if total.cost_usd > self.max_cost:
            raise CostError(
                f"the thread {thread_id} has cost {total.shown()} (prices: {table}), more than its bound of"
                f" {dollars(self.max_cost)}: raise it with --max-cost, in a conversation with /set max_cost=USD, or"
                " begin a new thread"
            )
        if (known and total.complete) or (thread_id, str(model.name)) in self._warned:
            return ""
        self._warned.add((thread_id, str(model.name)))
        if not known:
            why = f"{model.name} has no known price (prices: {table})"
        else:
            why = f"of {total.unpriced} of this thread's {total.turns} turns the price is not known (prices: {table})"
        return f"{why}: --max-cost can't bound what it costs"
