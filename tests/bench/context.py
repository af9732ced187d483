"""Measures what choosing what is sent costs a turn: `python -m tests.bench.context`."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_openai import ChatOpenAI
from pydantic import SecretStr

from chatcli.graphs.chat.context import fit_context, refuse_oversized
from chatcli.graphs.chat.state import ChatState, TurnContext
from chatcli.graphs.chat.token_counter import TokenCounter
from chatcli.models.model import Limits, Model
from chatcli.models.names import ModelName

ROUNDS = 20


@dataclass(frozen=True, slots=True)
class Cost:
    """Milliseconds of CPU of one turn: for counting alone, and for all of it."""

    counting: float
    fitting: float


class TimedCounter(TokenCounter):
    """Adds up the CPU seconds that counting takes."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds = 0.0

    def count(self, messages: Sequence[BaseMessage]) -> int:
        """See `TokenCounter.count`."""
        started = time.thread_time()
        try:
            return super().count(messages)
        finally:
            self.seconds += time.thread_time() - started

    def reach(self, messages: Sequence[BaseMessage], tokens: int) -> int:
        """See `TokenCounter.reach`."""
        started = time.thread_time()
        try:
            return super().reach(messages, tokens)
        finally:
            self.seconds += time.thread_time() - started


def conversation(count: int) -> list[BaseMessage]:
    """Return `count` messages of some 40 words, of the user and the model in turn."""
    kinds = (HumanMessage, AIMessage)
    return [kinds[number % 2](f"message {number} " + "word " * 40, id=str(number)) for number in range(count)]


def turn_cost(count: int, budget: int | None, *, resumed: bool) -> Cost:
    """Return what a turn costs behind `count` messages; in a `resumed` thread, each is counted for the first time."""
    messages = conversation(count)
    model = Model(ModelName("openai", "gpt-fake"), ChatOpenAI(model="gpt-fake", api_key=SecretStr("none")), Limits())
    counter, costs = TimedCounter(), []
    if not resumed:
        counter.count(messages)
    runner = asyncio.Runner()
    for number in range(ROUNDS):
        if resumed:
            counter = TimedCounter()
        counter.seconds, started = 0.0, time.thread_time()
        question = HumanMessage("And now?", id=f"question-{number}")
        turn = TurnContext(model, budget, counter)
        runner.run(refuse_oversized(question, "Be brief.", turn))
        fit_context(ChatState(messages=[*messages, question], system="Be brief."), turn)
        costs.append(Cost(1000 * counter.seconds, 1000 * (time.thread_time() - started)))
    runner.close()
    # The quickest: the others were disturbed.
    return min(costs, key=lambda cost: cost.counting)


def main() -> None:
    """Print the table."""
    print(f"{'messages':>10}{'budget':>10}  {'thread':<10}{'counting, ms':>14}{'all, ms':>10}")
    for count in (100, 1000, 10_000):
        for budget in (None, 2000, 30_000):
            for resumed in (False, True):
                cost = turn_cost(count, budget, resumed=resumed)
                thread = "resumed" if resumed else "open"
                print(f"{count:>10}{budget or 'none':>10}  {thread:<10}{cost.counting:>14.2f}{cost.fitting:>10.2f}")


if __name__ == "__main__":
    main()
