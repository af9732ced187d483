"""What is sent of a thread within a budget: here a token is a character."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage
from langchain_openai import ChatOpenAI
from pydantic import SecretStr

from chatcli.config.secrets import Secret
from chatcli.config.settings import Settings
from chatcli.errors import ContextError, RefusedError, UsageError
from chatcli.graphs.chat.ask_node import leave_out_unanswered
from chatcli.graphs.chat.context import (
    SUMMARY_LABEL,
    FittedContext,
    compact_state,
    fit_context,
    open_messages,
    refuse_oversized,
    request_limit,
    summarise,
    system_messages,
)
from chatcli.graphs.chat.state import ChatState, TurnContext
from chatcli.graphs.chat.token_counter import TokenCounter
from chatcli.models.build import build_model
from chatcli.models.model import Limits, Model
from chatcli.models.names import ModelName
from chatcli.store.usage import Tokens
from tests.fakes.openai_server import FakeOpenAI
from tests.fakes.steps import Answer

NAME = ModelName("openai", "gpt-fake")
CLIENT = ChatOpenAI(model="gpt-fake", api_key=SecretStr("none"))


class Characters(TokenCounter):
    """Counts a character as a token, and nothing for a message."""

    def _approximation(self, message: BaseMessage) -> float:
        return len(str(message.text))


def turn(budget: int | None = None, *, window: int | None = None, history: int | None = None, **more: Any) -> Any:
    model = Model(NAME, CLIENT, Limits(window=window, history=history))
    return TurnContext(model, budget, counter=Characters(), **more)


def talk(*sizes: int) -> list[BaseMessage]:
    """Return questions and answers in turn, of so many characters."""
    kinds = (HumanMessage, AIMessage)
    return [kinds[number % 2](chr(97 + number) * size, id=str(number)) for number, size in enumerate(sizes)]


def sent(fitted: FittedContext) -> str:
    return " ".join(str(message.id or message.text) for message in fitted.messages)


def fit(sizes: list[int], context: TurnContext, *, system: str = "", **more: Any) -> FittedContext:
    return fit_context(ChatState(messages=talk(*sizes), system=system), context, **more)


@pytest.mark.parametrize(
    ("context", "reserved", "ids"),
    [
        (turn(), 0, "0 1 2 3 4"),
        (turn(50), 0, "0 1 2 3 4"),
        (turn(49), 0, "2 3 4"),
        (turn(30), 0, "2 3 4"),
        (turn(29), 0, "4"),
        (turn(10), 0, "4"),
        # What the tools take is not there for the conversation.
        (turn(50), 1, "2 3 4"),
        (turn(49), 20, "4"),
        # A window is a limit, and a history a budget, unless the user gives one.
        (turn(window=49), 0, "2 3 4"),
        (turn(window=49), 20, "4"),
        (turn(history=49), 0, "2 3 4"),
        (turn(history=29, window=50), 0, "4"),
        (turn(50, history=29), 0, "0 1 2 3 4"),
        (turn(1000, window=49), 0, "2 3 4"),
    ],
)
def test_the_newest_whole_turns_that_fit_are_sent(context: TurnContext, reserved: int, ids: str) -> None:
    fitted = fit([10] * 5, context, reserved=reserved)
    assert sent(fitted) == ids
    left = 5 - len(fitted.messages)
    assert [message.id for message in fitted.left_out] == [str(number) for number in range(left)]
    assert fitted.trimmed is (left > 0)
    assert fitted.tokens == 10 * len(fitted.messages)


@pytest.mark.parametrize(
    ("context", "reserved", "budget"),
    [
        (turn(), 0, None),
        (turn(), 5, None),
        (turn(100), 5, 95),
        (turn(100, window=50, history=20), 0, 50),
        (turn(window=50), 5, 45),
        (turn(window=50, history=20), 5, 20),
        (turn(window=12, history=20), 2, 10),
    ],
)
def test_the_budget_is_the_smallest_bound_less_the_tools(
    context: TurnContext, reserved: int, budget: int | None
) -> None:
    assert fit([5], context, reserved=reserved).budget == budget


def test_the_prompt_takes_a_part_of_the_budget() -> None:
    fitted = fit([10] * 5, turn(50), system="s" * 10)
    assert (sent(fitted), fitted.tokens) == (f"{'s' * 10} 2 3 4", 40)
    assert len(fit([10] * 5, turn(60), system="s" * 10).messages) == 6


def test_a_tighter_budget_is_one_of_the_bounds() -> None:
    assert sent(fit([10] * 5, turn(), tighter=30)) == "2 3 4"
    assert sent(fit([10] * 5, turn(50), tighter=30)) == "2 3 4"
    assert sent(fit([10] * 5, turn(30), tighter=100)) == "2 3 4"


def test_all_of_the_budget_is_used_in_a_long_thread() -> None:
    fitted = fit([40] * 1001, turn(400))
    assert fitted.tokens == 360  # whole turns
    assert len(fitted.left_out) == 1001 - 9
    assert sent(fit([1] * 1001, turn(400))).split()[0] == "602"  # small messages too


def test_a_question_beyond_the_budget_but_not_the_limit_is_sent_alone_with_the_prompt() -> None:
    fitted = fit([10, 10, 60], turn(history=50, window=70), system="s" * 10)
    assert [message.type for message in fitted.messages] == ["system", "human"]
    assert sent(fitted).endswith(" 2")
    assert [message.id for message in fitted.left_out] == ["0", "1"]


@pytest.mark.parametrize(
    ("size", "reserved", "fits"), [(60, 0, True), (61, 0, False), (50, 10, True), (50, 11, False), (51, 10, False)]
)
def test_a_question_beyond_the_limit_is_refused(size: int, reserved: int, *, fits: bool) -> None:
    context, system = turn(window=70), "s" * 10
    if fits:
        assert len(fit([10, 10, size], context, system=system, reserved=reserved).messages) >= 2
        return
    with pytest.raises(ContextError, match="the limit of openai:gpt-fake here is") as refused:
        fit([10, 10, size], context, system=system, reserved=reserved)
    assert f"about {size} tokens, the system prompt 10" in refused.value.message
    assert (f"the tools {reserved}" in refused.value.message) is (reserved > 0)


def test_a_question_is_refused_before_the_thread_is_read() -> None:
    question = HumanMessage("q" * 60)
    asyncio.run(refuse_oversized(question, "s" * 10, turn(window=70)))
    for context in (turn(window=69), turn(69), turn(window=70, known="k")):
        with pytest.raises(ContextError):
            asyncio.run(refuse_oversized(question, "s" * 10, context))
    asyncio.run(refuse_oversized(question, "", turn(history=5)))  # no limit


def test_the_limit_of_a_request_leaves_room_for_the_answer() -> None:
    assert Limits(window=100, answer=30).request == 70
    assert (Limits().request, Limits(window=10, answer=30).request) == (None, 1)
    assert (request_limit(turn(window=100), 30), request_limit(turn(10), 30), request_limit(turn(), 30)) == (
        70,
        1,
        None,
    )


def test_the_prompt_is_the_threads_and_what_is_known_beside_it() -> None:
    def prompt(state: ChatState, **more: Any) -> str:
        [*head, question] = fit_context({"messages": talk(1), **state}, turn(**more)).messages
        assert question.id == "0"
        assert all(isinstance(message, SystemMessage) for message in head)
        return "|".join(str(message.text) for message in head)

    assert prompt({}) == ""
    assert prompt({"system": "Be brief."}) == "Be brief."
    assert prompt({"system": "Be brief."}, known="Facts.") == "Be brief.\n\nFacts."
    assert prompt({}, known="Facts.") == "Facts."
    role = ChatState(template="Talk {how}.", variables={"how": "loud"}, system="not this")
    assert prompt(role, known="Facts.") == "Talk loud.\n\nFacts."
    assert [str(message.text) for message in system_messages("Be brief.", turn(known="Facts."))] == [
        "Be brief.\n\nFacts."
    ]
    assert system_messages("", turn()) == []


def test_a_summary_is_sent_in_place_of_what_it_is_about() -> None:
    state = ChatState(messages=talk(10, 10, 10, 10, 10), summary="It was a b.", summarised="1", system="s")
    fitted = fit_context(state, turn())
    assert str(fitted.messages[0].text) == f"s\n\n{SUMMARY_LABEL}\nIt was a b."
    assert [message.id for message in fitted.messages[1:]] == ["2", "3", "4"]
    assert ([message.id for message in fitted.summed_up], fitted.trimmed) == (["0", "1"], False)
    unknown = fit_context({**state, "summarised": "another branch"}, turn())
    assert [message.id for message in unknown.messages[1:]] == ["0", "1", "2", "3", "4"]
    assert SUMMARY_LABEL not in str(unknown.messages[0].text)


def test_empty_answers_are_left_out_and_questions_in_a_row_are_one() -> None:
    messages = [HumanMessage("a", id="0"), AIMessage("", id="1"), HumanMessage("b", id="2")]
    [message] = fit_context(ChatState(messages=messages), turn()).messages
    assert message.text == "a\nb"
    assert [each.text for each in messages] == ["a", "", "b"]  # those of the thread stay
    fitted = fit_context(ChatState(messages=messages, refused=["0"]), turn())
    assert [each.text for each in fitted.messages] == ["b"]


def test_unanswered_questions_before_the_newest_one_can_be_left_out() -> None:
    asked = [HumanMessage(text, id=text) for text in "abc"]
    state = ChatState(messages=[HumanMessage("0", id="0"), AIMessage("1", id="1"), *asked])
    update = leave_out_unanswered(state)
    assert sorted(update["refused"]) == ["a", "b"]
    assert [message.id for message in open_messages({**state, **update})[1]] == ["0", "1", "c"]
    assert leave_out_unanswered({**state, **update}) == {}
    assert leave_out_unanswered(ChatState(messages=[*talk(1, 1, 1)])) == {}
    assert leave_out_unanswered({**state, "refused": ["x", "a"]})["refused"] == ["x", "a", "b"]


def test_a_server_that_keeps_the_conversation_gets_the_newest_question_alone() -> None:
    context = turn(10)
    keeper = replace(context, model=replace(context.model, keeps_conversation=True))
    fitted = fit([10, 10, 60], keeper, system="s")
    assert (sent(fitted), fitted.tokens, fitted.budget, fitted.trimmed) == ("2", 0, None, False)
    with pytest.raises(UsageError, match="keeps the conversation itself"):
        asyncio.run(compact_state(ChatState(messages=talk(1, 1, 1)), keeper))
    with pytest.raises(UsageError, match="keeps the conversation itself"):
        asyncio.run(summarise(talk(1), keeper))


def summing_up(server: FakeOpenAI, **limits: Any) -> TurnContext:
    settings = Settings(base_url=server.base_url, openai_api_key=Secret("sk-none"))
    model = build_model(NAME, settings, lambda _: None)
    context: TurnContext = turn(limits.pop("budget", None))
    return replace(context, model=replace(model, limits=Limits(**limits)))


@pytest.mark.parametrize(
    ("count", "summarised", "about"),
    [
        (3, "1", "human: a\nai: b\n"),
        (5, "1", "human: a\nai: b\n"),
        (7, "3", "human: a\nai: b\nhuman: c\nai: d\n"),
    ],
)
def test_all_turns_but_the_newest_are_summed_up(model: FakeOpenAI, count: int, summarised: str, about: str) -> None:
    model.default = Answer(" It was about letters. ")
    context = summing_up(model)
    update = asyncio.run(compact_state(ChatState(messages=talk(*[1] * count)), context))
    assert update == {"summary": "It was about letters.", "summarised": summarised}
    [request] = model.requests
    assert request.messages[1] == ("user", about)
    assert context.spent == [Tokens(11, 7)]


def test_a_summary_goes_on_from_the_last_one_unless_it_is_of_another_branch(model: FakeOpenAI) -> None:
    model.default = Answer("more")
    state = ChatState(messages=talk(*[1] * 9), summary="old", summarised="1")
    assert asyncio.run(compact_state(state, summing_up(model)))["summarised"] == "5"
    assert model.requests[0].last == ("Summary of what came before:\nold\n\nhuman: c\nai: d\nhuman: e\nai: f\n")
    asyncio.run(compact_state({**state, "summarised": "elsewhere"}, summing_up(model)))
    assert model.requests[1].last.startswith("human: a\n")
    with pytest.raises(UsageError, match="nothing to compact"):
        asyncio.run(compact_state(ChatState(messages=talk(1, 1)), turn()))


def test_a_long_conversation_is_summed_up_in_pieces_that_the_model_can_read(model: FakeOpenAI) -> None:
    model.default = Answer("s" * 200)
    # Half of a window of 40 tokens are 60 characters.
    assert asyncio.run(summarise(talk(30, 30, 70), summing_up(model, window=40))) == f"{'s' * 60} [...]"
    pieces = [request.last.split("\n\n")[-1] for request in model.requests]
    assert pieces == [f"human: {'a' * 30}\n", f"ai: {'b' * 30}\n", f"human: {'c' * 60} [...]\n"]
    assert model.requests[1].last.startswith("Summary of what came before:\nsss")
    assert asyncio.run(summarise(talk(30), summing_up(model, budget=20, window=40))) == f"{'s' * 30} [...]"
    assert asyncio.run(summarise(talk(30), summing_up(model))) == "s" * 200


def test_an_empty_summary_is_none(model: FakeOpenAI) -> None:
    model.default = Answer("  ")
    with pytest.raises(RefusedError, match="gave no summary"):
        asyncio.run(summarise(talk(1), summing_up(model)))
