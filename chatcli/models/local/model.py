"""The embedded model: the client of OpenAI-compatible servers with another transport, and its tokenizer."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace

from chatcli.config.secrets import Secret
from chatcli.config.settings import LOCAL_ANSWER_SECONDS, Settings
from chatcli.errors import ChatcliError
from chatcli.events import Notice, Progress
from chatcli.models.local.client import EMBEDDED_URL, EmbeddedTransport, LocalServer, answer_room
from chatcli.models.local.fetch import require_override
from chatcli.models.local.pulled import find_model, override_name
from chatcli.models.local.weights import KNOWN_WEIGHTS
from chatcli.models.model import About, Limits, Model, Tokenizer
from chatcli.models.names import ModelName
from chatcli.models.openai import NO_KEY, chat_client
from chatcli.models.openai_stream import STREAM_HOOKS
from chatcli.models.sdk_http import httpx

HISTORY = 1500
"""Tokens of history that are worth sending: two cores read some 110 a second before the answer begins."""
TEMPERATURE = 0.2
# It is short, since parts of a longer one got into other answers: "You can run npm install inside the program chat".
SYSTEM = (
    "You are {title}, a small language model made by {maker}, and not ChatGPT. You run offline on the user's own"
    " computer, in the program chat, free of charge and without access to the web. Nothing that the user types is"
    " uploaded, and nobody else can read it.\n\n"
    "Answer correctly and briefly, in the form that the user asks for."
)

# ChatML, the prompt format of the known models: "<|im_start|>user\n" before a text and "<|im_end|>\n" behind it, and
# "<|im_start|>assistant\n" at the end. Those of other models take about as many tokens.
_TOKENS_PER_MESSAGE = 5
_TOKENS_PER_REQUEST = 3
_TOKENIZE_SECONDS = 5.0
_TOKENIZE_URL = f"{EMBEDDED_URL.removesuffix('/v1')}/tokenize"  # a path of llama.cpp, which is not below /v1


def build_local(name: ModelName, settings: Settings, announce: Callable[[Progress | Notice], None]) -> Model:
    """Return the embedded model `name`; the first request fetches its weights and starts its server."""
    weights = find_model(name.model, settings.local_model)
    known = weights in KNOWN_WEIGHTS
    override = settings.local_model
    if not known or override is None or override_name(override) != name.model:
        override = None
    else:
        require_override(override, weights)
    server = LocalServer(weights, override=override, on_progress=announce, on_notice=announce)
    temperature = TEMPERATURE if settings.temperature is None and known else settings.temperature
    http = httpx.AsyncClient(transport=EmbeddedTransport(server), event_hooks=STREAM_HOOKS)
    client = chat_client(
        "embedded",
        EMBEDDED_URL,
        Secret(NO_KEY),
        replace(settings, timeout=settings.timeout or LOCAL_ANSWER_SECONDS, temperature=temperature),
        http,
        profile={"image_inputs": False} | ({} if weights.takes_tools else {"tool_calling": False}),
    )
    answer = settings.max_tokens or answer_room(weights)
    return Model(
        name,
        client,
        Limits(window=weights.window, answer=answer, history=min(HISTORY, weights.window // 2)),
        default_system=SYSTEM.format(title=weights.title, maker=weights.maker) if known else "",
        about=About(weights.title, weights.maker),
        address="the local model",
        tokenizer=embedded_tokenizer(http),
        close=http.aclose,
    )


def embedded_tokenizer(http: httpx.AsyncClient) -> Tokenizer:
    """Return the tokenizer of the server behind `http`, a client whose transport is an `EmbeddedTransport`.

    A text takes half a millisecond. The first one starts the server if none is running.
    """

    async def count(texts: Sequence[str]) -> list[int] | None:
        try:
            return await asyncio.gather(*(_count(http, text) for text in texts))
        except (httpx.HTTPError, ChatcliError):
            return None  # the turn's own request will report the error

    return Tokenizer(count, _TOKENS_PER_MESSAGE, _TOKENS_PER_REQUEST)


async def _count(http: httpx.AsyncClient, text: str) -> int:
    request = {"content": text, "add_special": False, "parse_special": False}
    response = await http.post(_TOKENIZE_URL, json=request, timeout=_TOKENIZE_SECONDS)
    response.raise_for_status()
    return len(response.json()["tokens"])
