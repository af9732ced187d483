"""The embedded model as a model like any other: the same client, another transport."""

from collections.abc import Callable
from dataclasses import replace

import httpx2

from chatcli.config.secrets import Secret
from chatcli.config.settings import LOCAL_TIMEOUT, Settings
from chatcli.events import Progress
from chatcli.models.local.client import LocalServer
from chatcli.models.local.fetch import require_override
from chatcli.models.local.tokenizer import embedded_tokenizer
from chatcli.models.local.transport import EMBEDDED_URL, EmbeddedTransport
from chatcli.models.local.weights import find_weights
from chatcli.models.model import Limits, Model
from chatcli.models.names import ModelName
from chatcli.models.openai.model import NO_KEY, STREAM_HOOKS, chat_client

WINDOW = 8192
ANSWER_ROOM = 1024
HISTORY = 1500
"""Tokens of history worth sending: two cores read some 110 a second before the first word of the answer."""
TEMPERATURE = 0.2
SYSTEM = "You are a helpful assistant. Answer briefly and use what the user told you earlier."


def build_local(name: ModelName, settings: Settings, on_progress: Callable[[Progress], None]) -> Model:
    """Return the embedded model `name`; its weights and its server come with the first request.

    Raises:
        UsageError: `settings.local_model` can't be a copy of its weights.

    """
    weights = find_weights(name.model)
    if settings.local_model is not None:
        require_override(settings.local_model, weights)
    server = LocalServer(weights, override=settings.local_model, on_progress=on_progress)
    temperature = TEMPERATURE if settings.temperature is None else settings.temperature
    http = httpx2.AsyncClient(transport=EmbeddedTransport(server), event_hooks=STREAM_HOOKS)
    client = chat_client(
        "embedded",
        EMBEDDED_URL,
        Secret(NO_KEY),
        replace(settings, timeout=settings.timeout or LOCAL_TIMEOUT, temperature=temperature),
        profile={"image_inputs": False},
        http_async_client=http,
    )
    answer = settings.max_tokens or ANSWER_ROOM
    limits = Limits(window=WINDOW, answer=answer, history=HISTORY)
    return Model(
        name,
        client,
        limits,
        default_system=SYSTEM,
        address="the local model",
        tokenizer=embedded_tokenizer(http),
    )
