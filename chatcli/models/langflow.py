"""A Langflow flow as a chat model: the server keeps the conversation, so only the newest question is sent."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx2
from langchain_core.language_models import ModelProfile
from langchain_core.messages import AIMessageChunk, BaseMessage, HumanMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGenerationChunk

from chatcli.config.providers import LANGFLOW
from chatcli.config.settings import ANSWER_SECONDS, Settings
from chatcli.errors import RefusedError, UsageError
from chatcli.events import TextDelta
from chatcli.models.early_connection import CONNECT_SECONDS
from chatcli.models.errors import BrokenAnswerError
from chatcli.models.langflow_server import LangflowServer, text_of
from chatcli.models.model import Limits, Model, StreamedModel
from chatcli.models.names import ModelName, custom_url
from chatcli.models.sequencer import MessageSequencer
from chatcli.runtime.http import async_hooks
from chatcli.runtime.parse import read_json

USER = "User"
"""The sender of the question, which Langflow sends back."""
MACHINE = "Machine"
"""The sender of an answer if the server names none."""
_PROFILE = ModelProfile(image_inputs=False, pdf_inputs=False, tool_calling=False)


def build_langflow(name: ModelName, settings: Settings) -> Model:
    """Return the flow `name` of the server that `settings` name; with tweaks, the server is asked for its fields."""
    for option in ("temperature", "max_tokens"):
        remedy = f"Set it in the flow, or for this run: --tweak COMPONENT.{option}=VALUE"
        settings.refuse_options([option], f"{name}: the flow itself sets it", remedy)
    server = LangflowServer.of(settings.credentials)
    if settings.tweak and (fields := server.fields(name.model)) is not None:
        _check_tweaks(name.model, settings.tweak, fields)
    client = FlowModel(
        flow=name.model,
        server=server,
        tweaks=settings.tweak,
        seconds=settings.timeout or ANSWER_SECONDS,
        profile=_PROFILE,
    )
    return Model(
        name,
        client,
        Limits(),
        address=server.url,
        key=server.key,
        custom_server=True,
        base_url=custom_url(settings.credentials, LANGFLOW),
        keeps_conversation=True,
    )


def _check_tweaks(flow: str, tweaks: Mapping[str, Mapping[str, Any]], fields: Mapping[str, Sequence[str]]) -> None:
    """Refuse a tweak that Langflow would ignore."""
    for component, values in tweaks.items():
        if component not in fields:
            raise UsageError(
                f"--tweak: the flow {flow} has no component {component}",
                remedy=f"Use one of its components, by title or by ID: {', '.join(fields) or 'none'}.",
            )
        for field in values:
            if field not in fields[component]:
                raise UsageError(
                    f"--tweak: {component} in the flow {flow} has no field {field}",
                    remedy=f"Use one of its fields: {', '.join(fields[component]) or 'none'}.",
                )


class FlowModel(StreamedModel):
    """The flow of a Langflow server with this ID or endpoint name."""

    flow: str
    server: LangflowServer
    tweaks: Mapping[str, Mapping[str, Any]]
    """Values for fields of its components, by component and field."""
    seconds: float
    """How long the server may send nothing before a request is cancelled."""

    async def _astream(self, messages: list[BaseMessage], *_: Any, **kwargs: Any) -> AsyncIterator[ChatGenerationChunk]:
        """Yield the flow's answer to the newest question; `session_id` of `kwargs` names its memory in Langflow."""
        answer = _Answer(self.server, self.flow, str(kwargs["session_id"]))
        question = next(str(message.text) for message in reversed(messages) if isinstance(message, HumanMessage))
        async with aclosing(self._run(question, answer.session_id)) as events:
            async for event, data in events:
                for piece in answer.read(event, data):
                    if piece.text:
                        yield ChatGenerationChunk(message=AIMessageChunk(content=piece.text))
                if event == "end":
                    yield ChatGenerationChunk(message=answer.last_chunk())
                    return
        raise BrokenAnswerError

    async def _run(self, question: str, session_id: str) -> AsyncGenerator[tuple[str, Mapping[str, Any]], None]:
        """Run the flow, and yield its events; if this is closed, the connection closes too, which stops the flow."""
        body = {
            "input_value": question,
            "input_type": "chat",
            "output_type": "chat",
            "session_id": session_id,  # without it, all users would share one memory
            **({"tweaks": self.tweaks} if self.tweaks else {}),
        }
        timeout = httpx2.Timeout(self.seconds, connect=min(self.seconds, CONNECT_SECONDS))
        url = f"{self.server.url}/api/v1/run/{quote(self.flow, safe='')}"
        async with (
            httpx2.AsyncClient(timeout=timeout, headers=self.server.headers, event_hooks=async_hooks()) as client,
            client.stream("POST", url, params={"stream": "true"}, json=body) as reply,
        ):
            try:
                reply.raise_for_status()
            except httpx2.HTTPStatusError as error:  # as the cause it has the status, which decides whether to retry
                await reply.aread()
                raise self.server.failure(reply, f"the flow {self.flow}") from error
            async for line in _lines(reply):
                with self.server.reading():
                    event = read_json(line)
                    yield event["event"], event["data"]


class _Answer:
    """Collects an answer from the events of one run of a flow."""

    def __init__(self, server: LangflowServer, flow: str, session_id: str) -> None:
        self.session_id = session_id
        self._server = server
        self._flow = flow
        self._sender = MACHINE
        self._usage: UsageMetadata | None = None
        self._streamed: dict[str, str] = {}
        """The text of each message that came in tokens, by the message's ID."""
        self._sequencer = MessageSequencer()

    def read(self, event: str, data: Mapping[str, Any]) -> Iterator[TextDelta]:
        """Yield the text that `event` adds to the answer."""
        match event:
            case "token":
                message_id = str(data.get("id", ""))
                self._streamed[message_id] = self._streamed.get(message_id, "") + data["chunk"]
                yield from self._sequencer.say(message_id, TextDelta(data["chunk"]))
            case "add_message":
                self._read_message(data)
                if (data.get("properties") or {}).get("state") == "complete":
                    yield from self._sequencer.end(str(data.get("id", "")))
            case "error":
                where = f" at {data['sender']}" if data.get("sender") else ""
                raise RefusedError(f"the flow {self._flow} failed{where}: {self._server.one_line(data)}")
            case "end":
                yield from self._read_end(data["result"])
            case _:
                pass  # the progress of the flow

    def last_chunk(self) -> AIMessageChunk:
        """Return the chunk that ends the answer: everything except its text."""
        details = {"session_id": self.session_id, "sender": self._sender}
        return AIMessageChunk(
            content="",
            response_metadata={"finish_reason": "stop", "model_provider": LANGFLOW, LANGFLOW: details},
            usage_metadata=self._usage,
            chunk_position="last",
        )

    def _read_message(self, message: Mapping[str, Any]) -> None:
        if message.get("sender") == USER:
            return
        self._sender = message.get("sender") or self._sender
        usage = (message.get("properties") or {}).get("usage")
        if usage:  # that of a chat output includes all components before it
            read, written = usage.get("input_tokens") or 0, usage.get("output_tokens") or 0
            self._usage = UsageMetadata(input_tokens=read, output_tokens=written, total_tokens=read + written)

    def _read_end(self, result: Mapping[str, Any]) -> Iterator[TextDelta]:
        self.session_id = result.get("session_id") or self.session_id
        messages = list(_messages(result))
        if not messages and not self._streamed:
            raise RefusedError(
                f"the flow {self._flow} gave no answer: it has no chat output",
                remedy="Add a Chat Output to the flow in Langflow.",
            )
        yield from self._sequencer.end_all()
        for number, output in enumerate(self._not_streamed(messages)):
            yield from self._sequencer.say(f"end-{number}", TextDelta(output.text))
            yield from self._sequencer.end(f"end-{number}")
        self._sender = next((output.sender for output in reversed(messages) if output.sender), self._sender)

    def _not_streamed(self, outputs: Sequence["_Output"]) -> list["_Output"]:
        """Return those of `outputs` that did not arrive in tokens; a message in tokens stands for only one output."""
        # It is recognised by its ID, or by its text: that of the output has other white space around it, and may be
        # only the end of an agent's message.
        rest, left = dict(self._streamed), [output for output in outputs if output.text.strip()]
        for is_same in _IS_SAME:
            unknown = []
            for output in left:
                found = next((key for key, text in rest.items() if is_same(output, key, text)), None)
                if found is None:
                    unknown.append(output)
                else:
                    del rest[found]
            left = unknown
        return left


@dataclass(frozen=True, slots=True)
class _Output:
    """The final text of a chat output; `message_id` is empty if the server does not send it."""

    text: str
    sender: str
    message_id: str


_IS_SAME: tuple[Callable[[_Output, str, str], bool], ...] = (
    lambda output, message_id, text: output.message_id == message_id,
    lambda output, message_id, text: output.text.strip() == text.strip(),
    lambda output, message_id, text: output.text.strip() in text,
)
"""Whether an output is the message of that ID and text, the surest sign first."""


def _messages(result: Mapping[str, Any]) -> Iterator[_Output]:
    """Yield the text of each chat output; a flow without one yields nothing."""
    outputs = [output for run in result.get("outputs") or () for output in run.get("outputs") or () if output]
    for output in outputs:
        results = (output.get("results") or {}).get("message")
        messages = output.get("messages") or ([results] if results else ())
        # The message of the result has an ID, those of the list have none.
        message_id = str(results.get("id") or "") if isinstance(results, Mapping) and len(messages) == 1 else ""
        for message in messages:
            yield _Output(text_of(message.get("message", message.get("text"))), message.get("sender") or "", message_id)


async def _lines(reply: httpx2.Response) -> AsyncIterator[str]:
    """Yield the lines of `reply` that are not empty."""
    # Raises `BrokenAnswerError` if the connection breaks: Langflow's memory may already have the question, so it must
    # not be sent again, as it is after a connection that could not be made.
    try:
        async for line in reply.aiter_lines():
            if line.strip():
                yield line
    except (httpx2.ReadError, httpx2.RemoteProtocolError):
        raise BrokenAnswerError from None
