"""The embedded model's own tokenizer, which its server has."""

import asyncio
from collections.abc import Sequence

import httpx2

from chatcli.errors import ChatcliError
from chatcli.models.local.transport import EMBEDDED_URL
from chatcli.models.tokenizer import Tokenizer

# ChatML, the prompt format of the embedded models: "<|im_start|>user\n" before a text and "<|im_end|>\n" behind it,
# and "<|im_start|>assistant\n" at the end.
_PER_MESSAGE = 5
_PER_REQUEST = 3
_TIMEOUT_S = 5.0
_URL = f"{EMBEDDED_URL.removesuffix('/v1')}/tokenize"  # llama.cpp's own: not below /v1


def embedded_tokenizer(http: httpx2.AsyncClient) -> Tokenizer:
    """Return the tokenizer behind `http`, a client whose transport is an `EmbeddedTransport`.

    It takes half a millisecond a text, and the start of the server when there is none.
    """

    async def count(texts: Sequence[str]) -> list[int] | None:
        try:
            return await asyncio.gather(*(_count(http, text) for text in texts))
        except (httpx2.HTTPError, ChatcliError):
            return None  # the turn's own request will say what is wrong

    return Tokenizer(count, _PER_MESSAGE, _PER_REQUEST)


async def _count(http: httpx2.AsyncClient, text: str) -> int:
    request = {"content": text, "add_special": False, "parse_special": False}
    response = await http.post(_URL, json=request, timeout=_TIMEOUT_S)
    response.raise_for_status()
    return len(response.json()["tokens"])
