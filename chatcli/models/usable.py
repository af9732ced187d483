"""The models that can be used with the current settings, found without importing a provider's package."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace

import httpx2

from chatcli.config.installation import install_command
from chatcli.config.secrets import redact
from chatcli.config.settings import Settings
from chatcli.errors import AuthError, ChatcliError, UsageError
from chatcli.models.langflow_server import LangflowServer
from chatcli.models.local.fetch import is_fetched
from chatcli.models.local.weights import find_weights
from chatcli.models.names import (
    DEFAULT_OPENAI_MODEL,
    LOCAL_MODELS,
    OFFICIAL_BASE_URL,
    ModelName,
    choose_model,
    resolve_model,
)
from chatcli.providers import LANGFLOW, LOCAL, OPENAI, PROVIDERS
from chatcli.runtime.parse import read_json

SERVER_SECONDS = 5.0
"""The limit for a server that the user named."""
LOCAL_SECONDS = 0.5
"""The limit for a server on this machine, which answers at once if it is running."""
ON_THIS_MACHINE = "on this machine"


@dataclass(frozen=True, slots=True)
class UsableModel:
    """A model that can be used, and where it was found: by a key, in a server's list, as an alias."""

    name: ModelName
    source: str
    default: bool = False
    alias: str = ""
    download_bytes: int = 0
    """The size of what must be downloaded before its first use."""


def usable_models(settings: Settings) -> list[UsableModel]:
    """Return the models that can be used now, with the default marked and the aliases last."""
    chosen = choose_model(settings)
    found = dict(_found(settings))
    if not chosen.model and settings.openai_endpoint == OFFICIAL_BASE_URL:
        chosen = ModelName(OPENAI, DEFAULT_OPENAI_MODEL)
    elif not chosen.model:  # the server decides
        chosen = next((name for name in found if name.provider == OPENAI), chosen)
    if chosen.model and chosen not in found:
        found = {chosen: "chosen", **found}
    models = [_usable(UsableModel(name, source, default=name == chosen), settings) for name, source in found.items()]
    for alias, text in settings.aliases.items():
        try:
            models.append(_usable(UsableModel(resolve_model(text, settings), "alias", alias=alias), settings))
        except UsageError as error:
            raise UsageError(f"the alias {alias}: {error.message}", remedy=error.remedy) from None
    return models


def _usable(model: UsableModel, settings: Settings) -> UsableModel:
    """Return `model`, with the size of its download if it is a local model that is missing."""
    if model.name.provider != LOCAL:
        return model
    weights = find_weights(model.name.model)
    if is_fetched(weights, settings.local_model):
        return model
    if settings.local_model is not None:
        return replace(model, source=f"not what CHATCLI_LOCAL_MODEL names, {settings.local_model}")
    source = f"can be fetched ({weights.size / 1e6:.0f} MB)" if model.source == ON_THIS_MACHINE else model.source
    return replace(model, source=source, download_bytes=weights.size)


def _found(settings: Settings) -> Iterator[tuple[ModelName, str]]:
    if settings.openai_endpoint is not None:
        for model in _served(f"{settings.openai_endpoint}/models", settings):
            yield ModelName(OPENAI, model), redact(settings.openai_endpoint, [])  # it may hold a password
    for provider in PROVIDERS.values():
        own_server = provider.prefix == OPENAI and settings.openai_endpoint is not None
        if provider.default_model and settings.credentials.has_key(provider.prefix) and not own_server:
            missing = "" if provider.is_installed else f", but needs: {install_command(provider.extra)}"
            yield ModelName(provider.prefix, provider.default_model), f"key{missing}"
    for model in LOCAL_MODELS:
        yield ModelName(LOCAL, model), ON_THIS_MACHINE
    for model in _flows(settings):
        yield ModelName(LANGFLOW, model), "Langflow"
    for model in _pulled_by_ollama():
        yield ModelName("ollama", model), "Ollama"


def _served(url: str, settings: Settings) -> list[str]:
    """Return the models that an OpenAI-compatible server lists; none if it does not answer."""
    try:
        key = settings.credentials.access(OPENAI).key
    except AuthError:  # for example in a locked keyring
        return []
    headers = {} if key is None else {"Authorization": f"Bearer {key.get_secret_value()}"}
    try:
        return served_names(httpx2.get(url, headers=headers, timeout=SERVER_SECONDS).content)
    except (httpx2.HTTPError, httpx2.InvalidURL, ValueError):
        return []


def served_names(listed: bytes) -> list[str]:
    """Return the names in an OpenAI-compatible server's list of models.

    Raises:
        ValueError: It is no such list.

    """
    try:
        return [str(entry["id"]) for entry in read_json(listed)["data"]]
    except (KeyError, TypeError) as error:
        raise ValueError("it is no list of models") from error


def _flows(settings: Settings) -> list[str]:
    """Return the flows of the Langflow server that the settings name, or else of one on this machine."""
    try:
        server = LangflowServer.of(settings)
        return [flow.handle for flow in server.flows(SERVER_SECONDS if settings.langflow_url else LOCAL_SECONDS)]
    except ChatcliError:  # `chat models langflow` shows the reason
        return []


def _pulled_by_ollama() -> list[str]:
    host = os.environ.get("OLLAMA_HOST") or "127.0.0.1:11434"
    url = host if host.startswith("http") else f"http://{host}"
    try:
        entries = read_json(httpx2.get(f"{url}/api/tags", timeout=LOCAL_SECONDS).content)["models"]
        return [str(entry["name"]) for entry in entries]
    except (httpx2.HTTPError, httpx2.InvalidURL, ValueError, KeyError, TypeError):
        return []
