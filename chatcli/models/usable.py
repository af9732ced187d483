"""The models that can be used with the current settings, found without importing a provider's package."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import httpx2

from chatcli.config.credentials import Credentials
from chatcli.config.installation import install_command
from chatcli.config.providers import LANGFLOW, LMSTUDIO, LOCAL, OLLAMA, OPENAI, PROVIDERS
from chatcli.config.secrets import redact
from chatcli.config.settings import Settings
from chatcli.errors import AuthError, ChatcliError, UsageError
from chatcli.models import names
from chatcli.models.langflow_server import LangflowServer
from chatcli.models.local.pulled import find_model, override_name, pulled_models, source_of
from chatcli.models.names import ModelName
from chatcli.models.own_servers import LMSTUDIO_URL, begin, offered_by_lmstudio, pulled_by_ollama
from chatcli.runtime.http import request
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
    chosen = names.choose_model(settings)
    found = dict(_found(settings))
    if not chosen.model and settings.openai_endpoint == names.OFFICIAL_BASE_URL:
        chosen = ModelName(OPENAI, names.DEFAULT_OPENAI_MODEL)
    elif not chosen.model:  # the server decides
        chosen = next((name for name in found if name.provider == OPENAI), chosen)
    if chosen.model and chosen not in found:
        found = {chosen: "chosen", **found}
    models = [_usable(UsableModel(name, source, default=name == chosen), settings) for name, source in found.items()]
    for alias, text in settings.aliases.items():
        try:
            models.append(_usable(UsableModel(names.resolve_model(text, settings), "alias", alias=alias), settings))
        except UsageError as error:
            raise UsageError(f"the alias {alias}: {error.message}", remedy=error.remedy) from None
    return models


def _usable(model: UsableModel, settings: Settings) -> UsableModel:
    """Return `model`; a local one with where it is, and with the size of its download if it is missing."""
    if model.name.provider != LOCAL:
        return model
    weights = find_model(model.name.model, settings.local_model)
    missing = 0
    if settings.local_model is not None and model.name.model == override_name(settings.local_model):
        place = f"CHATCLI_LOCAL_MODEL, {settings.local_model}"
    elif weights.own_path:
        place = weights.own_path
    else:
        missing = 0 if weights.is_fetched else weights.size
        place = f"can be fetched ({weights.megabytes} MB)" if missing else ON_THIS_MACHINE
        place += f", {source_of(weights)}" if weights.hub_path else ""
    source = place if model.source == ON_THIS_MACHINE else model.source
    return replace(model, source=source, download_bytes=missing)


def _found(settings: Settings) -> Iterator[tuple[ModelName, str]]:
    # All are asked at once, so that the slowest one decides how long it takes.
    seconds = SERVER_SECONDS if settings.langflow_url else LOCAL_SECONDS
    lmstudio = settings.credentials.server_url(LMSTUDIO) or LMSTUDIO_URL
    asked = {
        LANGFLOW: begin(lambda: _flows(settings.credentials, seconds), max(seconds, 2 * LOCAL_SECONDS)),
        OLLAMA: begin(lambda: pulled_by_ollama(LOCAL_SECONDS), 2 * LOCAL_SECONDS),
        LMSTUDIO: begin(lambda: offered_by_lmstudio(lmstudio, LOCAL_SECONDS), 2 * LOCAL_SECONDS),
    }
    if settings.openai_endpoint is not None:
        for model in _served(f"{settings.openai_endpoint}/models", settings.credentials):
            yield ModelName(OPENAI, model), redact(settings.openai_endpoint, [])  # it may hold a password
    for provider in PROVIDERS.values():
        own_server = provider.prefix == OPENAI and settings.openai_endpoint is not None
        if provider.default_model and settings.credentials.has_key(provider.prefix) and not own_server:
            missing = "" if provider.is_installed else f", but needs: {install_command(provider.extra)}"
            yield ModelName(provider.prefix, provider.default_model), f"key{missing}"
    own = () if settings.local_model is None else (override_name(settings.local_model),)
    for model in dict.fromkeys((*own, *names.LOCAL_MODELS, *pulled_models())):
        yield ModelName(LOCAL, model), ON_THIS_MACHINE
    for prefix, answer in asked.items():
        for model in answer():
            yield ModelName(prefix, model), PROVIDERS[prefix].title


def _served(url: str, credentials: Credentials) -> list[str]:
    """Return the models that an OpenAI-compatible server lists; none if it does not answer."""
    try:
        key = credentials.access(OPENAI).key  # it may be in a locked keyring
        headers = {} if key is None else {"Authorization": f"Bearer {key.get_secret_value()}"}
        return served_names(request("GET", url, seconds=SERVER_SECONDS, headers=headers).content)
    except (AuthError, httpx2.HTTPError, httpx2.InvalidURL, ValueError):
        return []


def served_names(listed: bytes) -> list[str]:
    """Return the names in an OpenAI-compatible server's list of models. Raises `ValueError` if it is no such list."""
    try:
        return [str(entry["id"]) for entry in read_json(listed)["data"]]
    except (KeyError, TypeError) as error:
        raise ValueError("it is no list of models") from error


def _flows(credentials: Credentials, seconds: float) -> list[str]:
    """Return the flows of the Langflow server that the user named, or else of one on this machine."""
    try:
        return [flow.handle for flow in LangflowServer.of(credentials).flows(seconds)]
    except ChatcliError:  # `chat models langflow` shows the reason
        return []
