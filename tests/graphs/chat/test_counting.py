"""What fitting the context costs, and which messages stay together."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langchain_openai import ChatOpenAI
from pydantic import SecretStr

from chatcli.errors import ContextError
from chatcli.graphs.chat.context import count_exactly, fit_context
from chatcli.graphs.chat.state import ChatState, TurnContext
from chatcli.graphs.chat.token_counter import TokenCounter
from chatcli.models.model import Limits, Model, Tokenizer
from chatcli.models.names import ModelName
from chatcli.sessions.history import TAKEN_OVER, is_question
from tests.bench.context import conversation


def turn(budget: int | None) -> TurnContext:
    client = ChatOpenAI(model="gpt-fake", api_key=SecretStr("none"))
    return TurnContext(Model(ModelName("openai", "gpt-fake"), client, Limits()), budget)


class Looking(TokenCounter):
    """Notes which messages it is asked about."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str | None] = set()

    def _one(self, message: BaseMessage) -> float:
        self.seen.add(message.id)
        return super()._one(message)


class Everything(TokenCounter):
    """Looks at every message of a thread."""

    def reach(self, messages: Sequence[BaseMessage], tokens: int) -> int:
        return 0


def test_a_late_turn_looks_at_no_more_messages_than_an_early_one() -> None:
    looked = []
    for count in (1_001, 10_001):
        counter = Looking()
        fit_context(ChatState(messages=conversation(count)), replace(turn(2000), counter=counter))
        looked.append(len(counter.seen))
    assert looked[0] == looked[1] < 100


_words = st.sampled_from(["", "a few words", "word " * 60])
_asks = st.builds(AIMessage, _words, tool_calls=st.just([{"name": "clock", "args": {}, "id": "1"}]))
_steps = st.one_of(
    st.tuples(st.builds(HumanMessage, _words)),
    st.tuples(st.builds(AIMessage, _words)),
    st.tuples(_asks),
    st.tuples(_asks, st.builds(ToolMessage, _words, tool_call_id=st.just("1"))),
)


@given(st.lists(_steps, max_size=40), st.integers(20, 400))
def test_what_lies_out_of_reach_changes_nothing(steps: list[tuple[BaseMessage, ...]], budget: int) -> None:
    messages = [message for step in steps for message in step]
    thread = [message.model_copy(update={"id": str(number)}) for number, message in enumerate(messages)]
    state = ChatState(messages=[*thread, HumanMessage("And now?", id="last")])
    assert _fitted(state, turn(budget)) == _fitted(state, replace(turn(budget), counter=Everything()))


def _fitted(state: ChatState, context: TurnContext) -> object:
    """Return what is sent and what is not, less the IDs of results that were filled in; None for a refusal."""
    try:
        fitted = fit_context(state, context)
    except ContextError:
        return None
    groups = (fitted.messages, fitted.left_out)
    return [[(message.type, str(message.text)) for message in group] for group in groups], fitted.trimmed


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


class Characters:
    """A tokenizer whose tokens are characters; notes what it is asked."""

    def __init__(self, *, broken: bool = False) -> None:
        self.asked: list[str] = []
        self._broken = broken

    async def count(self, texts: Sequence[str]) -> list[int] | None:
        self.asked += texts
        return None if self._broken else [len(text) for text in texts]


def _counted_by(tokenizer: Characters, budget: int) -> TurnContext:
    own = Tokenizer(tokenizer.count, per_message=2, per_request=1)
    context = turn(budget)
    return replace(context, model=replace(context.model, tokenizer=own), counter=TokenCounter(own))


def test_the_models_own_tokenizer_counts_each_text_once() -> None:
    tokenizer, state = Characters(), ChatState(messages=conversation(5), system="Be brief.")
    context = _counted_by(tokenizer, 1250)
    asyncio.run(count_exactly(state, context))
    fitted = fit_context(state, context)
    assert fitted.tokens == 1 + sum(len(str(message.text)) + 2 for message in fitted.messages)
    assert sorted(tokenizer.asked) == sorted(str(message.text) for message in fitted.messages)
    context.counter.learn(fitted.messages, 10 * fitted.tokens)
    state["messages"] = [*state["messages"], AIMessage("Yes.", id="a"), HumanMessage("And now?", id="q")]
    tokenizer.asked.clear()
    asyncio.run(count_exactly(state, context))
    assert tokenizer.asked == ["Yes.", "And now?"]
    assert fit_context(state, context).tokens == fitted.tokens + len("Yes.And now?") + 4


def test_a_tokenizer_is_not_asked_where_everything_fits_or_nothing_can() -> None:
    for budget in (100_000, 20):
        tokenizer = Characters()
        asyncio.run(count_exactly(ChatState(messages=conversation(6)), _counted_by(tokenizer, budget)))
        assert tokenizer.asked == []


def test_a_tokenizer_that_cannot_be_asked_leaves_the_approximation() -> None:
    state = ChatState(messages=conversation(6))
    context = _counted_by(Characters(broken=True), 1000)
    asyncio.run(count_exactly(state, context))
    assert fit_context(state, context).tokens == fit_context(state, turn(1000)).tokens + 1


def test_what_is_not_text_alone_is_approximated() -> None:
    call = AIMessage("Let me look.", id="c", tool_calls=[{"name": "clock", "args": {}, "id": "1"}])
    messages = [HumanMessage("What time is it? " * 9, id="q"), call, ToolMessage("noon " * 9, tool_call_id="1", id="r")]
    tokenizer = Characters()
    asyncio.run(count_exactly(ChatState(messages=messages), _counted_by(tokenizer, 100)))
    assert tokenizer.asked == ["What time is it? " * 9]


def test_a_question_after_the_summary_of_another_branch_is_the_newest_turn() -> None:
    marks = {"lc_source": "summarization", TAKEN_OVER: True}
    taken = HumanMessage("Summary of another branch", id="s", additional_kwargs=marks)
    messages = [*conversation(20), taken, HumanMessage("And now?", id="q")]
    fitted = fit_context(ChatState(messages=messages), turn(None))
    assert fitted.messages[-1].text == "Summary of another branch\nAnd now?"
    assert is_question(fitted.messages[-1])
    alone = fit_context(ChatState(messages=messages), turn(100))
    assert [message.text for message in alone.messages] == ["Summary of another branch\nAnd now?"]
