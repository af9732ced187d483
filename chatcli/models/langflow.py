"""A Langflow flow as a chat model: the server keeps the conversation, so that only the newest question is sent."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from contextlib import aclosing
from typing import Any
from urllib.parse import quote

import httpx2
from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, ModelProfile
from langchain_core.language_models.chat_models import agenerate_from_stream
from langchain_core.messages import AIMessageChunk, BaseMessage, HumanMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGenerationChunk, ChatResult

from chatcli.errors import RefusedError, UsageError
from chatcli.models.errors import BrokenAnswerError
from chatcli.models.langflow_server import LangflowServer, words_of
from chatcli.models.model import Limits, Model
from chatcli.models.names import ModelName, custom_url
from chatcli.models.openai import CONNECT_TIMEOUT, DEFAULT_TIMEOUT
from chatcli.providers import LANGFLOW
from chatcli.settings import Settings

USER = "User"
"""The sender of the question, which Langflow repeats."""
MACHINE = "Machine"
"""The sender of an answer where the server names none."""
_PROFILE = ModelProfile(image_inputs=False, pdf_inputs=False, tool_calling=False)


def build_langflow(name: ModelName, settings: Settings) -> Model:
    """Return the flow `name` of the server that `settings` name; nothing is asked yet.

    Raises:
        UsageError: The command line sets what only the flow itself can, or a `.env` would send a key that is not its
            own to a server that it names itself.

    """
    for option in ("temperature", "max_tokens"):
        if settings.is_option(option):
            raise UsageError(
                f"--{option.replace('_', '-')} means nothing to {name}: a flow sets it itself",
                remedy=f"Set it in the flow, or for this run: --tweak COMPONENT.{option}=VALUE",
            )
    server = LangflowServer.of(settings)
    client = FlowModel(
        flow=name.model,
        server=server,
        tweaks=settings.tweak,
        seconds=settings.timeout or DEFAULT_TIMEOUT,
        profile=_PROFILE,
    )
    return Model(
        name,
        client,
        Limits(),
        address=server.url,
        key=server.key,
        custom_server=True,
        base_url=custom_url(settings, LANGFLOW),
        keeps_conversation=True,
    )


class FlowModel(BaseChatModel):
    """A flow of a Langflow server.

    Attributes:
        flow: Its ID or endpoint name.
        server: Where it runs.
        tweaks: Values for fields of its components, by component and field.
        seconds: Without a byte from the server for so long, a request is given up.

    """

    flow: str
    server: LangflowServer
    tweaks: Mapping[str, Mapping[str, Any]]
    seconds: float

    @property
    def _llm_type(self) -> str:
        return LANGFLOW

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return asyncio.run(self._agenerate(messages, stop, **kwargs))

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return await agenerate_from_stream(self._astream(messages, stop, **kwargs))

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        """Yield the flow's answer to the newest question; `session_id` of `kwargs` names its memory in Langflow."""
        answer = _Answer(self.server, self.flow, str(kwargs["session_id"]))
        async with aclosing(self._run(_newest_question(messages), answer.session_id)) as events:
            async for event, data in events:
                for text in filter(None, answer.read(event, data)):
                    yield ChatGenerationChunk(message=AIMessageChunk(content=text))
                if event == "end":
                    yield ChatGenerationChunk(message=answer.last_chunk())
                    return
        raise BrokenAnswerError

    async def _run(self, question: str, session_id: str) -> AsyncGenerator[tuple[str, Mapping[str, Any]], None]:
        """Run the flow, and yield its events; closing this closes the connection, which stops the flow."""
        body = {
            "input_value": question,
            "input_type": "chat",
            "output_type": "chat",
            "session_id": session_id,  # left out, all users would share one memory
            **({"tweaks": self.tweaks} if self.tweaks else {}),
        }
        timeout = httpx2.Timeout(self.seconds, connect=min(self.seconds, CONNECT_TIMEOUT))
        url = f"{self.server.url}/api/v1/run/{quote(self.flow, safe='')}"
        async with (
            httpx2.AsyncClient(timeout=timeout, headers=self.server.headers) as client,
            client.stream("POST", url, params={"stream": "true"}, json=body) as reply,
        ):
            await self._check(reply)
            async for line in _lines(reply):
                try:
                    event = json.loads(line)
                    yield event["event"], event["data"]
                except (ValueError, KeyError, TypeError):
                    raise self.server.stranger() from None

    async def _check(self, reply: httpx2.Response) -> None:
        """Raise what a `reply` without success means; the cause keeps its status, by which it is asked again."""
        try:
            reply.raise_for_status()
        except httpx2.HTTPStatusError as error:
            await reply.aread()
            raise self.server.failure(reply, f"the flow {self.flow}") from error


class _Answer:
    """Gathers what the events of one run of a flow say."""

    def __init__(self, server: LangflowServer, flow: str, session_id: str) -> None:
        self.session_id = session_id
        self._server = server
        self._flow = flow
        self._sender = MACHINE
        self._usage: UsageMetadata | None = None
        self._streamed: dict[str, str] = {}
        """The text of each message that came in tokens, by the message's ID."""

    def read(self, event: str, data: Mapping[str, Any]) -> Iterator[str]:
        """Yield the text that `event` adds to the answer.

        Raises:
            RefusedError: A component failed, or the flow has no chat output.

        """
        match event:
            case "token":
                yield self._separator(message_id := str(data.get("id", "")))
                self._streamed[message_id] = self._streamed.get(message_id, "") + data["chunk"]
                yield data["chunk"]
            case "add_message":
                self._note(data)
            case "error":
                where = f" at {data['sender']}" if data.get("sender") else ""
                raise RefusedError(f"the flow {self._flow} failed{where}: {self._server.say(data)}")
            case "end":
                yield from self._read_end(data["result"])
            case _:
                pass  # how the flow gets on

    def last_chunk(self) -> AIMessageChunk:
        """Return the chunk that ends the answer: what is known of it beside its text."""
        told = {"session_id": self.session_id, "sender": self._sender}
        return AIMessageChunk(
            content="",
            response_metadata={"finish_reason": "stop", "model_provider": LANGFLOW, LANGFLOW: told},
            usage_metadata=self._usage,
            chunk_position="last",
        )

    def _note(self, message: Mapping[str, Any]) -> None:
        if message.get("sender") == USER:
            return
        self._sender = message.get("sender") or self._sender
        usage = (message.get("properties") or {}).get("usage")
        if usage:  # a chat output's own counts all that led to it
            given, made = usage.get("input_tokens") or 0, usage.get("output_tokens") or 0
            self._usage = UsageMetadata(input_tokens=given, output_tokens=made, total_tokens=given + made)

    def _read_end(self, result: Mapping[str, Any]) -> Iterator[str]:
        self.session_id = result.get("session_id") or self.session_id
        messages = list(_messages(result))
        if not messages and not self._streamed:
            raise RefusedError(
                f"the flow {self._flow} gave no answer: it has no chat output",
                remedy="Add a Chat Output to the flow in Langflow.",
            )
        for number, (text, sender) in enumerate(messages):
            self._sender = sender or self._sender
            # What came in tokens is here again, perhaps with other white space around it.
            if not any(text.strip() in streamed for streamed in self._streamed.values()):
                yield self._separator(f"end-{number}")
                self._streamed[f"end-{number}"] = text
                yield text

    def _separator(self, message_id: str) -> str:
        """Return what stands before a text of the message `message_id`: a flow may answer with several."""
        return "\n\n" if self._streamed and message_id not in self._streamed else ""


def _messages(result: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the text and the sender of each chat output; a flow without one has none."""
    outputs = [output for run in result.get("outputs") or () for output in run.get("outputs") or () if output]
    for output in outputs:
        results = (output.get("results") or {}).get("message")
        for message in output.get("messages") or ([results] if results else ()):
            yield words_of(message.get("message", message.get("text"))), message.get("sender") or ""


def _newest_question(messages: Sequence[BaseMessage]) -> str:
    """Return the text of the last question, that of its attachments included."""
    return next(str(message.text) for message in reversed(messages) if isinstance(message, HumanMessage))


async def _lines(reply: httpx2.Response) -> AsyncIterator[str]:
    """Yield the lines of `reply` that hold something.

    Raises:
        BrokenAnswerError: The connection broke. The question may have been taken into Langflow's memory by then, so
            this is not what is asked again, as a connection that could not be made is.

    """
    try:
        async for line in reply.aiter_lines():
            if line.strip():
                yield line
        return
    except (httpx2.ReadError, httpx2.RemoteProtocolError):
        pass
    raise BrokenAnswerError
