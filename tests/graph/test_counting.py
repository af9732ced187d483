"""What fitting the context costs, and which messages stay together."""

import statistics
import time

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langchain_openai import ChatOpenAI
from pydantic import SecretStr

from chatcli.graph.context import fit_context
from chatcli.graph.state import ChatState, TurnContext
from chatcli.graph.tokens import TokenCounter
from chatcli.models.model import Limits, Model
from chatcli.models.names import ModelName


def turn(budget: int | None) -> TurnContext:
    client = ChatOpenAI(model="gpt-fake", api_key=SecretStr("none"))
    return TurnContext(Model(ModelName("openai", "gpt-fake"), client, Limits()), budget)


def conversation(count: int) -> list[BaseMessage]:
    kinds = (HumanMessage, AIMessage)
    return [kinds[number % 2](f"message {number} " + "word " * 40, id=str(number)) for number in range(count)]


def test_counting_a_thousand_messages_costs_a_turn_at_most_5_ms() -> None:
    counter = TokenCounter()
    messages = conversation(1000)
    counter.count(messages)  # each message once, when it is new
    times = []
    for _ in range(20):
        started = time.thread_time()
        counter.count(messages)
        times.append(time.thread_time() - started)
    assert statistics.median(times) <= 0.005


def test_a_tools_result_is_never_parted_from_its_call() -> None:
    call = {"name": "clock", "args": {}, "id": "1"}
    question = [
        HumanMessage("What time is it? " + "word " * 50, id="q"),
        AIMessage("", id="c", tool_calls=[call]),
        ToolMessage("noon " * 20, tool_call_id="1", id="r"),
        AIMessage("Noon.", id="a"),
    ]
    for budget in range(30, 300, 7):
        fitted = fit_context(ChatState(messages=[*question, HumanMessage("Thanks.", id="t")]), turn(budget))
        ids = [message.id for message in fitted.messages]
        assert ("c" in ids) == ("r" in ids)
        assert isinstance(fitted.messages[0], HumanMessage)


def test_what_a_provider_counts_corrects_an_approximation_that_is_too_low() -> None:
    counter, messages = TokenCounter(), conversation(10)
    before = counter.count(messages)
    counter.learn(messages, before * 2)
    assert counter.count(messages) >= before * 2 - 2
    counter.learn(messages, 1)
    assert counter.count(messages) >= before * 2 - 2
