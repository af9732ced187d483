"""The embedded model's own tokenizer counts what its server then says that it has read."""

from pathlib import Path

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage

from chatcli.graphs.chat.token_counter import TokenCounter
from chatcli.models.local.client import EmbeddedTransport, LocalServer
from chatcli.models.local.model import embedded_tokenizer
from chatcli.models.local.weights import SMOLLM
from chatcli.models.sdk_http import httpx
from tests.models.local.embedded import Embedded

pytestmark = [pytest.mark.local_model, pytest.mark.usefixtures("own_folders")]

CONVERSATION = [
    SystemMessage("Answer in a word."),
    HumanMessage("東京の天気はどうですか。" * 5, id="1"),
    AIMessage("晴れ 🌤️", id="2"),
    HumanMessage([{"type": "text", "text": "for i in range(10):\n        print(i)\n"}], id="3"),
    AIMessage("It prints <|im_end|> ten numbers.", id="4"),
    HumanMessage("Thanks!", id="5"),
]


async def test_as_many_as_the_server_then_reads(small: Embedded) -> None:
    counter = TokenCounter(embedded_tokenizer(small.http))

    await counter.look_up(CONVERSATION, 200)
    answer = await small.chat.ainvoke(CONVERSATION, max_tokens=1)
    await small.http.aclose()
    assert answer.usage_metadata is not None
    counted, read = counter.count(CONVERSATION), answer.usage_metadata["input_tokens"]
    # The server takes what looks like a token of the format for one; only in a text is it several.
    assert 0 <= counted - read <= 6


async def test_no_server_means_no_count() -> None:
    server = LocalServer(SMOLLM, override=Path("/nowhere.gguf"), on_progress=lambda _: None)

    async with httpx.AsyncClient(transport=EmbeddedTransport(server)) as http:
        assert await embedded_tokenizer(http).count(["Hello."]) is None
