"""Takes an answer that came in one piece where a stream was asked for: not every server knows `stream`."""

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from itertools import starmap
from typing import Any

import httpx2

from chatcli.runtime.parse import read_json


async def take_unstreamed(response: httpx2.Response) -> None:
    """Let the reader of `response` get an event stream where JSON came instead; a hook of an httpx2 client.

    A failure with a status of its own stays as it is, and so does the answer to a request that wanted no stream.
    """
    is_json = "json" in response.headers.get("content-type", "")
    is_plain = response.headers.get("content-encoding", "identity") == "identity"
    if is_json and is_plain and response.is_success and _wants_stream(response.request):
        assert isinstance(response.stream, httpx2.AsyncByteStream)
        response.stream = UnstreamedBody(response.stream)


class UnstreamedBody(httpx2.AsyncByteStream):
    """Gives what `stream` holds as the events that it would have been."""

    def __init__(self, stream: httpx2.AsyncByteStream) -> None:
        self._stream = stream

    @property
    def elapsed(self) -> timedelta | None:
        """How long the response took, once it is closed; httpx2 asks its stream."""
        return getattr(self._stream, "elapsed", None)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        body, is_stream = b"", False
        async for part in self._stream:
            body += part
            is_stream = is_stream or body.lstrip()[:1] not in (b"", b"{")
            if is_stream:  # under a wrong content type
                yield body
                body = b""
        if body:
            yield as_events(body)

    async def aclose(self) -> None:
        """Close the connection or give it back."""
        await self._stream.aclose()


def as_events(body: bytes) -> bytes:
    """Return `body`, a whole chat completion or an error, as an event; what is neither comes back as it is."""
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
    elif answer.get("message") or answer.get("detail"):  # an error, as some servers put it
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
    """Return `choice` as a stream's only chunk has it: its tool calls have numbers, and it says that it is the end."""
    delta = {"role": "assistant", **(choice.get("message") or choice.get("delta") or {})}
    if calls := delta.get("tool_calls"):
        delta["tool_calls"] = [{"index": number, **call} for number, call in enumerate(calls)]
    end = choice.get("finish_reason") or "stop"
    return {"index": index, **choice, "message": None, "delta": delta, "finish_reason": end}
