"""What fitting the context costs, and which messages stay together."""

import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_openai import ChatOpenAI
from pydantic import SecretStr

from chatcli.graph.context import fit_context
from chatcli.graph.state import ChatState, TurnContext
from chatcli.graph.tokens import TokenCounter
from chatcli.models.model import Limits, Model
from chatcli.models.names import ModelName
from tests.bench.context import conversation, turn_cost


def turn(budget: int | None) -> TurnContext:
    client = ChatOpenAI(model="gpt-fake", api_key=SecretStr("none"))
    return TurnContext(Model(ModelName("openai", "gpt-fake"), client, Limits()), budget)


@pytest.mark.parametrize("resumed", [False, True])
@pytest.mark.parametrize("budget", [None, 2000, 30_000])
def test_counting_a_thousand_messages_costs_a_turn_at_most_5_ms(budget: int | None, resumed: bool) -> None:
    assert turn_cost(1000, budget, resumed=resumed).counting <= 5


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
