import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from langchain_core.messages import AIMessageChunk
from langchain_openai import ChatOpenAI
from pydantic import SecretStr

from chatcli.models.openai_stream import STREAM_HOOKS, WholeAnswerStream, as_events
from chatcli.models.sdk_http import httpx

CALL = {"id": "call_1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}


def _model(body: bytes) -> tuple[ChatOpenAI, httpx.AsyncClient]:
    """Return the real client of a server that answers every request with `body` as JSON."""

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(body), 7):
            yield body[start : start + 7]

    def respond(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers={"content-type": "application/json; charset=utf-8"}, content=pieces())

    http = httpx.AsyncClient(transport=httpx.MockTransport(respond), event_hooks=STREAM_HOOKS)
    return ChatOpenAI(model="gpt-fake", api_key=SecretStr("none"), http_async_client=http), http


def _streamed(body: bytes, **options: Any) -> AIMessageChunk:
    async def run() -> AIMessageChunk:
        model, http = _model(body)
        answer = AIMessageChunk(content="")
        async with http:
            async for chunk in model.astream("hello", **options):
                answer += chunk
        return answer

    return asyncio.run(run())


async def test_the_hook_replaces_what_the_client_reads() -> None:
    """A change of httpx that ends this shows here first."""
    _, http = _model(json.dumps(_completion({"role": "assistant", "content": "Fine."})).encode())

    async with http, http.stream("POST", "http://server/v1", json={"stream": True}) as response:
        assert isinstance(response.stream, WholeAnswerStream)
        assert b"".join([part async for part in response.aiter_raw()]).startswith(b"data: {")


def _completion(message: dict[str, Any]) -> dict[str, Any]:
    return {"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": [{"message": message}]}


@pytest.mark.parametrize("indent", [None, 2])
def test_a_whole_completion_is_the_answer(indent: int | None) -> None:
    message = {"role": "assistant", "content": "Fine.", "tool_calls": [CALL, {**CALL, "id": "call_2"}]}
    answer = _streamed(json.dumps(_completion(message), indent=indent).encode())
    assert answer.content == "Fine."
    assert [(call["id"], call["args"]) for call in answer.tool_calls] == [("call_1", {"a": 1}), ("call_2", {"a": 1})]
    assert answer.response_metadata["finish_reason"] == "stop"


def test_events_with_the_type_of_json_are_events() -> None:
    chunks = [{"choices": [{"index": 0, "delta": {"role": "assistant", "content": text}}]} for text in ("Fi", "ne.")]
    body = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks).encode()
    assert _streamed(body).content == "Fine."


async def test_events_with_the_type_of_json_pass_as_they_come() -> None:
    sent: list[bytes] = []

    class Stream(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            for part in (b" ", b"data: 1\n\n", b"data: 2\n\n"):
                sent.append(part)
                yield part

    events = aiter(WholeAnswerStream(Stream()))
    assert (await anext(events), len(sent)) == (b" data: 1\n\n", 2)


async def test_the_answer_to_a_request_without_stream_stays_unchanged() -> None:
    model, http = _model(json.dumps(_completion({"role": "assistant", "content": "Fine."})).encode())
    async with http:
        assert (await model.ainvoke("hello")).text == "Fine."


@pytest.mark.parametrize("body", [b"{", b"{}", b'{"choices": ["Fine."]}', b'{"models": []}'])
def test_what_is_not_an_answer_stays_unchanged(body: bytes) -> None:
    assert as_events(body) == body
