"""A chat model on a server of its own."""

from pathlib import Path

from langchain_openai import ChatOpenAI
from pydantic import SecretStr

from chatcli.models.local.client import EMBEDDED_URL, EmbeddedTransport, LocalServer
from chatcli.models.local.weights import Weights
from chatcli.models.sdk_http import httpx
from tests.waiting import WAIT_SECONDS


class Embedded:
    """A chat model on a server of its own."""

    def __init__(self, weights: Weights, override: Path | None) -> None:
        self.server = LocalServer(weights, override=override, on_progress=lambda _: None)
        self.http = httpx.AsyncClient(transport=EmbeddedTransport(self.server), timeout=WAIT_SECONDS)
        self.chat = ChatOpenAI(
            model="embedded",
            base_url=EMBEDDED_URL,
            api_key=SecretStr("none"),
            http_async_client=self.http,
            max_retries=0,
            temperature=0,  # the same words every time
            stream_usage=True,
        )
