# lfx is in Langflow's environment alone, and its components are declared in its own way.
# mypy: ignore-errors
# ruff: noqa: RUF012
"""Prints the flows of these tests as Langflow stores them; run by Langflow's own Python.

Their components need no model: one repeats the question in tokens, one fails.
"""

import json
import sys
from collections.abc import AsyncIterator

from lfx.components.input_output import ChatInput, ChatOutput
from lfx.custom.custom_component.component import Component
from lfx.graph import Graph
from lfx.io import MessageInput, Output, StrInput
from lfx.memory import aget_messages
from lfx.schema.message import Message


class Parrot(Component):
    display_name = "Parrot"
    name = "Parrot"
    inputs = [
        MessageInput(name="question", display_name="Question"),
        StrInput(name="tone", display_name="Tone", value="plain"),
    ]
    outputs = [Output(name="answer", display_name="Answer", method="answer")]

    async def answer(self) -> Message:
        from langchain_core.messages import AIMessageChunk

        said = await aget_messages(session_id=self.graph.session_id)

        async def words() -> AsyncIterator[AIMessageChunk]:
            for word in f"{self.tone}: {self.question.text}, number {len(said)}".split(" "):
                yield AIMessageChunk(content=f"{word} ")

        return Message(text=words())


class Faulty(Component):
    display_name = "Faulty"
    name = "Faulty"
    inputs = [MessageInput(name="question", display_name="Question")]
    outputs = [Output(name="answer", display_name="Answer", method="answer")]

    def answer(self) -> Message:
        raise ValueError('{"error": {"message": "no such model"}}')


def flow(name: str, kind: type[Component] | None, with_output: bool = True) -> dict[str, object]:
    """Give the flow from a chat input through a component of `kind`, if any, to a chat output."""
    last = source = ChatInput(_id="ChatInput-1")
    answer = source.message_response
    if kind is not None:
        last = kind(_id=f"{kind.name}-1").set(question=answer)
        answer = last.answer
    if with_output:
        last = ChatOutput(_id="ChatOutput-1").set(input_value=answer)
    return {**Graph(source, last).dump(name=name), "endpoint_name": name}


FLOWS = [flow("parrot", Parrot), flow("plain", None), flow("faulty", Faulty), flow("silent", Parrot, with_output=False)]
json.dump(FLOWS, sys.stdout)
