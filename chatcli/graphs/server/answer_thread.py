"""A thread of an app without messages on a server, whose store keeps the questions and answers."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from typing import Any, cast

from langchain_core.messages import BaseMessage, HumanMessage
from langchain_core.runnables import RunnableConfig
from langgraph.types import StateSnapshot

from chatcli.errors import ChatcliError
from chatcli.graphs.server.thread import ServerThread, message_from_json, messages_from_json
from chatcli.graphs.server.threads import ASKED
from chatcli.graphs.shape import GraphShape, new_answers
from chatcli.sessions.history import newest_turn
from chatcli.sessions.state import MESSAGES
from chatcli.sessions.stream import ANSWER, INTERRUPT, GraphAnswer


@dataclass(frozen=True, slots=True)
class ServerAnswerThread(ServerThread):
    """A thread on a server; `shape` says how its app is asked, and answers: in its messages if `shape.is_chat`."""

    shape: GraphShape = field(kw_only=True)

    async def stream(
        self, graph_input: Any, config: RunnableConfig, context: Any = None
    ) -> AsyncIterator[Mapping[str, Any]]:
        """See `GraphThread.stream`; the last part is the answer, which is kept by then."""
        question: HumanMessage | None = None
        if isinstance(graph_input, Mapping):
            other_input = {key: value for key, value in graph_input.items() if key != MESSAGES}
            [question] = graph_input[MESSAGES]
            graph_input = self.shape.build([question], other_input)
        kept = None
        if question is not None and not self.shape.is_chat:
            config = {**config, "metadata": {**config["metadata"], ASKED: question.id}}
            kept = _as_json(question)
        output = _Output(self.shape, resumed=question is None)
        try:
            async with aclosing(self._stream(graph_input, config, context, "values", question=kept)) as parts:
                async for part in parts:
                    output.read(part)
                    if part["type"] != "values":
                        yield part
        except BaseException:
            if kept is not None:
                with suppress(ChatcliError):
                    await asyncio.to_thread(self.threads.forget_question, self.id, kept["id"])
            raise
        if output.is_whole:
            answer = output.answer()
            await self._keep(config, answer, question)
            yield {"type": ANSWER, "ns": (), "data": answer}

    async def snapshot(self, *, subgraphs: bool = False) -> StateSnapshot:
        """See `GraphThread.snapshot`; its messages are those of the store."""
        if self.shape.is_chat:
            return await ServerThread.snapshot(self, subgraphs=subgraphs)
        snapshot, messages = await asyncio.gather(
            ServerThread.snapshot(self, subgraphs=subgraphs), asyncio.to_thread(self.threads.messages, self.id)
        )
        snapshot = snapshot._replace(values={**snapshot.values, MESSAGES: [*map(message_from_json, messages)]})
        return cast("StateSnapshot", snapshot)

    async def history(self) -> list[BaseMessage]:
        return await (ServerThread.history(self) if self.shape.is_chat else self.messages())

    async def keep_question(self, config: RunnableConfig, question: HumanMessage, rest: Mapping[str, Any]) -> None:
        """See `GraphThread.keep_question`; the server can't take a question that is not asked."""
        if self.shape.is_chat:
            await ServerThread.keep_question(self, config, question, rest)

    async def append(self, config: RunnableConfig, messages: list[BaseMessage]) -> None:
        """See `GraphThread.append`; what is pending stays so: /retry goes on there."""
        if self.shape.is_chat:
            await ServerThread.append(self, config, messages)
        else:
            await asyncio.to_thread(self.threads.keep_answers, self.id, [*map(_as_json, messages)])

    async def go_to(self, config: RunnableConfig, checkpoint_id: str, *, pending: bool = False) -> None:
        await ServerThread.go_to(self, config, checkpoint_id, pending=pending)
        if not self.shape.is_chat:
            await asyncio.to_thread(self.threads.move, self.id, checkpoint_id)

    async def empty(self, config: RunnableConfig) -> None:
        await ServerThread.empty(self, config)
        if not self.shape.is_chat:
            await asyncio.to_thread(self.threads.note_empty, self.id)

    async def _keep(self, config: RunnableConfig, answer: GraphAnswer, question: HumanMessage | None) -> None:
        if not self.shape.is_chat:
            asked = None if question is None else question.id
            kept = [_as_json(message) for message in new_answers(answer, [], [])]
            await asyncio.to_thread(self.threads.keep_answers, self.id, kept, asked)
            return
        messages = await self.messages()
        if new := new_answers(answer, messages, messages[newest_turn(messages) :]):
            await ServerThread.append(self, config, new)


class _Output:
    """What the parts of a run say of the app's output; a run that is `resumed` may have written it before."""

    def __init__(self, shape: GraphShape, *, resumed: bool) -> None:
        self._shape = shape
        self._is_new = resumed
        self._value: Any = None
        self.is_whole = True
        """Whether the run has come to its end: it waits for no answer, and stopped at no breakpoint."""

    def read(self, part: Mapping[str, Any]) -> None:
        """Read a part of the stream."""
        data, name = part["data"], self._shape.answer
        if part["ns"]:
            return
        if part["type"] == "values":
            self._value = data
        elif part["type"] == "updates" and isinstance(data, Mapping):
            self.is_whole = self.is_whole and INTERRUPT not in data
            for update in data.values():
                for each in update if isinstance(update, list) else [update]:
                    # What is no mapping is returned by an entrypoint.
                    writes_answer = name is None or not isinstance(each, Mapping) or name in each
                    self._is_new = self._is_new or (each is not None and writes_answer)

    def answer(self) -> GraphAnswer:
        """Return the answer in the app's output."""
        value, since = self._value, []
        if isinstance(value, Mapping):
            messages = messages_from_json(value)
            since = messages[newest_turn(messages) :]
            value = {name: _revived(one) for name, one in value.items()}
        return self._shape.read_turn(_revived(value), since, is_new=self._is_new)


def _as_json(message: BaseMessage) -> Mapping[str, Any]:
    return message.model_dump(mode="json")


def _revived(value: Any) -> Any:
    """Return `value` with langchain's messages in place of their JSON."""
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_revived(one) for one in value]
    if isinstance(value, Mapping) and {"type", "content", "additional_kwargs"} <= value.keys():
        with suppress(ValueError):
            return message_from_json(value)
    return value
