"""What the node that asks the model sends, tries again, stores and reports."""

from collections.abc import Sequence
from typing import Any

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langgraph.checkpoint.memory import InMemorySaver

from chatcli.config.settings import Settings
from chatcli.errors import AuthError, ChatcliError, ContextError, CutAnswerError, NetworkError, RefusedError
from chatcli.events import Notice
from chatcli.graphs.chat.graph import build_graph
from chatcli.graphs.chat.state import TurnContext
from chatcli.models.build import build_model
from chatcli.models.names import ModelName
from chatcli.store.usage import REQUEST, Tokens
from tests.fakes.openai_server import FakeOpenAI
from tests.fakes.steps import (
    Answer,
    Drop,
    Fail,
    Request,
    TokenCount,
    content_filtered,
    context_too_long,
    server_error,
    unauthorized,
)

TALK = [kind(f"{kind.__name__} {number} " + "word " * 30) for number in range(4) for kind in (HumanMessage, AIMessage)]
"""Four turns of some 40 tokens a message."""


class Thread:
    """A thread of the plain chat that a scripted server answers; `told` has what the newest turn reported."""

    def __init__(self, fake: FakeOpenAI, before: Sequence[BaseMessage] = (), **context: Any) -> None:
        settings = Settings.load({"base_url": fake.base_url})
        model = build_model(ModelName("openai", "gpt-fake"), settings, lambda event: None)
        self.turn = TurnContext(model, **context)
        self.before = list(before)
        self.graph = build_graph(InMemorySaver())
        self.told: list[Any] = []

    async def ask(self, text: str) -> BaseMessage:
        """Ask, and return the newest message."""
        messages, self.before = [*self.before, HumanMessage(text)], []
        self.told = []
        config: Any = {"configurable": {"thread_id": "t"}}
        async for event in self.graph.astream({"messages": messages}, config, context=self.turn, stream_mode="custom"):
            self.told.append(event)
        self.values = (await self.graph.aget_state(config)).values
        newest: BaseMessage = self.values["messages"][-1]
        return newest

    @property
    def notices(self) -> str:
        return "\n".join(event.text for event in self.told if isinstance(event, Notice))

    @property
    def sizes(self) -> list[tuple[int, int]]:
        """The messages that each request had, and those in the thread, as they were reported."""
        reports = [event for event in self.told if isinstance(event, dict) and "messages_in_context" in event]
        return [(report["messages_in_context"], report["messages_in_thread"]) for report in reports]


async def test_a_context_that_is_too_long_is_tried_once_more_with_fewer_turns(model: FakeOpenAI) -> None:
    thread = Thread(model, TALK)
    model.script(context_too_long(), Answer("Fine."))
    assert (await thread.ask("And now?")).text == "Fine."
    first, second = (len(request.messages) for request in model.requests)
    assert (first, second) == (9, 5)  # whole turns
    assert thread.sizes == [(9, 10), (5, 10)]
    model.script(context_too_long(), context_too_long())
    with pytest.raises(ContextError):
        await thread.ask("And then?")
    assert len(model.requests) == 4


async def test_unanswered_questions_are_left_out_after_a_refusal_and_stay_so(model: FakeOpenAI) -> None:
    thread = Thread(model, [HumanMessage("hello"), AIMessage("Hi."), HumanMessage("a bomb")])
    model.script(content_filtered(), Answer("Roses."), Answer("Honey."))
    await thread.ask("flowers")
    assert "no longer sent: the model refused the request with them" in thread.notices
    await thread.ask("bees")
    assert "no longer sent" not in thread.notices
    sent = [[text for role, text in request.messages if role == "user"] for request in model.requests]
    assert sent[1:] == [["hello", "flowers"], ["hello", "flowers", "bees"]]
    assert "a bomb" in "".join(sent[0])


@pytest.mark.parametrize(
    ("step", "error"),
    [
        (content_filtered(), RefusedError),  # there is nothing to leave out
        (Answer("Half", finish_reason="content_filter"), CutAnswerError),  # its part was shown
        (Drop("Half", "end"), NetworkError),
        (unauthorized(), AuthError),
    ],
)
async def test_a_request_that_can_not_succeed_is_sent_once(
    model: FakeOpenAI, step: Any, error: type[ChatcliError]
) -> None:
    thread = Thread(model, [HumanMessage("hello"), AIMessage("Hi.")])
    model.script(step)
    with pytest.raises(error):
        await thread.ask("flowers")
    assert len(model.requests) == 1


async def test_what_was_shown_of_an_answer_is_not_asked_for_again_without_the_other_questions(
    model: FakeOpenAI,
) -> None:
    thread = Thread(model, [HumanMessage("a bomb")])
    model.script(Answer("Half", finish_reason="content_filter"))
    with pytest.raises(CutAnswerError):
        await thread.ask("flowers")
    assert len(model.requests) == 1


async def test_a_pause_before_another_try_is_told_as_passing(model: FakeOpenAI) -> None:
    thread = Thread(model)
    model.script(server_error(), Answer("Fine."))
    await thread.ask("hello")
    [notice] = [event for event in thread.told if isinstance(event, Notice)]
    assert ("asking again" in notice.text, notice.passing) == (True, True)


async def test_what_is_left_out_is_told_once(model: FakeOpenAI) -> None:
    thread = Thread(model, TALK, context_tokens=150)
    await thread.ask("And now?")
    assert "oldest messages are no longer sent" in thread.notices
    await thread.ask("And then?")
    assert thread.notices == ""
    assert all("Summarise" not in request.messages[0][1] for request in model.requests)


@pytest.mark.parametrize(
    ("summary", "told"),
    [
        (Answer("They talked."), "the oldest messages are now sent as a summary"),
        (content_filtered(), "the oldest messages are left out, since no summary was made"),
    ],
)
async def test_the_oldest_messages_are_summed_up_where_the_user_wants_that(
    model: FakeOpenAI, summary: Answer | Fail, told: str
) -> None:
    def answer(request: Request) -> Answer | Fail:
        return summary if "Summarise" in request.messages[0][1] else Answer("Fine.")

    model.default = answer
    thread = Thread(model, TALK, context_tokens=150, auto_compact=True)
    assert (await thread.ask("And now?")).text == "Fine."
    assert told in thread.notices
    assert any("They talked." in text for _, text in model.requests[-1].messages) == ("as a summary" in told)


async def test_what_was_used_on_the_way_is_noted_with_the_next_answer_alone(model: FakeOpenAI) -> None:
    thread = Thread(model)
    thread.turn.spent.append(Tokens(5, 3))
    noted = [(await thread.ask(text)).response_metadata for text in ("one", "two")]
    assert [each[REQUEST].get("also") for each in noted] == [[5, 3, 0, 0], None]
    assert all(each["finish_reason"] == "stop" and each[REQUEST]["own_server"] for each in noted)


async def test_the_count_of_tokens_learns_from_long_requests_alone(model: FakeOpenAI) -> None:
    thread = Thread(model)
    text = [HumanMessage("word " * 1000)]
    before = thread.turn.counter.count(text)
    model.default = Answer("Fine.", usage=TokenCount(4000, 3))
    await thread.ask("hello")
    assert thread.turn.counter.count(text) == before
    await thread.ask("word " * 1000)
    assert thread.turn.counter.count(text) > 2 * before
