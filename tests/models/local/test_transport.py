"""The embedded model answers through the same client as every OpenAI-compatible endpoint."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from langchain_core.exceptions import ModelConnectionError, ModelInvalidRequestError
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage

from chatcli.errors import NetworkError
from chatcli.models.local.weights import QWEN, SMOLLM
from tests.models.local.embedded import Embedded
from tests.models.local.processes import kill
from tests.waiting import WAIT_SECONDS

pytestmark = [pytest.mark.local_model, pytest.mark.usefixtures("own_folders")]


async def _read(stream: AsyncIterator[AIMessageChunk]) -> None:
    async for _ in stream:
        pass


async def test_default_model_remembers_a_name(weights_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The loopback interface is never behind a proxy.
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    messages = [
        HumanMessage("Hi! I'm Bob."),
        AIMessage("Hello Bob! How can I help you?"),
        HumanMessage("What's my name?"),
    ]

    embedded = Embedded(QWEN, weights_cache)
    async with embedded.http:
        chunks = [chunk async for chunk in embedded.chat.astream(messages)]
    answer = chunks[0]
    for chunk in chunks[1:]:
        answer += chunk
    assert len(chunks) > 3
    assert "Bob" in answer.text
    assert answer.usage_metadata is not None
    assert answer.usage_metadata["output_tokens"] > 0
    assert answer.response_metadata["finish_reason"] == "stop"


async def test_server_killed_in_mid_answer(small: Embedded) -> None:
    partial = ""
    stream = small.chat.astream("Count from 1 to 300, one number a line.")
    async for chunk in stream:
        partial += chunk.text
        if len(partial) > 20:
            break
    kill((await small.server.ensure()).pid)
    with pytest.raises(ModelConnectionError):
        await _read(stream)
    answer = await small.chat.ainvoke("Say hello.", max_tokens=4)
    await small.http.aclose()
    assert len(partial) > 20
    assert answer.text


async def test_server_killed_between_two_turns(small: Embedded) -> None:
    await small.chat.ainvoke("Say hello.", max_tokens=4)
    before = await small.server.ensure()
    kill(before.pid)
    await small.chat.ainvoke("Say hello.", max_tokens=4)
    after = await small.server.ensure()
    await small.http.aclose()
    assert before.pid != after.pid


async def test_server_killed_before_the_answer_begins_is_asked_again(small: Embedded) -> None:
    first = await small.server.ensure()
    question = asyncio.create_task(small.chat.ainvoke("word " * 400 + "Say hello.", max_tokens=4))
    await asyncio.sleep(0.5)  # the prompt is being read: nothing has been answered
    assert not question.done()
    kill(first.pid)
    assert (await question).response_metadata["finish_reason"]
    assert (await small.server.ensure()).pid != first.pid
    await small.http.aclose()


async def test_cancelled_answer_frees_the_server(small: Embedded) -> None:
    async for _ in small.chat.astream("Count from 1 to 300."):
        break
    answer = await asyncio.wait_for(small.chat.ainvoke("Say hello.", max_tokens=4), WAIT_SECONDS)
    await small.http.aclose()
    assert answer.text


async def test_overflow_is_refused_with_both_sizes(small: Embedded) -> None:
    with pytest.raises(ModelInvalidRequestError, match=r"9\d+ tokens.*8192 tokens"):
        await small.chat.ainvoke("word " * 9000)
    await small.http.aclose()


async def test_missing_weights_are_reported_unchanged() -> None:
    embedded = Embedded(SMOLLM, None)
    with pytest.raises(NetworkError, match="SmolLM2 135M can't be downloaded"):
        await _read(embedded.chat.astream("Say hello."))
    await embedded.http.aclose()


async def test_terminated_server_does_not_wait_for_its_answer(small: Embedded) -> None:
    stream = small.chat.astream("Count from 1 to 300, one number a line.")
    await anext(stream)
    pid = (await small.server.ensure()).pid
    os.kill(pid, signal.SIGTERM)
    with pytest.raises(ModelConnectionError):  # the answer would end without an error
        await asyncio.wait_for(_read(stream), WAIT_SECONDS)
    await small.http.aclose()
