"""Response bodies of OpenAI-compatible servers, adapted for the SDK: a backlog is joined, a whole answer streamed."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from itertools import starmap
from typing import Any

import httpx2

from chatcli.models.openai.deltas import DeltaJoiner
from chatcli.runtime.parse import read_json

MOST_WAITING = 1 << 20
"""The most bytes that are read ahead of the reader."""


async def adapt_stream(response: httpx2.Response) -> None:
    """Replace the stream of `response` if the SDK could not read it, or only slowly; a hook of an httpx2 client.

    A transport around httpx2's own would need no assignment to `response.stream`, but a client that is given a
    transport ignores the proxies of the environment. `test_the_hook_replaces_what_the_client_reads` fails when httpx2
    changes here.
    """
    if response.headers.get("content-encoding", "identity") != "identity":
        return
    content_type = response.headers.get("content-type", "")
    if content_type.startswith("text/event-stream"):
        assert isinstance(response.stream, httpx2.AsyncByteStream)
        response.stream = BacklogStream(response.stream)
    elif "json" in content_type and response.is_success and _wants_stream(response.request):
        assert isinstance(response.stream, httpx2.AsyncByteStream)
        response.stream = WholeAnswerStream(response.stream)


STREAM_HOOKS = {"response": [adapt_stream]}
"""The `event_hooks` of every HTTP client that talks to an OpenAI-compatible server."""


class _AdaptedStream(httpx2.AsyncByteStream):
    """A stream that reads another one, and closes it."""

    def __init__(self, stream: httpx2.AsyncByteStream) -> None:
        self._stream = stream

    @property
    def elapsed(self) -> timedelta | None:
        """How long the response took, once it is closed; httpx2 asks its stream."""
        return getattr(self._stream, "elapsed", None)

    async def aclose(self) -> None:
        """Close the connection or give it back."""
        await self._stream.aclose()


class BacklogStream(_AdaptedStream):
    """Reads an event stream ahead in a task, and gives all that has arrived at once, its text deltas joined.

    A single delta passes at once. The SDK and langchain need some 0.4 ms a chunk, longer than a fast server needs to
    send one: their cost falls as the backlog grows.
    """

    def __init__(self, stream: httpx2.AsyncByteStream) -> None:
        super().__init__(stream)
        self._joiner = DeltaJoiner()
        self._waiting = bytearray()
        self._arrived = asyncio.Event()
        self._taken = asyncio.Event()
        self._reading: asyncio.Task[None] | None = None

    async def __aiter__(self) -> AsyncIterator[bytes]:
        # Reading begins once: the SDK iterates a second time to read what is left after [DONE].
        if self._reading is None:
            self._reading = asyncio.create_task(self._read_ahead())
            self._reading.add_done_callback(lambda _: self._arrived.set())
        while self._waiting or not self._reading.done():
            await self._arrived.wait()
            self._arrived.clear()
            data = bytes(self._waiting)
            self._waiting.clear()
            self._taken.set()
            if events := self._joiner.feed(data):
                yield events
        if not self._reading.cancelled():
            self._reading.result()
        if rest := self._joiner.rest():
            yield rest

    async def aclose(self) -> None:
        """Stop reading, and close the connection or give it back."""
        try:
            if self._reading is not None:
                self._reading.cancel()
                await asyncio.gather(self._reading, return_exceptions=True)
        finally:
            await super().aclose()

    async def _read_ahead(self) -> None:
        async for part in self._stream:
            self._waiting += part
            self._arrived.set()
            if len(self._waiting) > MOST_WAITING:
                self._taken.clear()
                await self._taken.wait()


class WholeAnswerStream(_AdaptedStream):
    """Gives a whole answer in JSON as the events of a stream: not every server knows the request's `stream`."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        body, is_stream = b"", False
        async for part in self._stream:
            body += part
            is_stream = is_stream or body.lstrip()[:1] not in (b"", b"{")
            if is_stream:  # with a wrong content type
                yield body
                body = b""
        if body:
            yield as_events(body)


def as_events(body: bytes) -> bytes:
    """Return `body`, a whole chat completion or an error, as an event; return anything else unchanged."""
    try:
        answer = read_json(body)
    except ValueError:
        return body
    if not isinstance(answer, dict):
        return body
    choices = answer.get("choices")
    if isinstance(choices, list) and all(isinstance(choice, dict) for choice in choices):
        event = {**answer, "object": "chat.completion.chunk", "choices": list(starmap(_as_delta, enumerate(choices)))}
    elif answer.get("error"):
        event = answer
    elif answer.get("message") or answer.get("detail"):  # the form of errors of some servers
        event = {"error": answer}
    else:
        return body
    return b"data: " + json.dumps(event).encode() + b"\n\n"


def _wants_stream(request: httpx2.Request) -> bool:
    try:
        body = read_json(request.content)
    except ValueError:
        return False
    return isinstance(body, dict) and body.get("stream") is True


def _as_delta(index: int, choice: dict[str, Any]) -> dict[str, Any]:
    """Return `choice` in the form of a stream's only chunk: with numbered tool calls and a finish reason."""
    delta = {"role": "assistant", **(choice.get("message") or choice.get("delta") or {})}
    if calls := delta.get("tool_calls"):
        delta["tool_calls"] = [{"index": number, **call} for number, call in enumerate(calls)]
    end = choice.get("finish_reason") or "stop"
    return {"index": index, **choice, "message": None, "delta": delta, "finish_reason": end}
