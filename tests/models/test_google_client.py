"""The requests of Google's client, of which its SDK converts the last message alone."""

import asyncio
import base64
import json
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage

from chatcli.config.settings import Settings
from chatcli.models.build import build_model
from chatcli.models.names import ModelName
from tests.attachments.samples import pdf, picture
from tests.fakes.provider_server import FakeProvider
from tests.models.service_account import write_service_account

pytest.importorskip("langchain_google_genai")

# Clients of providers warn of their own doings.
pytestmark = pytest.mark.filterwarnings("ignore")

SIGNATURE = base64.b64encode(b"\xfb\xff>?").decode()
CALL = {"name": "look", "args": {"path": "a b", "depth": None, "parts": [1.5, {"of": None}]}, "id": "c1"}
MESSAGES = [
    SystemMessage("Answer briefly."),
    HumanMessage("What is this? \N{SNOWMAN}"),
    HumanMessage(
        [
            {"type": "text", "text": "And this?"},
            {"type": "image", "base64": base64.b64encode(picture()).decode(), "mime_type": "image/png"},
        ]
    ),
    HumanMessage([{"type": "file", "base64": base64.b64encode(pdf("x")).decode(), "mime_type": "application/pdf"}]),
    AIMessage(
        "",
        tool_calls=[CALL],
        additional_kwargs={"__gemini_function_call_thought_signatures__": {"c1": SIGNATURE}},
    ),
    ToolMessage([{"type": "text", "text": "found"}], tool_call_id="c1", name="look", status="error"),
    AIMessage(
        [{"type": "thinking", "thinking": "hm", "signature": SIGNATURE}, {"type": "text", "text": "A file."}],
        response_metadata={"model_provider": "google_genai"},
    ),
    HumanMessage("And now?"),
]
TOOLS = [{"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}]


@pytest.mark.parametrize("provider", ["google_genai", "google_vertexai"])
def test_the_requests_are_langchains_own(provider: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    with FakeProvider() as server:
        monkeypatch.setenv("GOOGLE_API_KEY", "key")
        monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "project")
        monkeypatch.setenv("GOOGLE_CLOUD_LOCATION", "europe-west1")
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(write_service_account(f"{server.url}/token")))
        settings = Settings.load({"model": f"{provider}:gemini-fake", "base_url": server.url})
        client: Any = build_model(ModelName(provider, "gemini-fake"), settings, lambda event: None).client
        asyncio.run(_ask_all(client))
        ours, server.requests = server.requests, []
        del client.async_client.models.generate_content_stream  # what chatcli has put before the SDK's method
        asyncio.run(_ask_all(client))
    assert len(ours) == 2 * len(MESSAGES)
    for our, own in zip(ours, server.requests, strict=True):
        # The SDK gives one field the name that it has in Python; the service's documentation has the other one.
        assert json.dumps(our.body) == json.dumps(own.body).replace('"mime_type"', '"mimeType"')


async def _ask_all(client: Any) -> None:
    """Send each end of the conversation, with tools and without."""
    for first in range(len(MESSAGES)):
        for options in ({}, {"tools": TOOLS}):
            assert [chunk async for chunk in client.astream(MESSAGES[first:], **options)]
