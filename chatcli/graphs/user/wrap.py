"""Makes a graph of one node of what answers without being a graph: a Runnable over messages, a plain function."""

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import aclosing
from typing import Any
from uuid import uuid4

from langchain_core.messages import AIMessage, AIMessageChunk, AnyMessage, BaseMessage, convert_to_messages
from langchain_core.outputs import ChatGenerationChunk
from langchain_core.runnables import Runnable, RunnableConfig, patch_config
from langgraph.constants import TAG_NOSTREAM
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import StreamWriter

from chatcli.graphs.shape import read_answer, text_of
from chatcli.graphs.user.kinds import name_of, takes_history
from chatcli.models.model import StreamedModel
from chatcli.sessions.stream import GraphAnswer

Pieces = AsyncIterator[Any]
"""The pieces of an answer: text, or messages."""


class _Pieces(StreamedModel):
    """Streams `pieces` as LangGraph streams a model's answer: shown as they are made, and returned as one message."""

    pieces: Any
    cache: bool = False  # the messages are not what the answer depends on

    async def _astream(self, *_: Any, **__: Any) -> AsyncIterator[ChatGenerationChunk]:
        empty = True
        async with aclosing(self.pieces) as pieces:
            async for piece in pieces:
                empty = False
                yield ChatGenerationChunk(message=as_chunk(piece))
        if empty:
            yield ChatGenerationChunk(message=AIMessageChunk(content=""))


def wrap_function(function: Callable[..., Any]) -> StateGraph[Any]:
    """Return a graph that answers by calling `function` with the message and, where it takes it, the history."""
    # The message is the question's text, the history the list of langchain's messages before it. The function may be
    # asynchronous, or a generator of the pieces of its answer.
    with_history = takes_history(function)

    async def answer(state: MessagesState, writer: StreamWriter) -> dict[str, Any]:
        *history, question = state["messages"]
        made = await asyncio.to_thread(function, question.text, *([history] if with_history else []))
        if inspect.isawaitable(made):
            made = await made
        if (pieces := _as_pieces(made)) is not None:
            return {"messages": [await _Pieces(pieces=pieces).ainvoke([])]}
        return _write(made, writer)

    return _one_node(name_of(function), answer)


def wrap_runnable(runnable: Runnable[Any, Any]) -> StateGraph[Any]:
    """Return a graph that answers with what `runnable` makes of the messages, in the form that it takes them."""

    async def answer(state: MessagesState, config: RunnableConfig, writer: StreamWriter) -> dict[str, Any]:
        # What counts is what comes out of it: a model inside is not heard by itself.
        inner = patch_config(config)
        inner["tags"] = [*(config.get("tags") or []), TAG_NOSTREAM]
        pieces = runnable.astream(input_of(runnable, state["messages"]), inner)
        first = await anext(pieces, None)
        if isinstance(first, str | AIMessage):
            return {"messages": [await _Pieces(pieces=_chained(first, pieces)).ainvoke([])]}
        whole = first
        async for piece in pieces:
            try:
                whole = whole + piece
            except TypeError:
                whole = piece
        return _write(whole, writer)

    return _one_node(name_of(runnable), answer)


def input_of(runnable: Runnable[Any, Any], messages: list[AnyMessage]) -> Any:
    """Return the conversation as `runnable` takes it: a list, `{"messages": list}`, or the fields of its own schema."""
    try:
        schema: Any = runnable.get_input_schema()
        fields = schema.model_fields
    except Exception:  # noqa: BLE001 - a schema that can't be made: most take this
        return {"messages": messages}
    if "root" in fields or not fields:
        return messages[-1].text if fields and fields["root"].annotation is str else messages
    if "messages" in fields:
        return {"messages": messages}
    texts = [name for name, field in fields.items() if field.annotation is str]
    lists = [name for name in fields if name not in texts]
    if not texts and len(fields) == 1:  # of no declared type: a function that reads a key
        texts, lists = lists, []
    earlier = messages[:-1] if texts else messages
    return {**dict.fromkeys(texts[:1], messages[-1].text), **dict.fromkeys(lists[:1], earlier)}


def _write(value: Any, writer: StreamWriter) -> dict[str, Any]:
    """Return the update of the state with `value`, and write what it is beside text as the turn's output."""
    messages, output = read_output(value)
    if output is not None:
        writer(GraphAnswer(None, output))
    return {"messages": messages}


def read_output(value: Any) -> tuple[list[BaseMessage], Any]:
    """Return the messages in `value`, the output of a Runnable or a function, and what it is as JSON if it is more."""
    # Where it has no messages, `read_answer` finds the answer.
    if isinstance(value, BaseMessage):
        return [value], None
    found = value.get("messages") if isinstance(value, Mapping) else value
    if isinstance(found, list) and found and all(isinstance(one, BaseMessage | dict | tuple) for one in found):
        try:
            messages = convert_to_messages(found)
            if not isinstance(value, Mapping) or messages[-1].text:
                return messages, None
        except (ValueError, NotImplementedError):  # a list of other things
            pass
    answer = read_answer(value)  # such as what an extractor found, whose calls nobody runs
    return [AIMessage(answer.text, id=str(uuid4()))] if answer.text else [], answer.output


def as_chunk(piece: Any) -> AIMessageChunk:
    """Return a piece of an answer as a chunk of a message."""
    if isinstance(piece, AIMessageChunk):
        return piece
    if isinstance(piece, AIMessage):
        return AIMessageChunk(**piece.model_dump(exclude={"type", "id"}))
    return AIMessageChunk(content=text_of(piece))


async def _chained(first: Any, rest: AsyncIterator[Any]) -> Pieces:
    yield first
    async for piece in rest:
        yield piece


def _as_pieces(made: Any) -> Pieces | None:
    """Return the pieces of an answer that a function returned; None for a value that is neither text nor pieces."""
    if inspect.isasyncgen(made):
        return made
    if made is None or isinstance(made, str | AIMessage):
        made = iter([] if made is None else [made])
    return _next_pieces(made) if isinstance(made, Iterator) else None


async def _next_pieces(made: Iterator[Any]) -> Pieces:
    end = object()
    try:
        while (piece := await asyncio.to_thread(next, made, end)) is not end:
            yield piece
    finally:
        if inspect.isgenerator(made) and not made.gi_running:
            made.close()


def _one_node(name: str, node: Any) -> StateGraph[Any]:
    builder = StateGraph(MessagesState)
    builder.add_node(name, node)
    builder.add_edge(START, name)
    return builder
