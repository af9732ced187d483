"""Graphs without messages, for `--graph tests/sample_graphs/answers.py:NAME`; none needs a real model or a key."""

import asyncio
import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, TypedDict

from langchain.agents import create_agent
from langchain.agents.structured_output import ToolStrategy
from langchain_core.documents import Document
from langchain_core.language_models import BaseChatModel
from langchain_core.language_models.fake_chat_models import FakeListChatModel
from langchain_core.messages import AIMessage, AnyMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.runnables import Runnable, RunnableLambda
from langgraph.config import get_stream_writer
from langgraph.func import entrypoint, task
from langgraph.graph import START, MessagesState, StateGraph, add_messages
from langgraph.types import interrupt
from pydantic import BaseModel, FieldSerializationInfo, field_serializer


def say(text: str) -> str:
    """Let a model say it, a piece at a time."""
    return FakeListChatModel(responses=[text]).invoke("").text


@task
def ask(question: str) -> str:
    """Answer as a task of an entrypoint."""
    return say(f"You said: {question}")


@entrypoint()
def text(question: str) -> str:
    """Take a text, and return one."""
    return ask(question).result()


@entrypoint()
async def untyped(given):  # type: ignore[no-untyped-def]  # what it takes is under test
    """Take anything."""
    return f"got {given!r}"


@entrypoint()
def one_key(inputs: dict[str, Any]) -> dict[str, Any]:
    """Take a dictionary whose keys only the body knows."""
    return {"answer": ask(inputs["question"]).result()}


class Essay(TypedDict):
    """An input with a text and a number."""

    topic: str
    length: int


@entrypoint()
def essay(inputs: Essay) -> dict[str, Any]:
    """Return more than the answer."""
    return {"essay": f"{inputs['topic']} in {inputs['length']} words", "score": 0.5}


class Question(BaseModel):
    """An input of a class."""

    question: str
    polite: bool = False


class Reply(BaseModel):
    """An output of a class."""

    answer: str
    sources: list[str] = []


@entrypoint()
def model(inputs: Question) -> Reply:
    """Take an object, wait for the user, and return an object."""
    if inputs.polite:
        interrupt("May I?")
    return Reply(answer=f"You said: {inputs.question}", sources=["a.md"])


@entrypoint()
def counting(question: str, *, previous: list[str] | None = None) -> entrypoint.final[str, list[str]]:
    """Remember what was said before."""
    said = [*(previous or []), question]
    return entrypoint.final(value=f"so far: {', '.join(said)}", save=said)


@entrypoint()
def chatbot(messages: list[AnyMessage], *, previous: list[BaseMessage] | None = None) -> Any:
    """Take the new messages, and remember the others."""
    history: Any = add_messages(previous or [], messages)  # type: ignore[arg-type]  # the lists are invariant
    answer = AIMessage(f"message {len(history)}")
    return entrypoint.final(value=answer, save=add_messages(history, answer))


class Chat(TypedDict):
    """A conversation."""

    messages: list[AnyMessage]


@entrypoint()
def stateless(state: Chat) -> Chat:
    """Take all messages, and return them with the answer."""
    return {"messages": [*state["messages"], AIMessage(f"message {len(state['messages'])}")]}


@entrypoint()
def number(n: int) -> int:
    """Take no text."""
    return n + 1


@entrypoint()
def reviewed(topic: str) -> dict[str, Any]:
    """Wait for the user."""
    written = ask(topic).result()
    return {"essay": written, "approved": interrupt({"review": written})}


@entrypoint()
async def slow(question: str) -> str:
    """Take a while."""
    get_stream_writer()("at work")
    if question == "slow":
        await asyncio.sleep(600)
    if question == "aloud":
        return (await FakeListChatModel(responses=["word " * 100], sleep=0.1).ainvoke("")).text
    if question == "fail":
        raise ValueError("not this one")
    return f"done: {question}"


class Asked(TypedDict):
    """A question."""

    question: str


class Answered(TypedDict):
    """An answer, and where it is from."""

    answer: str
    documents: list[Document]


class Both(Asked, Answered):
    """The state of both."""

    asked: Annotated[list[str], lambda old, new: old + new]


def answer(state: Any) -> dict[str, Any]:
    """Answer by a model, with a source."""
    get_stream_writer()({"notice": "searching"})
    return {
        "answer": say(f"You said: {state['question']}"),
        "documents": [Document("blue", metadata={"source": "sky.md"})],
        "asked": [state["question"]],
    }


question_answer = (
    StateGraph(Both, input_schema=Asked, output_schema=Answered).add_node(answer).add_edge(START, "answer").compile()
)


class Rag(TypedDict):
    """One state for all."""

    question: str
    context: str
    answer: str


rag = (
    StateGraph(Rag)
    .add_node("rewrite", lambda state: {"context": say(f"a search for {state['question']}")})
    .add_node("answer", lambda state: {"answer": say(f"found: {state['context']}")})
    .add_edge(START, "rewrite")
    .add_edge("rewrite", "answer")
    .compile()
)


class Joke(TypedDict):
    """Fields of no usual name."""

    animal: str
    audience: str
    joke: str
    better: str


def tell(state: Joke) -> dict[str, Any]:
    """Tell it twice."""
    return {"joke": f"{state['animal']} for {state['audience']}", "better": "a better one"}


joke = StateGraph(Joke).add_node(tell).add_edge(START, "tell").compile()


class Counted(TypedDict):
    """An answer that is no text."""

    question: str
    answer: dict[str, Any]


def count(state: Counted) -> dict[str, Any]:
    """Say something, and answer something else."""
    say("Let me count.")
    return {"answer": {"words": len(state["question"].split())}}


counted = StateGraph(Counted).add_node(count).add_edge(START, "count").compile()


@dataclass
class Data:
    """A state of a class."""

    question: str
    answer: str = ""
    steps: list[str] = field(default_factory=list)


data = (
    StateGraph(Data)
    .add_node("first", lambda state: {"steps": ["first"]})
    .add_node("answer", lambda state: {"answer": f"You said: {state.question}"})
    .add_edge(START, "first")
    .add_edge("first", "answer")
    .compile(interrupt_before="*")
)
"""Stops before each node."""


class Researched(TypedDict):
    """Messages that are the graph's own."""

    topic: str
    info: dict[str, Any]
    messages: Annotated[list[AnyMessage], add_messages]


class Topic(TypedDict):
    """What is researched."""

    topic: str
    fields: dict[str, Any]


class Info(TypedDict):
    """What was found."""

    info: dict[str, Any]


class Research(Researched, Topic):
    """The whole state."""


research = (
    StateGraph(Research, input_schema=Topic, output_schema=Info)
    .add_node("look", lambda state: {"messages": [AIMessage("looking")], "info": {"about": state["topic"]}})
    .add_edge(START, "look")
    .compile()
)


class Changed(TypedDict):
    """One field, in and out."""

    changeme: str


template = (
    StateGraph(Changed)
    .add_node("change", lambda state: {"changeme": f"output from {state['changeme']}"})
    .add_edge(START, "change")
    .compile()
)


class Summary(TypedDict):
    """A summary of messages."""

    summary: str


class Summarised(MessagesState):
    """Messages, and their summary."""

    summary: str


summary = (
    StateGraph(Summarised, input_schema=MessagesState, output_schema=Summary)
    .add_node("sum", lambda state: {"summary": f"{len(state['messages'])} messages"})
    .add_edge(START, "sum")
    .compile()
)


class Structured(MessagesState):
    """Messages, and at times an object."""

    structured_response: dict[str, Any]


def structure(state: Structured) -> dict[str, Any]:
    """Answer `talk` by text, and anything else by an object."""
    asked = state["messages"][-1].text
    return {"messages": [AIMessage("just talk")]} if asked == "talk" else {"structured_response": {"asked": asked}}


structured = StateGraph(Structured).add_node(structure).add_edge(START, "structure").compile()


class Pair(TypedDict):
    """A question, and perhaps an answer."""

    question: str
    answer: str


silent = (
    StateGraph(Pair)
    .add_node("answer", lambda state: {} if state["question"] == "hush" else {"answer": "said"})
    .add_edge(START, "answer")
    .compile()
)


class Contact(BaseModel):
    """Somebody's address."""

    name: str


class Forced(BaseChatModel):
    """Calls the tool that it must call, with the question as the argument."""

    @property
    def _llm_type(self) -> str:
        return "forced"

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> Runnable[Any, AIMessage]:
        """Take the tools."""
        return self.bind(tools=tools)

    def _generate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
        name = messages[-1].text
        call = {"name": "Contact", "args": {"name": name}, "id": f"call-{len(messages)}", "type": "tool_call"}
        return ChatResult(generations=[ChatGeneration(message=AIMessage("", tool_calls=[call]))])


contact: Any = create_agent(Forced(), response_format=ToolStrategy(Contact))

found = [Contact(name="Bob")]
calls = [{"name": "Contact", "args": {"name": "Bob"}, "id": "call-1", "type": "tool_call"}]
extractor: Any = RunnableLambda(lambda given: {"messages": [AIMessage("", tool_calls=calls)], "responses": found})
"""Returns what trustcall's extractors do."""
retriever: Any = RunnableLambda(lambda given: {"answer": "It is blue.", "context": ["sky.md"]})
"""Returns what langchain's retrieval chains do."""


class Report(BaseModel):
    """A part of an answer that ends the process when the answer is read, before it is stored."""

    text: str

    @field_serializer("text")
    def written(self, text: str, info: FieldSerializationInfo) -> str:
        """Return the text; checkpoints are not written as JSON."""
        if info.mode == "json" and "KILL" in os.environ:
            os.kill(os.getpid(), signal.SIGKILL)
        return text


class ReportState(TypedDict):
    """A question, an answer and more."""

    question: str
    answer: str
    report: Report


def _report(state: ReportState) -> dict[str, Any]:
    text = say(f"You said: {state['question']}")
    return {"answer": text, "report": Report(text=text)}


killed = StateGraph(ReportState).add_node("report", _report).add_edge(START, "report").compile()


@entrypoint()
def killed_entrypoint(question: str) -> dict[str, Any]:
    """Return an answer and more."""
    text = ask(question).result()
    return {"answer": text, "report": Report(text=text)}
