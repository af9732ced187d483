"""Names of models: `provider:model`, aliases, and the default if no model is named."""

from dataclasses import dataclass
from pathlib import Path

from chatcli.config.credentials import Credentials
from chatcli.config.grants import public_url
from chatcli.config.providers import LOCAL, OPENAI, OTHER_NAMES, PROVIDERS
from chatcli.config.settings import Settings
from chatcli.errors import UsageError
from chatcli.models.local.choice import default_weights
from chatcli.models.local.pulled import find_model, model_name, override_name, pulled_models
from chatcli.models.local.weights import KNOWN_WEIGHTS
from chatcli.text import did_you_mean

DEFAULT_OPENAI_MODEL = PROVIDERS[OPENAI].default_model
OFFICIAL_BASE_URL = "https://api.openai.com/v1"
GRAPH = "graph"
"""Used as the provider in the name of a user graph."""
LOCAL_MODELS = tuple(weights.name for weights in KNOWN_WEIGHTS)


@dataclass(frozen=True, slots=True)
class ModelName:
    """A model of a provider; `model` is empty if the server should be asked for its models."""

    # `base_url` is the server that a thread remembers for it; it is empty if the settings decide.
    provider: str
    model: str
    base_url: str = ""

    def __str__(self) -> str:
        return f"{self.provider}:{self.model}" if self.model else self.provider


def choose_model(settings: Settings) -> ModelName:
    """Return the model that the user named, else that of the first provider with a key, else the local one.

    A base URL goes before a model from a source of lower rank, for example a default in the config file: that model
    is not meant for this server.
    """
    if settings.model is not None and not settings.outranks("base_url", "model"):
        return resolve_model(settings.model, settings)
    if settings.openai_endpoint is not None:
        return ModelName(OPENAI, "")
    for provider in PROVIDERS.values():
        if provider.default_model and settings.credentials.has_key(provider.prefix):
            return ModelName(provider.prefix, provider.default_model)
    return ModelName(LOCAL, _default_local(settings.local_model))


def custom_url(credentials: Credentials, provider: str) -> str:
    """Return the server that the user named for `provider`, as a thread remembers it; empty for the provider's own."""
    url = credentials.server_url(provider) or ""
    return "" if provider == LOCAL or (provider, url) == (OPENAI, OFFICIAL_BASE_URL) else public_url(url)


def openai_base_url(prefix: str, credentials: Credentials) -> str:
    """Return the base URL at which the provider `prefix` is asked in OpenAI's protocol; empty if it is not."""
    chosen = credentials.access(prefix).base_url
    if prefix == OPENAI:
        return chosen or OFFICIAL_BASE_URL
    provider = PROVIDERS[prefix]
    if not provider.takes_openai:
        return ""
    url = (chosen or credentials.server_url(prefix) or provider.openai_url).rstrip("/")
    if "://" not in url:  # as Databricks shows the name of a workspace
        url = f"https://{url}"
    return url if url.endswith(provider.openai_path) else url + provider.openai_path


def resolve_model(text: str, settings: Settings) -> ModelName:
    """Return the model that `text` names: an alias, `provider:model`, a provider alone, or a model of the default one.

    An alias can't stand for another alias, and a provider alone stands for its default model. With `--base-url`, a name
    may have a colon that does not follow a provider: `qwen2.5:0.5b` and `mistral:7b` are models of that server, and
    only langchain's own prefixes are providers.
    """
    text = settings.aliases.get(text.strip(), text).strip()
    custom_server = settings.openai_endpoint is not None
    provider, colon, model = text.partition(":")
    if not custom_server:
        provider = OTHER_NAMES.get(provider, provider)
    if provider in PROVIDERS and (colon or provider == LOCAL or not custom_server):
        return _of_provider(provider, model, settings.local_model)
    if colon and not custom_server:
        hint = did_you_mean(provider, (*PROVIDERS, *OTHER_NAMES))
        raise UsageError(
            f"unknown provider {provider!r} in model {text!r}",
            remedy=f"{hint}Known providers: {', '.join(PROVIDERS)}; name an OpenAI-compatible server with --base-url.",
        )
    if not text:
        raise UsageError("the model's name is empty", remedy="Name it as provider:model, e.g. openai:gpt-5-mini.")
    if not custom_server and text in (*LOCAL_MODELS, *pulled_models()):
        return _of_provider(LOCAL, text, settings.local_model)
    return ModelName(OPENAI if custom_server else _default_provider(settings), text)


def _default_provider(settings: Settings) -> str:
    """Return the provider of a name without one: that of the default model or the first with a key, but not `local`."""
    prefix, colon, _model = (settings.model or "").strip().partition(":")
    default = OTHER_NAMES.get(prefix, prefix)
    if colon and default in PROVIDERS and default != LOCAL:
        return default
    rows = (row for row in PROVIDERS.values() if row.default_model)
    return next((row.prefix for row in rows if settings.credentials.has_key(row.prefix)), OPENAI)


def check_alias(name: str) -> None:
    """Refuse `name` if it can't be an alias of a model."""
    if ":" in name or not name.strip() or name in (*PROVIDERS, *LOCAL_MODELS):
        raise UsageError(f"{name!r} can't be an alias: it has a colon, is empty, or names a provider or model")


def _of_provider(provider: str, model: str, local_model: Path | None) -> ModelName:
    if provider == LOCAL:
        name = model_name(model) if model else _default_local(local_model)  # `model` may end in .gguf
        own = () if local_model is None else (override_name(local_model),)
        if model and name not in (*LOCAL_MODELS, *own):
            find_model(name)  # it is refused if there is none
        return ModelName(LOCAL, name)
    model = model or PROVIDERS[provider].default_model
    if not model:
        raise UsageError(
            f"{provider} has no default model", remedy=f"Name one: {provider}:MODEL; see `chat models list`."
        )
    return ModelName(provider, model)


def _default_local(local_model: Path | None) -> str:
    return default_weights().name if local_model is None else override_name(local_model)
