"""Takes what has arrived of a streamed answer at once, however small the pieces in which the server sent it."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import httpx2

from chatcli.models.openai.deltas import DeltaJoiner

MOST_WAITING = 1 << 20
"""Bytes that are read ahead of the reader at most."""


async def join_backlog(response: httpx2.Response) -> None:
    """Let the reader of `response`, an event stream, get joined what piles up; a hook of an httpx2 client.

    A lone delta passes at once. The SDK and langchain take some 0.4 ms a chunk, more than a fast server takes to send
    one: with this, their cost falls as the backlog grows.
    """
    is_plain = response.headers.get("content-encoding", "identity") == "identity"
    if is_plain and response.headers.get("content-type", "").startswith("text/event-stream"):
        assert isinstance(response.stream, httpx2.AsyncByteStream)
        response.stream = BacklogStream(response.stream)


class BacklogStream(httpx2.AsyncByteStream):
    """Reads `stream` ahead in a task of its own, and gives all that is there, its deltas joined."""

    def __init__(self, stream: httpx2.AsyncByteStream) -> None:
        self._stream = stream
        self._joiner = DeltaJoiner()
        self._waiting = bytearray()
        self._arrived = asyncio.Event()
        self._taken = asyncio.Event()
        self._reading: asyncio.Task[None] | None = None

    @property
    def elapsed(self) -> timedelta | None:
        """How long the response took, once it is closed; httpx2 asks its stream."""
        return getattr(self._stream, "elapsed", None)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        # Reading begins once: the SDK drains what is left after [DONE] by a second iteration.
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
            await self._stream.aclose()

    async def _read_ahead(self) -> None:
        async for part in self._stream:
            self._waiting += part
            self._arrived.set()
            if len(self._waiting) > MOST_WAITING:
                self._taken.clear()
                await self._taken.wait()
