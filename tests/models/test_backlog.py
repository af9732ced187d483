import asyncio
import json
import re
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessageChunk
from pydantic import SecretStr

from chatcli.config.secrets import Secret
from chatcli.config.settings import Settings
from chatcli.models import openai_stream
from chatcli.models.openai import WholeChatOpenAI, chat_client
from chatcli.models.openai_stream import STREAM_HOOKS, BacklogStream, DeltaJoiner
from chatcli.models.sdk_http import httpx

FRAME: dict[str, Any] = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-fake"}


def _chunk(delta: dict[str, Any], *, index: int = 0, **more: Any) -> dict[str, Any]:
    return {**FRAME, "choices": [{"index": index, "delta": delta, "finish_reason": None, **more}]}


def _call(index: int, name: str | None, arguments: str) -> dict[str, Any]:
    function = {"name": name, "arguments": arguments}
    return {"tool_calls": [{"index": index, "id": f"call_{index}", "type": "function", "function": function}]}


def _sent(events: Sequence[dict[str, Any] | str]) -> bytes:
    texts = [event if isinstance(event, str) else f"data: {json.dumps(event)}" for event in events]
    return "".join(f"{text}\n\n" for text in texts).encode()


TEXT = st.text(max_size=4)
LOGPROBS = {"content": [{"token": "a", "bytes": [97], "logprob": -0.5, "top_logprobs": []}], "refusal": None}
USAGE = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
CHUNKS = st.one_of(
    TEXT.map(lambda text: _chunk({"content": text})),
    TEXT.map(lambda text: _chunk({"role": "assistant", "content": text, "refusal": None}, logprobs=None)),
    TEXT.map(lambda text: {**_chunk({"content": text}), "obfuscation": text}),
    TEXT.map(lambda text: _chunk({"reasoning_content": text})),
    TEXT.map(lambda text: _chunk({"content": text}, logprobs=LOGPROBS)),
    TEXT.map(lambda text: _chunk({"refusal": text})),
    st.tuples(st.integers(0, 1), st.sampled_from([None, "add"]), TEXT).map(lambda parts: _chunk(_call(*parts))),
    TEXT.map(lambda text: {**_chunk({"content": text}), "system_fingerprint": text}),
    st.just({**FRAME, "choices": [], "usage": USAGE}),
    st.just(": a comment"),
)
STREAMS = st.lists(CHUNKS, max_size=12).map(
    lambda chunks: _sent([*chunks, _chunk({}, finish_reason="stop"), "data: [DONE]"])
)


async def _answer(body: bytes, cuts: Sequence[int], *, joined: bool) -> AIMessageChunk:
    """Return what the real client reads from `body`, which arrives in pieces that end at `cuts`."""

    async def pieces() -> AsyncIterator[bytes]:
        for start, end in zip([0, *cuts], [*cuts, len(body)], strict=True):
            yield body[start:end]
            if end % 2:  # every other piece comes together with the next
                await asyncio.sleep(0)

    def respond(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers={"content-type": "text/event-stream"}, content=pieces())

    transport = httpx.MockTransport(respond)
    http = httpx.AsyncClient(transport=transport, event_hooks=STREAM_HOOKS if joined else {})
    if joined:
        model = chat_client("gpt-fake", "http://server/v1", Secret("none"), Settings(), http)
    else:
        model = WholeChatOpenAI(model="gpt-fake", api_key=SecretStr("none"), http_async_client=http, stream_usage=True)
    answer = AIMessageChunk(content="")
    async with http:
        async for chunk in model.astream("hello"):
            answer += chunk
    return answer


@given(data=st.data(), body=STREAMS)
def test_a_joined_stream_makes_an_equal_message(data: st.DataObject, body: bytes) -> None:
    cuts = sorted(data.draw(st.sets(st.integers(1, len(body) - 1), max_size=8)))
    joined, plain = (asyncio.run(_answer(body, cuts, joined=way)) for way in (True, False))
    assert joined.model_copy(update={"id": None}) == plain.model_copy(update={"id": None})


@given(st.lists(st.one_of(TEXT.map(lambda text: _chunk({"content": text}, index=1)), CHUNKS), max_size=8))
def test_what_is_not_only_text_stays_unchanged(chunks: list[dict[str, Any] | str]) -> None:
    others = [chunk for chunk in chunks if "content" not in json.dumps(chunk)]
    assert DeltaJoiner().feed(_sent(others)) == _sent([chunk for chunk in others if chunk != ": a comment"])


@pytest.mark.parametrize(
    "chunks",
    [
        [_chunk({"content": "", "reasoning_content": "Hm"}), _chunk({"content": "Yes", "reasoning_content": ""})],
        [
            {**FRAME, "choices": [*_chunk({"content": text})["choices"], *_chunk({"content": "b"}, index=1)["choices"]]}
            for text in "ac"
        ],
    ],
    ids=["a thought and the answer", "two answers"],
)
def test_texts_of_different_kinds_are_not_joined(chunks: list[dict[str, Any]]) -> None:
    assert DeltaJoiner().feed(_sent(chunks)) == _sent(chunks)


def test_text_that_came_together_is_one_delta() -> None:
    joiner = DeltaJoiner()
    body = _sent([_chunk({"content": text}) for text in ("a", "b", "ü")])
    assert joiner.feed(body[:-1]) == _sent([_chunk({"content": "ab"})])
    assert joiner.feed(body[-1:]) == _sent([_chunk({"content": "ü"})])
    assert joiner.rest() == b""


PIECES = ["a", 'say "content": "x"', "\\", "\n\t", "ü", "\x7f", "\U0001f600", "{[", "", '"', "\u2028", "\0"]


@pytest.mark.parametrize("ascii_only", [True, False])
@pytest.mark.parametrize("padding", [{}, {"obfuscation": "aB3"}], ids=["", "padded"])
def test_a_backlog_is_joined_whatever_its_text_is(*, ascii_only: bool, padding: dict[str, str]) -> None:
    pieces = PIECES * 3
    chunks = [
        {**_chunk({"content": text}), **{key: value * n for key, value in padding.items()}}
        for n, text in enumerate(pieces)
    ]
    body = "".join(
        f"data: {json.dumps(chunk, ensure_ascii=ascii_only, separators=(',', ':'))}\n\n" for chunk in chunks
    ).encode()
    events = DeltaJoiner().feed(body).decode().removesuffix("\n\n").split("\n\n")
    read = [json.loads(event.removeprefix("data: ")) for event in events]
    assert "".join(chunk["choices"][0]["delta"]["content"] for chunk in read) == "".join(pieces)
    assert len(events) == 7  # an empty piece, which begins a message, stays as it is
    assert [
        {key: value for key, value in chunk.items() if key not in ("choices", "obfuscation")} for chunk in read
    ] == [FRAME] * 7


def test_the_text_is_found_where_another_field_has_its_name() -> None:
    frame = {**_chunk({"content": "?"}), "usage": None, "meta": {"content": "x"}}
    body = _sent([{"meta": frame["meta"], **frame}] * 9)
    [event] = DeltaJoiner().feed(body).split(b"\n\n")[:-1]
    joined = json.loads(event.removeprefix(b"data: "))
    assert (joined["choices"][0]["delta"], joined["meta"]) == ({"content": "?" * 9}, {"content": "x"})


def test_bytes_that_are_no_text_spoil_no_other_event() -> None:
    good = _sent([_chunk({"content": "a"})])
    bad = good.replace(b'"a"', b'"\xff"')
    assert DeltaJoiner().feed(good * 3 + bad + good) == _sent([_chunk({"content": "aaa"})]) + bad + good


def test_a_chunk_of_text_is_passed_as_it_was_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """langchain gets no model of it, which would have all fields that a delta may have."""
    deltas: list[dict[str, Any]] = []
    convert = WholeChatOpenAI._convert_chunk_to_generation_chunk

    def noticed(self: WholeChatOpenAI, chunk: dict[str, Any], *others: Any) -> Any:
        deltas.append(dict(chunk["choices"][0]["delta"]))
        return convert(self, chunk, *others)

    monkeypatch.setattr(WholeChatOpenAI, "_convert_chunk_to_generation_chunk", noticed)
    asyncio.run(
        _answer(_sent([_chunk({"content": "a"}), _chunk(_call(0, "add", "{}")), "data: [DONE]"]), [], joined=True)
    )
    assert deltas[0] == {"content": "a"}
    assert deltas[1].keys() > {"tool_calls"}


@pytest.mark.parametrize("end", ["\n\n", "\r\n\r\n", "\r\r"])
def test_every_line_end_ends_an_event(end: str) -> None:
    assert DeltaJoiner().feed(f"data: [DONE]{end}".encode()) == b"data: [DONE]\n\n"


def test_a_byte_order_mark_costs_no_event() -> None:
    body = _sent([_chunk({"content": "a"})])
    joiner = DeltaJoiner()
    assert joiner.feed(b"\xef\xbb\xbf" + body) + joiner.feed(body) == body * 2


@pytest.mark.parametrize("nothing", ["retry: 1000", "id: 7", "event: ping", ": a comment", ":", ""])
def test_an_event_without_data_is_left_out(nothing: str) -> None:
    """After a `retry` or an `id` in the stream, the SDK reads it as an empty chunk, and fails."""
    body = f"{nothing}\n\nid: 8\ndata: [DONE]\n\n".encode()
    assert DeltaJoiner().feed(body) == b"id: 8\ndata: [DONE]\n\n"


@pytest.mark.parametrize("together", [True, False])
def test_halves_of_a_character_become_one(*, together: bool) -> None:
    joiner = DeltaJoiner()
    chunks = [_chunk({"content": text}) for text in ("a\ud83d", "\ude00b", "\ude00c", "\U0001f600")]
    bodies = [_sent(chunks)] if together else [_sent([chunk]) for chunk in chunks]
    events = b"".join(joiner.feed(body) for body in bodies).decode().split("\n\n")
    texts = [json.loads(event.removeprefix("data: "))["choices"][0]["delta"]["content"] for event in events if event]
    assert "".join(texts) == "a\U0001f600b\ufffdc\U0001f600"


class _CountingPattern:
    """Splits as `pattern` does, and counts the bytes that it has searched."""

    def __init__(self, pattern: re.Pattern[bytes]) -> None:
        self.pattern = pattern
        self.searched = 0

    def split(self, data: bytes) -> list[bytes]:
        self.searched += len(data)
        return self.pattern.split(data)


def test_a_long_line_is_searched_once(monkeypatch: pytest.MonkeyPatch) -> None:
    counting = _CountingPattern(openai_stream._EVENT_END)
    monkeypatch.setattr(openai_stream, "_EVENT_END", counting)
    joiner = DeltaJoiner()
    body = _sent([_chunk({"content": "x" * 5_000_000})])
    parts = [joiner.feed(body[place : place + 4096]) for place in range(0, len(body), 4096)]
    assert b"".join(parts) == body
    assert counting.searched <= 2 * len(body)


class _Connection(httpx.AsyncByteStream):
    """Gives the pieces that are put into it, and raises `error` at the end."""

    def __init__(self, error: Exception | None = None) -> None:
        self.pieces: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.error = error
        self.closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while (piece := await self.pieces.get()) is not None:
            yield piece
            self.pieces.task_done()
        if self.error is not None:
            raise self.error

    async def aclose(self) -> None:
        self.closed = True


async def test_a_single_delta_passes_at_once_and_a_backlog_is_joined() -> None:
    connection = _Connection()
    stream = BacklogStream(connection)
    events = aiter(stream)
    connection.pieces.put_nowait(_sent([_chunk({"content": "a"})]))
    assert await anext(events) == _sent([_chunk({"content": "a"})])
    for text in ("b", "c", "d"):
        connection.pieces.put_nowait(_sent([_chunk({"content": text})]))
    await connection.pieces.join()
    assert await anext(events) == _sent([_chunk({"content": "bcd"})])
    await stream.aclose()
    assert connection.closed


async def test_an_end_without_an_empty_line_is_read_too() -> None:
    connection = _Connection()
    connection.pieces.put_nowait(b"data: 1\n\ndata: 2")
    connection.pieces.put_nowait(None)
    assert [part async for part in BacklogStream(connection)] == [b"data: 1\n\n", b"data: 2"]


async def test_what_is_read_ahead_has_a_bound() -> None:
    connection = _Connection()
    stream = BacklogStream(connection)
    events = aiter(stream)
    connection.pieces.put_nowait(b"data: 0\n\n")
    await anext(events)
    for _ in range(5):
        connection.pieces.put_nowait(b"x" * openai_stream.MOST_WAITING)
    for _ in range(20):  # more turns of the loop than the reader needs for all of them
        await asyncio.sleep(0)
    assert connection.pieces.qsize() == 3  # the first fills the room, the second goes beyond it
    await stream.aclose()


async def test_a_broken_connection_is_reported_after_what_arrived() -> None:
    connection = _Connection(httpx.ReadError("reset"))
    events = aiter(BacklogStream(connection))
    connection.pieces.put_nowait(b"data: 1\n\ndata: 2")
    connection.pieces.put_nowait(None)
    assert await anext(events) == b"data: 1\n\n"
    with pytest.raises(httpx.ReadError):
        await anext(events)
