"""Bodies of OpenAI's chat completions, adapted for its SDK: a backlog is joined, a whole answer streamed."""

import asyncio
import json
import re
from codecs import BOM_UTF8
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from itertools import starmap
from typing import Any

from chatcli.models.sdk_http import httpx
from chatcli.runtime.http import MODEL_HOOKS
from chatcli.runtime.parse import read_json

TEXTS = ("content", "reasoning_content", "reasoning")
"""The fields of a delta that hold text; a delta with more than one of them stays unchanged."""
_DATA = re.compile(rb"(?:\A|[\r\n])data")
_HALVES = re.compile(rb"\\u[dD][89a-fA-F]")
_EVENT_END = re.compile(rb"\r\n\r\n|\n\n|\r\r|\n\r\n")
_CHARACTERS = rb'(?:[^"\\\x00-\x1f]|\\["\\/bfnrt]|\\u(?![dD][89a-fA-F])[0-9a-fA-F]{4})++'
"""What a JSON string has between its quotes, if it is not empty and has no halves."""
_PADDING = re.compile(rb'(?<="obfuscation":")\w*(?=")')
"""Random letters that differ in each chunk of OpenAI's own server."""
MOST_WAITING = 1 << 20
"""The most bytes that are read ahead of the reader."""


@dataclass(slots=True)
class _Run:
    """Neighbouring events that differ only in their text: `frame` is their chunk without it."""

    frame: dict[str, Any]
    key: str
    texts: list[str]
    first: bytes


@dataclass(frozen=True, slots=True)
class _Form:
    """How a server writes the events of a run: their bytes are equal except for the text."""

    frame: dict[str, Any]
    key: str
    pattern: re.Pattern[bytes]

    def read(self, event: bytes) -> _Run | None:
        """Return `event` if it has this form, else None; this takes a tenth of the time of reading its JSON."""
        match = self.pattern.fullmatch(event)
        if match is None:
            return None
        characters = match[1]
        try:
            text = read_json(b'"' + characters + b'"') if b"\\" in characters else characters.decode()
        except ValueError:
            return None
        return _Run(self.frame, self.key, [text], event)


class DeltaJoiner:
    """Reads server-sent events and returns them, with text deltas joined that arrived together."""

    # Chunks are joined if they have one choice, hold only a piece of text, and are otherwise equal. All others stay
    # unchanged and in order: tool calls, several choices, log probabilities, the usage, the end, and what is not a
    # chunk. Events without data are left out: comments, and a lone `retry`, which the SDK would read as an empty chunk.
    def __init__(self) -> None:
        self._rest = bytearray()
        self._run: _Run | None = None
        self._form: _Form | None = None
        self._half = ""
        """The first half of a character (a surrogate pair); the next text begins with the other half."""

    def feed(self, data: bytes) -> bytes:
        """Return the events that `data` completes; none waits for later ones."""
        self._rest += data
        if b"\n" not in data and b"\r" not in data:
            return b""  # a long line is not searched again for each piece of it
        *events, rest = _EVENT_END.split(bytes(self._rest))
        self._rest = bytearray(rest)
        joined: list[bytes] = []
        for event in (event.removeprefix(BOM_UTF8) for event in events):  # some servers send one before the first
            piece = self._form.read(event) if self._form is not None and not self._half else None
            if piece is None:
                if not _DATA.search(event):
                    continue  # it means nothing (https://html.spec.whatwg.org/multipage/server-sent-events.html)
                halves = bool(self._half) or _HALVES.search(event) is not None
                if len(events) > 1 or halves:  # there is nothing to join to a lone event
                    piece = _read_text(event)
                if piece is not None and halves:
                    piece = self._repair_halves(piece)
            if piece is not None and self._run is not None and _same(self._run, piece):
                self._run.texts += piece.texts
                if self._form is None or self._form.frame != piece.frame:
                    self._form = _find_form(event, piece)
                continue
            joined += self._end_run()
            if piece is None:
                joined.append(event)
            else:
                self._run = piece
        joined += self._end_run()
        return b"".join(event + b"\n\n" for event in joined)

    def rest(self) -> bytes:
        """Return the incomplete rest when the stream has ended."""
        rest, self._rest = bytes(self._rest), bytearray()
        return rest

    def _repair_halves(self, piece: _Run) -> _Run:
        """Return `piece` with whole characters: some servers cut between two halves, and a half can't be stored."""
        text = self._half + "".join(piece.texts)
        self._half = text[-1] if "\ud800" <= text[-1] <= "\udbff" else ""
        text = text.removesuffix(self._half).encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        return _Run(piece.frame, piece.key, [text], _framed(piece, text))

    def _end_run(self) -> list[bytes]:
        run, self._run = self._run, None
        if run is None:
            return []
        return [run.first if len(run.texts) == 1 else _framed(run, "".join(run.texts))]


def _framed(run: _Run, text: str) -> bytes:
    delta = run.frame["choices"][0]["delta"]
    delta[run.key] = text
    event = b"data: " + json.dumps(run.frame).encode()
    delta[run.key] = ""
    return event


def _same(run: _Run, piece: _Run) -> bool:
    return run.key == piece.key and (run.frame is piece.frame or run.frame == piece.frame)


def _find_form(event: bytes, piece: _Run) -> _Form | None:
    """Return the form of `event`, which is read as `piece`; None where the position of its text is not certain."""
    found = re.search(rb'"%b"\s*:\s*"(%b)"' % (piece.key.encode(), _CHARACTERS), event)
    if found is None:
        return None
    before, after = event[: found.start(1)], event[found.end(1) :]
    again = _read_text(before + b"?" + after)
    if again is None or again.texts != ["?"] or not _same(again, piece):
        return None
    parts = [_PADDING.sub(lambda _: rb"\w*", re.escape(part)) for part in (before, after)]
    return _Form(piece.frame, piece.key, re.compile((b"(" + _CHARACTERS + b")").join(parts)))


def _read_text(event: bytes) -> _Run | None:
    """Return `event` if it consists of a piece of text, else None."""
    payload = event.removeprefix(b"data:").strip()
    if not event.startswith(b"data:") or not payload.startswith(b"{") or b"\n" in payload or b"\r" in payload:
        return None
    try:
        chunk = read_json(payload)
    except ValueError:
        return None
    delta = plain_delta(chunk)
    if delta is None:
        return None
    keys = [key for key, value in delta.items() if key != "role" and value]
    if len(keys) != 1 or keys[0] not in TEXTS or not isinstance(delta[keys[0]], str):
        return None
    text, delta[keys[0]] = delta[keys[0]], ""
    chunk.pop("obfuscation", None)  # random padding that differs in each chunk
    return _Run(chunk, keys[0], [text], event)


def plain_delta(chunk: object) -> dict[str, Any] | None:
    """Return the delta of the only choice of `chunk`; None if the chunk has an end, a usage or the like."""
    if not isinstance(chunk, dict) or chunk.get("usage"):
        return None
    choices = chunk.get("choices")
    if not isinstance(choices, list) or len(choices) != 1 or not isinstance(choices[0], dict):
        return None
    choice = choices[0]
    delta = choice.get("delta")
    whole = isinstance(delta, dict) and not choice.get("finish_reason") and not choice.get("logprobs")
    return delta if whole else None


async def adapt_stream(response: httpx.Response) -> None:
    """Replace the stream of `response` if the SDK could not read it, or only slowly; a hook of an httpx2 client.

    A transport around httpx2's own would need no assignment to `response.stream`, but a client that is given a
    transport ignores the proxies of the environment. `test_the_hook_replaces_what_the_client_reads` fails when httpx2
    changes here.
    """
    content_type = response.headers.get("content-type", "")
    if content_type.startswith("text/event-stream"):
        assert isinstance(response.stream, httpx.AsyncByteStream)
        response.stream = BacklogStream(response.stream)
    elif "json" in content_type and response.is_success and _wants_stream(response.request):
        assert isinstance(response.stream, httpx.AsyncByteStream)
        response.stream = WholeAnswerStream(response.stream)


STREAM_HOOKS = {**MODEL_HOOKS, "response": [*MODEL_HOOKS["response"], adapt_stream]}
"""The `event_hooks` of every HTTP client that talks to an OpenAI-compatible server."""


class _AdaptedStream(httpx.AsyncByteStream):
    """A stream that reads another one, and closes it."""

    def __init__(self, stream: httpx.AsyncByteStream) -> None:
        self._stream = stream

    @property
    def elapsed(self) -> timedelta | None:
        """How long the response took, once it is closed; httpx2 asks its stream."""
        return getattr(self._stream, "elapsed", None)

    async def aclose(self) -> None:
        """Close the connection or give it back."""
        await self._stream.aclose()


class BacklogStream(_AdaptedStream):
    """Reads an event stream ahead in a task, and gives all that has arrived at once, its text deltas joined."""

    # A single delta passes at once. The SDK and langchain need some 0.4 ms a chunk, longer than a fast server needs to
    # send one: their cost falls as the backlog grows.
    def __init__(self, stream: httpx.AsyncByteStream) -> None:
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


def _wants_stream(request: httpx.Request) -> bool:
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
