"""How a model is named: `provider:model` or an alias, and which one is meant when less is said."""

from dataclasses import dataclass

from chatcli.config.endpoints import public_url
from chatcli.config.settings import Settings
from chatcli.errors import UsageError
from chatcli.providers import LOCAL, OPENAI, OTHER_NAMES, PROVIDERS

DEFAULT_OPENAI_MODEL = PROVIDERS[OPENAI].default_model
DEFAULT_LOCAL_MODEL = "qwen2.5-coder-0.5b"
OFFICIAL_BASE_URL = "https://api.openai.com/v1"
GRAPH = "graph"
"""What stands in the place of a provider in the name of a user's graph."""
LOCAL_MODELS = (DEFAULT_LOCAL_MODEL, "smollm2-135m")


@dataclass(frozen=True, slots=True)
class ModelName:
    """A model of a provider; `model` is empty where the server is to be asked what it has.

    `base_url` is the server that a thread remembers for it, empty where the settings say which one is asked.
    """

    provider: str
    model: str
    base_url: str = ""

    def __str__(self) -> str:
        return f"{self.provider}:{self.model}" if self.model else self.provider


def choose_model(settings: Settings) -> ModelName:
    """Return the model that the user named, else that of the first provider that is configured, else the local one.

    A base URL goes before a model that is named by a lesser source, as a default in the config file is: that one is
    not meant for this server.

    Raises:
        UsageError: The name's provider is not known.

    """
    if settings.model is not None and not settings.outranks("base_url", "model"):
        return resolve_model(settings.model, settings)
    if settings.openai_endpoint is not None:
        return ModelName(OPENAI, "")
    for provider in PROVIDERS.values():
        if provider.default_model and settings.credentials.has_key(provider.prefix):
            return ModelName(provider.prefix, provider.default_model)
    return ModelName(LOCAL, DEFAULT_LOCAL_MODEL)


def custom_url(settings: Settings, provider: str) -> str:
    """Return the server that the user named for `provider`, as a thread remembers it; empty for the provider's own."""
    url = settings.credentials.server_url(provider) or ""
    return "" if provider == LOCAL or (provider, url) == (OPENAI, OFFICIAL_BASE_URL) else public_url(url)


def resolve_model(text: str, settings: Settings) -> ModelName:
    """Read `text` as an alias of the user's or as `parse_model` does; aliases may not lead to aliases.

    Raises:
        UsageError: The provider is not known, or the name is empty.

    """
    text = settings.aliases.get(text.strip(), text)
    custom_server = settings.openai_endpoint is not None
    return parse_model(text, custom_server=custom_server, default=_default_provider(settings))


def _default_provider(settings: Settings) -> str:
    """Return whose models go by their names alone: those of the provider that answers where none is named.

    That is OpenAI where the local model answers, which has names of its own.
    """
    if settings.openai_endpoint is not None:
        return OPENAI
    prefix, colon, _model = (settings.model or "").strip().partition(":")
    prefix = OTHER_NAMES.get(prefix, prefix)
    if colon and prefix in PROVIDERS and prefix != LOCAL:
        return prefix
    with_key = (
        row.prefix for row in PROVIDERS.values() if row.default_model and settings.credentials.has_key(row.prefix)
    )
    return next(with_key, OPENAI)


def parse_model(text: str, *, custom_server: bool, default: str = OPENAI) -> ModelName:
    """Read `provider:model`, a provider alone, whose default model is meant, or a model of the `default` provider.

    A colon need not follow a provider: `qwen2.5:0.5b` and `mistral:7b` are models of the server that `--base-url`
    names (`custom_server`), where only langchain's own prefixes are providers.

    Raises:
        UsageError: The provider is not known, or the name is empty.

    """
    text = text.strip()
    provider, colon, model = text.partition(":")
    if not custom_server:
        provider = OTHER_NAMES.get(provider, provider)
    if provider in PROVIDERS and (colon or provider == LOCAL or not custom_server):
        return _of_provider(provider, model)
    if colon and not custom_server:
        import difflib

        near = difflib.get_close_matches(provider, (*PROVIDERS, *OTHER_NAMES), n=1)
        hint = f"Did you mean {near[0]}? " if near else ""
        raise UsageError(
            f"unknown provider {provider!r} in model {text!r}",
            remedy=f"{hint}Known providers: {', '.join(PROVIDERS)}; an OpenAI-compatible server goes by --base-url.",
        )
    if not text:
        raise UsageError("the model's name is empty", remedy="Name it as provider:model, e.g. openai:gpt-5-mini.")
    if text in LOCAL_MODELS and not custom_server:
        return _of_provider(LOCAL, text)
    return ModelName(default, text)


def _of_provider(provider: str, model: str) -> ModelName:
    if provider == LOCAL:
        model = model or DEFAULT_LOCAL_MODEL
        if model not in LOCAL_MODELS:
            raise UsageError(f"unknown local model {model!r}", remedy=f"Local models: {', '.join(LOCAL_MODELS)}.")
    elif not model:
        model = PROVIDERS[provider].default_model
    if not model:
        raise UsageError(f"which model of {provider}?", remedy=f"Name it: {provider}:MODEL; see `chat models list`.")
    return ModelName(provider, model)
