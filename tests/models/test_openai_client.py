"""The private methods of langchain-openai that `WholeChatOpenAI` overrides: a rename there fails here first."""

import asyncio
import json
import ssl
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    ChatMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_openai import ChatOpenAI
from pydantic import SecretStr

from chatcli.config.settings import Settings
from chatcli.events import Notice, Progress
from chatcli.models.build import build_model
from chatcli.models.names import ModelName
from chatcli.models.openai import REASONING, WholeChatOpenAI
from chatcli.models.sdk_http import httpx
from chatcli.runtime import addresses

SCHEMA = {"type": "json_schema", "json_schema": {"name": "answer", "schema": {"type": "object"}}}
CHUNKS: list[dict[str, Any]] = [
    {"choices": [{"index": 0, "delta": {"reasoning": "two and two"}}]},
    {"choices": [{"delta": {"content": '{"sum": 4}'}}]},  # without an index, on which the SDK's parser fails
    {"choices": [{"index": 0, "delta": None, "finish_reason": "stop"}]},
]


def _streamed(kind: type[ChatOpenAI]) -> AIMessageChunk:
    """Return the answer that a client of the class `kind` reads from a stream of `CHUNKS`."""
    body = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in CHUNKS)

    def respond(request: httpx.Request) -> httpx.Response:
        assert json.loads(request.content)["response_format"] == SCHEMA
        return httpx.Response(200, headers={"content-type": "text/event-stream"}, content=body)

    async def run() -> AIMessageChunk:
        answer = AIMessageChunk(content="")
        async with httpx.AsyncClient(transport=httpx.MockTransport(respond)) as http:
            model = kind(model="gpt-fake", api_key=SecretStr("none"), http_async_client=http)
            async for chunk in model.astream("hello", response_format=SCHEMA):
                answer += chunk
        return answer

    return asyncio.run(run())


def test_langchain_still_calls_the_overridden_methods() -> None:
    answer = _streamed(WholeChatOpenAI)
    assert answer.text == '{"sum": 4}'
    assert answer.additional_kwargs[REASONING] == "two and two"
    assert answer.response_metadata["finish_reason"] == "stop"


@pytest.mark.parametrize(
    ("usage", "counts"),
    [
        ({"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11}, (9, 2, {})),
        (
            {"prompt_tokens": 9.0, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 4, "x": "y"}},
            (9, 2, {"cache_read": 4}),
        ),
        ({"prompt_tokens": 10**13, "completion_tokens": 2, "total_tokens": "many"}, (0, 2, {})),
    ],
    ids=["OpenAI's", "of a cache", "impossible"],
)
def test_the_usage_is_read_as_far_as_it_can_be_true(usage: dict[str, Any], counts: tuple[int, int, Any]) -> None:
    chunk = {"choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": "stop"}], "usage": usage}
    client = WholeChatOpenAI(model="gpt-fake", api_key=SecretStr("none"))
    converted = client._convert_chunk_to_generation_chunk(chunk, AIMessageChunk, None)
    assert converted is not None
    assert isinstance(converted.message, AIMessageChunk)
    read: Any = converted.message.usage_metadata
    assert (read["input_tokens"], read["output_tokens"], read.get("input_token_details", {})) == counts


def test_a_refusal_is_kept() -> None:
    chunk = {"choices": [{"index": 0, "delta": {"refusal": "No."}, "finish_reason": None}]}
    client = WholeChatOpenAI(model="gpt-fake", api_key=SecretStr("none"))
    converted = client._convert_chunk_to_generation_chunk(chunk, AIMessageChunk, None)
    assert converted is not None
    assert converted.message.additional_kwargs["refusal"] == "No."


@pytest.mark.parametrize(
    ("name", "variables", "own", "address"),
    [
        ("openai", {"OPENAI_API_KEY": "k"}, False, "https://api.openai.com/v1"),
        (
            "openai",
            {"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": "https://me:pass@server/v1"},
            True,
            "https://***@server/v1",
        ),
        ("groq", {"GROQ_API_KEY": "k"}, False, "Groq"),
        ("lmstudio", {"LMSTUDIO_BASE_URL": "http://127.0.0.1:9/v1"}, True, "http://127.0.0.1:9/v1"),
    ],
    ids=["OpenAI", "another server", "a provider", "LM Studio"],
)
async def test_a_model_has_its_servers_address_and_its_clients_limits(
    own_folders: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    variables: dict[str, str],
    address: str,
    *,
    own: bool,
) -> None:
    for variable in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "GROQ_API_KEY", "LMSTUDIO_BASE_URL"):
        monkeypatch.delenv(variable, raising=False)
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)
    model = build_model(ModelName(name, "gpt-fake"), Settings.load({"timeout": 500.0}), lambda event: None)
    client: Any = model.client
    assert (model.custom_server, model.address) == (own, address)  # list prices apply to the provider's own
    assert model.close is not None
    assert (client.max_retries, client.stream_usage, client.use_responses_api) == (
        0,
        True,
        False if name == "groq" else None,
    )
    assert (client.request_timeout.read, client.request_timeout.connect) == (500, 10)
    await model.close()
    assert client.http_async_client.is_closed


MESSAGES = [
    SystemMessage("Answer briefly."),
    HumanMessage("What is this? \N{SNOWMAN}", id="1"),
    HumanMessage([{"type": "text", "text": "And this?"}, {"type": "image_url", "image_url": {"url": "data:,x"}}]),
    HumanMessage(
        [{"type": "file", "base64": "JVBERg==", "mime_type": "application/pdf", "extras": {"filename": "a.pdf"}}]
    ),
    AIMessage("", tool_calls=[{"name": "look", "args": {"path": "a b"}, "id": "c1"}]),
    ToolMessage("found", tool_call_id="c1"),
    ToolMessage([{"type": "text", "text": "found"}], tool_call_id="c1", status="error"),
    AIMessage("It is a file.", additional_kwargs={REASONING: "hm"}, name="helper"),
    AIMessage([{"type": "text", "text": "In parts."}], response_metadata={"finish_reason": "stop"}),
    ChatMessage(content="Said by a third one.", role="developer"),
    HumanMessage("", additional_kwargs={"passage": 3}),
]
TOOLS = [{"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}]


@pytest.mark.parametrize("options", [{}, {"tools": TOOLS, "tool_choice": "auto"}, {"extra_body": {"seed": 7}}], ids=str)
@pytest.mark.parametrize("number", range(len(MESSAGES) + 1))
def test_the_request_has_the_same_bytes_as_langchains_own(number: int, options: dict[str, Any]) -> None:
    messages = MESSAGES[number:] or MESSAGES[:1]
    assert _sent(WholeChatOpenAI, [messages], options) == _sent(ChatOpenAI, [messages], options)


@pytest.mark.parametrize("model", ["gpt-fake", "o3"])  # to the latter, the system prompt has another role
def test_later_requests_have_the_same_bytes_too(model: str) -> None:
    growing = [MESSAGES[:end] for end in range(1, len(MESSAGES) + 1)]
    shrinking = [MESSAGES[:2] + MESSAGES[start:] for start in range(2, len(MESSAGES))]
    requests = [*growing, *shrinking, [MESSAGES[1], MESSAGES[1]], MESSAGES]
    assert _sent(WholeChatOpenAI, requests, {}, model) == _sent(ChatOpenAI, requests, {}, model)


def _sent(
    kind: type[ChatOpenAI], requests: Sequence[list[BaseMessage]], options: dict[str, Any], model: str = "gpt-fake"
) -> list[bytes]:
    """Return the bodies of the requests that a client of the class `kind` sends."""
    bodies: list[bytes] = []

    def respond(request: httpx.Request) -> httpx.Response:
        bodies.append(request.content)
        return httpx.Response(200, headers={"content-type": "text/event-stream"}, content="data: [DONE]\n\n")

    async def run() -> None:
        async with httpx.AsyncClient(transport=httpx.MockTransport(respond)) as http:
            client = kind(model=model, api_key=SecretStr("none"), http_async_client=http)
            for messages in requests:
                with suppress(ValueError):  # there is no answer
                    async for _ in client.astream(messages, **options):
                        pass

    asyncio.run(run())
    return bodies


def test_langchains_own_client_still_needs_them() -> None:
    with pytest.raises(AssertionError):
        _streamed(ChatOpenAI)


@pytest.mark.parametrize(("provider", "model", "times"), [("openai", "gpt-fake", 1), ("local", "smollm2-135m", 0)])
def test_the_certificates_are_read_at_most_once(
    monkeypatch: pytest.MonkeyPatch, provider: str, model: str, times: int
) -> None:
    """Reading them takes longer than all else that a client does when it is made."""
    read: list[object] = []
    monkeypatch.setattr(ssl.SSLContext, "load_verify_locations", lambda *args, **_: read.append(args))
    settings = Settings.load({"base_url": "http://127.0.0.1:1/v1"} if provider == "openai" else {})
    build_model(ModelName(provider, model), settings, lambda event: None)
    assert len(read) == times


def test_a_key_over_http_to_another_machine_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(addresses, "_warned", set())
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test-1")
    told: list[Progress | Notice] = []
    for url in ("http://127.0.0.1:9/v1", "https://10.9.8.7/v1", "http://10.9.8.7/v1", "http://10.9.8.7/v1"):
        settings = Settings.load({"base_url": url})
        build_model(ModelName("openai", "gpt-fake"), settings, told.append)
    [notice] = told
    assert isinstance(notice, Notice)
    assert notice.urgent
    assert notice.text.startswith("the key goes to 10.9.8.7 unencrypted")
