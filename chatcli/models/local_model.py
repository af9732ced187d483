"""The embedded model as a model like any other: the same client, another transport."""

from collections.abc import Callable
from dataclasses import replace

import httpx2

from chatcli.events import Progress
from chatcli.models.backlog import BACKLOG_HOOKS
from chatcli.models.local.client import LocalServer
from chatcli.models.local.transport import EmbeddedTransport
from chatcli.models.local.weights import find_weights
from chatcli.models.model import Limits, Model
from chatcli.models.names import ModelName
from chatcli.models.openai import NO_KEY, chat_client
from chatcli.secret import Secret
from chatcli.settings import Settings

BASE_URL = "http://embedded.invalid/v1"  # `.invalid` (RFC 2606) never resolves: only the transport knows the way
WINDOW = 8192
ANSWER_ROOM = 1024
HISTORY = 1500
"""Tokens of history worth sending: two cores read some 110 a second before the first word of the answer."""
TEMPERATURE = 0.2
TIMEOUT = 600.0
"""Seconds: a full window is read in over a minute, and a busy machine takes longer."""
SYSTEM = "You are a helpful assistant. Answer briefly and use what the user told you earlier."


def build_local(name: ModelName, settings: Settings, on_progress: Callable[[Progress], None]) -> Model:
    """Return the embedded model `name`; its weights and its server come with the first request."""
    server = LocalServer(find_weights(name.model), override=settings.local_model, on_progress=on_progress)
    temperature = TEMPERATURE if settings.temperature is None else settings.temperature
    client = chat_client(
        "embedded",
        BASE_URL,
        Secret(NO_KEY),
        replace(settings, timeout=settings.timeout or TIMEOUT, temperature=temperature),
        profile={"image_inputs": False},
        http_async_client=httpx2.AsyncClient(transport=EmbeddedTransport(server), event_hooks=BACKLOG_HOOKS),
    )
    answer = settings.max_tokens or ANSWER_ROOM
    limits = Limits(window=WINDOW, answer=answer, history=HISTORY)
    return Model(name, client, limits, default_system=SYSTEM, address="the local model")
