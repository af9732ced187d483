"""The library in a caller's own event loop: `ask` and `stream`."""

import asyncio
import gc
import logging
import re
import signal
import sys
import warnings
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from operator import add
from pathlib import Path
from typing import Annotated, Any, TypedDict, assert_type

import pytest
from langchain_core.language_models.fake_chat_models import FakeListChatModel
from langchain_core.messages import AIMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import Runnable, RunnableConfig, RunnableGenerator, RunnableLambda
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.func import entrypoint
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.runtime import Runtime
from langgraph.types import interrupt
from pydantic import BaseModel

import chatcli
from chatcli.events import TurnFinished
from chatcli.runtime.exits import exits_contained
from tests.fakes.openai_server import FakeOpenAI
from tests.sample_graphs import exits
from tests.sample_graphs.small import builder, builder_of, graph

MODEL = FakeListChatModel(responses=["from the model"])
CHAIN = ChatPromptTemplate.from_messages([("placeholder", "{messages}")]) | MODEL


pytestmark = pytest.mark.usefixtures("own_folders")


def reply(message: str, history: list[Any]) -> str:
    return f"{message}, after {[one.text for one in history]}"


async def reply_later(message: str, history: list[Any]) -> str:
    return reply(message, history)


def pieces(message: str, history: list[Any]) -> Iterator[str]:
    yield from ("You ", "said ", message)


async def pieces_later(message: str, history: list[Any]) -> AsyncIterator[str]:
    for piece in pieces(message, history):
        yield piece


def factory() -> Any:
    return builder


async def later(config: RunnableConfig) -> Any:
    return graph


@contextmanager
def managed() -> Iterator[Any]:
    yield builder


@asynccontextmanager
async def managed_later() -> AsyncIterator[Any]:
    yield graph


ASKED = ["You asked: one.", "You asked: one, two."]
REPLIED = ["one, after []", "two, after ['one', 'one, after []']"]


@pytest.mark.parametrize(
    ("made", "answers"),
    [
        *((made, ASKED) for made in (graph, builder, factory, later, managed, managed_later)),
        # A plain function gets the message and the history.
        *((function, REPLIED) for function in (reply, reply_later, lambda message, history: reply(message, history))),
    ],
)
async def test_a_graph_or_what_makes_one_or_a_plain_function_answers(made: object, answers: list[str]) -> None:
    assert [(await chatcli.ask(made, text, thread="t")).content for text in ("one", "two")] == answers


@pytest.mark.parametrize("function", [pieces, pieces_later])
async def test_what_a_generator_yields_is_shown_when_it_comes(function: object) -> None:
    waits = asyncio.Event()

    async def slow(message: str, history: list[Any]) -> AsyncIterator[str]:
        yield "first"
        await waits.wait()
        yield " second"

    content = (await chatcli.ask(function, "hi")).content
    texts = []
    async for event in chatcli.stream(slow, "hi"):
        if event.type == "text_delta":
            texts.append(event.text)
            waits.set()
    assert (content, texts) == ("You said hi", ["first", " second"])


async def shouted(texts: AsyncIterator[str]) -> AsyncIterator[str]:
    async for text in texts:
        yield text.upper()


def asked(value: dict[str, Any]) -> str:
    return f"asked {value['question']}"


@pytest.mark.parametrize(
    ("runnable", "answer"),
    [
        (MODEL, "from the model"),
        (CHAIN, "from the model"),
        (CHAIN | StrOutputParser(), "from the model"),
        (CHAIN | StrOutputParser() | RunnableGenerator(shouted), "FROM THE MODEL"),
        (RunnableLambda(lambda messages: f"{len(messages)} message"), "1 message"),
        (
            ChatPromptTemplate.from_template("{question}?") | RunnableLambda(lambda prompt: prompt.to_string()),
            "Human: hi?",
        ),
        (RunnableLambda(lambda messages: {"messages": [("assistant", "a state")]}), "a state"),
        (RunnableLambda(lambda messages: {"found": ["a", 1]}), '{"found": ["a", 1]}'),
    ],
)
def test_a_runnable_over_messages_answers(runnable: Runnable[Any, Any], answer: str) -> None:
    assert asyncio.run(chatcli.ask(runnable, "hi")).content == answer


class Found(BaseModel):
    name: str
    size: int


RETURNED = [
    ({"found": ["a", 1]}, '{"found": ["a", 1]}', {"found": ["a", 1]}),
    (Found(name="tea", size=3), "tea", {"name": "tea", "size": 3}),
    ({"answer": "yes", "sure": 0.5}, "yes", {"answer": "yes", "sure": 0.5}),
    ("text", "text", None),
    (AIMessage("a message"), "a message", None),
]
"""What a runnable or a function returns, and the content and the output of the answer."""


@pytest.mark.parametrize(
    ("returned", "content", "output"),
    [*RETURNED, ([1, 2], "[1, 2]", [1, 2]), ({"messages": [("assistant", "a state")]}, "a state", None)],
)
def test_what_a_runnable_returns_beside_text_is_the_output(returned: Any, content: str, output: Any) -> None:
    answer = asyncio.run(chatcli.ask(RunnableLambda(lambda messages: returned), "hi"))
    assert (answer.content, answer.output) == (content, output)


@pytest.mark.parametrize(("returned", "content", "output"), [*RETURNED, (42, "42", 42), (None, "", None)])
@pytest.mark.parametrize("asynchronous", [False, True])
def test_what_a_function_returns_beside_text_is_the_output(
    returned: Any, content: str, output: Any, *, asynchronous: bool
) -> None:
    def function(message: str, history: list[Any]) -> Any:
        return returned

    async def later(message: str, history: list[Any]) -> Any:
        return returned

    answer = asyncio.run(chatcli.ask(later if asynchronous else function, "hi"))
    assert (answer.content, answer.output) == (content, output)


def test_an_answer_has_the_fields_of_the_json_format() -> None:
    answer = asyncio.run(chatcli.ask(builder, "hi", thread="t", name="echo"))
    assert (answer.thread_id, answer.model, answer.role) == ("t", "graph:echo", "assistant")
    assert (answer.finish_reason, answer.interrupted, answer.messages_in_thread) == ("stop", False, 2)
    assert answer.checkpoint_id
    assert answer.usage.total_tokens == 0
    assert str(answer) == answer.content


def test_a_model_in_place_of_a_graph_is_the_plain_chat(fake: FakeOpenAI, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", fake.base_url)
    monkeypatch.setenv("OPENAI_API_KEY", str(fake.key))
    handlers = list(logging.getLogger().handlers)
    answer = asyncio.run(chatcli.ask(model="openai:gpt-4o-mini", question="hi", thread="t"))
    assert answer.model == "openai:gpt-4o-mini"
    assert answer.content
    assert logging.getLogger().handlers == handlers


def test_a_graph_with_its_own_checkpointer_keeps_it(tmp_path: Path) -> None:
    saver = InMemorySaver()
    own = builder.compile(checkpointer=saver)
    asyncio.run(chatcli.ask(own, "hi", thread="mine"))
    assert saver.get_tuple({"configurable": {"thread_id": "mine"}}) is not None


async def test_a_store_in_memory_lasts_as_long_as_the_process() -> None:
    await chatcli.ask(reply, "one", thread="in memory", store="memory:")
    second = await chatcli.ask(reply, "two", thread="in memory", store="memory:")
    assert second.content == "two, after ['one', 'one, after []']"


async def test_several_threads_are_answered_at_once() -> None:
    """None of them could end if they ran one after the other."""
    barrier = asyncio.Barrier(5)

    async def together(message: str, history: list[Any]) -> str:
        await barrier.wait()
        return message

    asks = [chatcli.ask(together, str(number), thread=f"t{number}") for number in range(5)]
    assert [answer.content for answer in await asyncio.gather(*asks)] == ["0", "1", "2", "3", "4"]


async def test_turns_of_one_thread_wait_for_each_other() -> None:
    running = 0

    async def alone(message: str, history: list[Any]) -> str:
        nonlocal running
        running += 1
        assert running == 1
        await asyncio.sleep(0.01)
        running -= 1
        return f"{len(history)}"

    answers = await asyncio.gather(*(chatcli.ask(alone, "hi", thread="same") for _ in range(3)))
    assert sorted(answer.content for answer in answers) == ["0", "2", "4"]


async def asked_after_cancelling(work: Coroutine[Any, Any, object], begun: asyncio.Event) -> str:
    """Cancel `work` when it has begun, and return what the thread's next turn answers."""
    task = asyncio.create_task(work)
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    return (await chatcli.ask(reply, "what?", thread="t")).content


def test_a_cancelled_task_leaves_the_partial_answer_in_the_thread() -> None:
    arrived = asyncio.Event()

    async def endless(message: str, history: list[Any]) -> AsyncIterator[str]:
        yield "as far as it came"
        await asyncio.Event().wait()

    async def consume() -> None:
        async for event in chatcli.stream(endless, "go", thread="t"):
            if event.type == "text_delta":
                arrived.set()

    assert asyncio.run(asked_after_cancelling(consume(), arrived)) == "what?, after ['go', 'as far as it came']"


def test_a_cancelled_ask_leaves_its_question_in_the_thread() -> None:
    begun = asyncio.Event()

    async def endless(message: str, history: list[Any]) -> str:
        begun.set()
        await asyncio.Event().wait()
        raise AssertionError("it is cancelled")

    asking = chatcli.ask(endless, "go", thread="t")
    assert asyncio.run(asked_after_cancelling(asking, begun)) == "what?, after ['go']"


async def test_a_consumer_that_gives_up_stops_the_turn() -> None:
    async def endless(message: str, history: list[Any]) -> AsyncIterator[str]:
        yield "some"
        await asyncio.Event().wait()

    events = chatcli.stream(endless, "go", thread="t")
    async for event in events:
        if event.type == "text_delta":
            break
    await events.aclose()
    assert (await chatcli.ask(reply, "what?", thread="t")).content == "what?, after ['go', 'some']"


def test_the_last_event_is_the_end_of_the_turn() -> None:
    def fails(message: str, history: list[Any]) -> str:
        raise KeyError("broken")

    async def types(function: object) -> list[str]:
        return [event.type async for event in chatcli.stream(function, "hi")]

    assert asyncio.run(types(reply)) == ["turn_started", "text_delta", "turn_finished"]
    assert asyncio.run(types(fails))[-1] == "turn_failed"


def test_a_failed_turn_is_a_runtime_error_that_says_why() -> None:
    def fails(message: str, history: list[Any]) -> str:
        raise KeyError("broken")

    with pytest.raises(RuntimeError, match="KeyError: 'broken'") as raised:
        asyncio.run(chatcli.ask(fails, "hi", thread="t"))
    failure: Any = raised.value
    assert (failure.code, failure.retryable, failure.thread_id) == ("internal", False, "t")


def test_the_answers_of_nodes_side_by_side_come_in_the_order_of_the_state() -> None:
    right_ended = asyncio.Event()

    async def left(state: MessagesState) -> dict[str, Any]:
        await right_ended.wait()
        return {"messages": [AIMessage("left")]}

    async def right(state: MessagesState) -> dict[str, Any]:
        right_ended.set()
        return {"messages": [AIMessage("right")]}

    both = StateGraph(MessagesState).add_node(left).add_node(right).add_edge(START, "left").add_edge(START, "right")
    answer = asyncio.run(chatcli.ask(both, "hi", thread="sides"))
    assert answer.content == "left\n\nright"


@pytest.mark.parametrize("place", ["node", "async_node", "task", "parallel", "branch", "tools"])
async def test_a_graph_that_ends_the_program_fails_its_turn_alone(place: str) -> None:
    def make_task(loop: asyncio.AbstractEventLoop, work: Any, **options: Any) -> Any:
        return asyncio.Task(work, loop=loop, **options)

    loop = asyncio.get_running_loop()
    loop.set_task_factory(make_task)
    asked = [chatcli.ask(one, "hi") for one in (getattr(exits, place), exits.quick)]
    answers: list[Any] = await asyncio.gather(*asked, return_exceptions=True)
    assert loop.get_task_factory() is make_task
    failed, answer = answers
    assert isinstance(failed, RuntimeError)
    assert re.search(
        r"'graph' failed in the node \S+: it ended the program by sys\.exit\(3\) \(.*exits\.py, line \d+\)", str(failed)
    )
    assert answer.content == "still here"


@pytest.mark.parametrize("made", [exits.factory, exits.factory_later])
def test_a_factory_that_ends_the_program_is_a_value_error(made: Any) -> None:
    with pytest.raises(ValueError, match=r"can't be loaded: it ended the program by sys\.exit\(3\) \(.*exits\.py"):
        asyncio.run(chatcli.ask(made, "hi"))


def test_a_keyboard_interrupt_of_the_graphs_code_is_no_ctrl_c() -> None:
    with pytest.raises(RuntimeError, match="ended the program by KeyboardInterrupt"):
        asyncio.run(chatcli.ask(exits.interrupt, "hi"))


def test_a_ctrl_c_that_no_loop_handles_is_the_callers() -> None:
    with pytest.raises(KeyboardInterrupt), exits_contained():
        signal.raise_signal(signal.SIGINT)


async def test_an_interrupt_is_answered_by_resume() -> None:
    def careful(message: str, history: list[Any]) -> str:
        return f"got {interrupt('sure?')}"

    first = await chatcli.ask(careful, "hi", thread="t")
    assert first.finish_reason == "interrupt"
    assert [request.payload for request in first.approvals] == ["sure?"]
    with pytest.raises(ValueError, match="waits for an answer"):
        await chatcli.ask(careful, "another", thread="t")
    assert (await chatcli.ask(careful, thread="t", resume={"yes": True})).content == "got {'yes': True}"


class Steps(MessagesState):
    done: Annotated[list[str], add]


def stopping_graph() -> Any:
    """Return a graph that stops before its second node, which answers."""
    made = StateGraph(Steps)
    made.add_node("plan", lambda state: {"done": ["plan"]})
    made.add_node("act", lambda state: {"done": ["act"], "messages": [AIMessage(",".join([*state["done"], "act"]))]})
    made.add_edge(START, "plan")
    made.add_edge("plan", "act")
    return made.compile(name="stopping", interrupt_before=["act"])


async def test_resume_goes_on_where_the_graph_stopped_at_a_breakpoint() -> None:
    made = stopping_graph()

    first = await chatcli.ask(made, "hi", thread="t")
    assert (first.finish_reason, first.content, first.approvals) == ("breakpoint", "", ())
    with pytest.raises(ValueError, match="stopped at a breakpoint before act") as raised:
        await chatcli.ask(made, "another", thread="t")
    assert "resume=None" in raised.value.remedy  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match="stopped at a breakpoint before act"):
        await chatcli.ask(made, thread="t", resume="an answer that nobody asked for")
    last = await chatcli.ask(made, thread="t", resume=None)
    with pytest.raises(ValueError, match="nothing to go on with"):
        await chatcli.ask(made, thread="t", resume=None)
    assert (last.content, last.finish_reason) == ("plan,act", "stop")


async def test_stream_goes_on_where_the_graph_stopped_at_a_breakpoint() -> None:
    made = stopping_graph()

    found = []
    for given in ({"question": "hi"}, {"resume": None}):
        async for event in chatcli.stream(made, thread="t", **given):
            found += [event.finish_reason] if isinstance(event, TurnFinished) else []
    assert found == ["breakpoint", "stop"]


async def test_several_interrupts_are_answered_by_their_ids() -> None:
    def ask_for(name: str) -> Any:
        return lambda state: {"done": [f"{name}={interrupt(name)}"]}

    made = StateGraph(Steps)
    made.add_node("one", ask_for("one"))
    made.add_node("two", ask_for("two"))
    made.add_node("last", lambda state: {"messages": [AIMessage(",".join(sorted(state["done"])))]})
    made.add_edge(START, "one")
    made.add_edge(START, "two")
    made.add_edge(["one", "two"], "last")

    first = await chatcli.ask(made, "hi", thread="t", name="both")
    with pytest.raises(ValueError, match="waits for 2 answers"):
        await chatcli.ask(made, thread="t", name="both", resume=None)
    answers = {request.interrupt_id: str(request.payload).upper() for request in first.approvals}
    assert (await chatcli.ask(made, thread="t", name="both", resume=answers)).content == "one=ONE,two=TWO"


def test_files_go_along_with_the_question(tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("the note")
    assert "the note" in asyncio.run(chatcli.ask(reply, "read", files=[tmp_path / "note.txt"])).content


async def test_the_callers_process_is_left_as_it_is(capfd: pytest.CaptureFixture[str]) -> None:
    def state() -> tuple[object, ...]:
        signals = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
        streams = (sys.stdout, sys.stderr, sys.stdin)
        return (signals, streams, logging.getLogger().handlers[:], warnings.filters[:], gc.get_threshold())

    before = state()
    async for _ in chatcli.stream(builder, "hi"):
        assert state() == before
    await chatcli.ask(reply, "hi")
    assert state() == before
    assert state()[2:] == before[2:]
    assert capfd.readouterr() == ("", "")


class QuestionAnswer(TypedDict):
    question: str
    answer: str


class Words(TypedDict):
    one: str
    two: str


@dataclass
class Who:
    user: str


def one_node(state: Any, node: Any, context: Any = None) -> StateGraph[Any, Any]:
    made: StateGraph[Any, Any] = StateGraph(state, context_schema=context)
    made.add_node("node", node)
    made.add_edge(START, "node")
    return made


PLAIN = one_node(QuestionAnswer, lambda state: {"answer": f"re: {state['question']}"})
UNCLEAR = one_node(Words, lambda state: {"two": state["one"].upper()})


def greet(state: MessagesState, runtime: Runtime[Who]) -> dict[str, Any]:
    return {"messages": [AIMessage(f"Hello {runtime.context.user}")]}


GREETING = one_node(MessagesState, greet, Who)


@entrypoint()
async def flow(question: str) -> str:
    return f"flow: {question}"


async def test_a_graph_without_messages_answers() -> None:
    plain = await chatcli.ask(PLAIN, "why?")
    chosen = await chatcli.ask(UNCLEAR, "why?", thread="t", input_key="one", output_key="two")
    again = await chatcli.ask(UNCLEAR, "how?", thread="t")  # the thread remembers
    functional = await chatcli.ask(flow, "why?")
    assert [plain.content, chosen.content, again.content, functional.content, functional.model] == [
        "re: why?",
        "WHY?",
        "HOW?",
        "flow: why?",
        "graph:flow",
    ]


def test_a_graph_that_does_not_say_where_the_question_goes_is_refused_at_the_call() -> None:
    with pytest.raises(ValueError, match="the argument input_key"):
        chatcli.stream(UNCLEAR, "hi")
    with pytest.raises(ValueError, match="the argument input_key"):
        asyncio.run(chatcli.ask(lambda: UNCLEAR, "hi"))


def test_the_context_is_that_of_the_schema_and_the_thread_remembers_it() -> None:
    async def talk() -> list[str]:
        first = await chatcli.ask(GREETING, "hi", thread="t", context={"user": "Ann"})
        return [first.content, (await chatcli.ask(GREETING, "hi", thread="t")).content]

    assert asyncio.run(talk()) == ["Hello Ann", "Hello Ann"]
    with pytest.raises(ValueError, match="the field user"):
        asyncio.run(chatcli.ask(GREETING, "hi"))
    with pytest.raises(ValueError, match="type str"):
        asyncio.run(chatcli.ask(GREETING, "hi", context={"user": 7}))


@pytest.mark.parametrize(
    ("made", "values", "message"),
    [
        (GREETING, {"context": {"user": 7}}, "the field user of the graph's context is of the type str"),
        (GREETING, {"context": {"usr": "Ann"}}, "the graph's context has no field usr"),
        (GREETING.compile(), {"input": {"mood": "good"}}, "the graph's input has no field mood"),
        (GREETING, {"input": {"messages": []}}, "the field messages of the graph's input takes the question"),
        (GREETING, {"configurable": {"user": 7}}, "the field user of the graph's configurable is of the type str"),
        (PLAIN, {"input": {"question": "why?"}, "input_key": "question"}, "takes the question"),
        (PLAIN, {"input": {"questions": 3}}, "no field questions"),
        (reply, {"input": {"mood": "good"}}, "no field mood"),
        (CHAIN, {"input": {"mood": "good"}}, "no field mood"),
    ],
)
@pytest.mark.parametrize("thread", [None, "t"])
def test_a_value_that_the_graph_does_not_take_is_refused_at_the_call(
    made: object, values: dict[str, Any], message: str, thread: str | None
) -> None:
    with pytest.raises(ValueError, match=message):
        chatcli.stream(made, "hi", thread=thread, **values)


def test_a_value_that_a_factorys_graph_does_not_take_fails_the_turn() -> None:
    with pytest.raises(ValueError, match="no field usr"):
        asyncio.run(chatcli.ask(lambda: GREETING, "hi", context={"usr": "Ann"}))


UNFINISHED = StateGraph(MessagesState)
UNFINISHED.add_edge(START, "missing")


def three(one: str, two: str, three: str) -> str:
    raise AssertionError("it is never called")


def two(one: int, two: int) -> str:
    raise AssertionError("it is never called")


def by_keyword(*, message: str) -> str:
    raise AssertionError("it is never called")


def none() -> None:
    return None


def broken() -> Any:
    raise OSError("no model here")


@pytest.mark.parametrize(
    ("given", "kind", "message"),
    [
        (3, TypeError, "is an int, not a graph"),
        ("agent.py:graph", TypeError, "is a str, not a graph"),
        (dict, TypeError, "is the class dict, not a graph"),
        (None, TypeError, "give a graph"),
        (three, TypeError, r"function with the parameters \(one, two, three\)"),
        (two, TypeError, r"function with the parameters \(one, two\)"),
        (by_keyword, TypeError, r"function with the parameters \(\*, message\)"),
        (lambda: 3, TypeError, "what 'graph' returned is an int, not a graph"),
        (none, TypeError, "what 'none' returned is a NoneType, not a graph"),
        (broken, ValueError, "OSError: no model here"),
        (UNFINISHED, ValueError, "can't be compiled"),
    ],
)
def test_what_is_no_graph_is_refused_at_the_call(given: object, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        asyncio.run(chatcli.ask(given, "hi"))


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ({"store": "elsewhere:x"}, ValueError, "unknown store"),
        ({"thread": ""}, ValueError, "a thread ID has 1 to 200 characters"),
        ({"thread": 7}, TypeError, "thread must be a text"),
        ({"name": "a:b"}, ValueError, "the name 'a:b' can't be used"),
        ({"model": "openai:gpt-4o-mini"}, TypeError, "give a graph, or model"),
        ({"context": ["user_id"]}, TypeError, "context must be a mapping"),
        ({"resume": True, "thread": "t"}, TypeError, "give a question, or resume"),
    ],
)
def test_a_wrong_argument_is_refused_at_the_call(
    arguments: dict[str, Any], kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        chatcli.stream(reply, "hi", **arguments)


def test_a_name_that_another_graph_has_is_refused() -> None:
    first, second = builder_of(reply, "one").compile(), builder_of(reply, "two").compile()
    again = builder_of(reply, "one").compile()
    other = builder_of(greet, "one").compile()
    chatcli.stream(first, "hi", name="taken")
    for another in (second, other, reply):
        with pytest.raises(ValueError, match="'taken' is taken"):
            chatcli.stream(another, "hi", name="taken")
    chatcli.stream(again, "hi", name="taken")  # the same graph, made once more
    chatcli.stream(second, "hi", name="taken", store="memory:")


@pytest.mark.parametrize("name", ["", "a b", "-x", "../x", "chat", "threadchat"])
def test_a_command_has_a_name_of_its_own(name: str) -> None:
    with pytest.raises(ValueError, match="the name"):
        chatcli.command(builder, name=name)


def test_run_is_refused_where_a_loop_runs() -> None:
    async def within() -> None:
        chatcli.run(builder)

    with pytest.raises(RuntimeError, match=r"await chatcli\.ask"):
        asyncio.run(within())


def test_the_package_has_types() -> None:
    package = Path(chatcli.__file__).parent
    assert (package / "py.typed").exists()
    stub = (package / "__init__.pyi").read_text()
    for name in chatcli.__all__:
        assert getattr(chatcli, name) is not None
        assert f'"{name}"' in stub


async def typed_program() -> str:
    """Use the library as mypy, which checks the tests in strict mode, has to understand it; nobody calls this."""
    answer = await chatcli.ask(reply, "hi", thread="t", context={"user": "me"})
    total: int = answer.usage.total_tokens
    finished = ""
    assert_type(answer, chatcli.Answer)
    async for event in chatcli.stream(reply, "hi"):
        if event.type == "text_delta":
            assert_type(event, chatcli.TextDelta)
            finished += event.text
        elif isinstance(event, chatcli.ToolCallStarted):
            finished += event.node
        elif event.type == "turn_finished":
            finished = event.checkpoint_id
    code: int = chatcli.run(reply, model=None)
    main = chatcli.command(reply, name="my-agent")
    done: int = main(["hi"])
    return answer.content + answer.thread_id + finished + str(total + code + done)
