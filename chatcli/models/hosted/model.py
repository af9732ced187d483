"""Models of every provider in the table, through langchain's `init_chat_model`."""

import os
from typing import Any

from langchain_core.language_models import BaseChatModel
from pydantic import ValidationError

from chatcli.config.credentials import Access
from chatcli.config.installation import install_command
from chatcli.config.settings import DEFAULT_TIMEOUT, Settings
from chatcli.errors import MissingKeyError, UsageError
from chatcli.models.errors import translate
from chatcli.models.hosted.bedrock import missing_login
from chatcli.models.hosted.packages import is_installed
from chatcli.models.hosted.skipping import refuse_skipping
from chatcli.models.model import Endpoint, Limits, Model
from chatcli.models.names import ModelName, custom_url
from chatcli.models.openai.model import ANSWER_ROOM
from chatcli.models.prices import known_window
from chatcli.providers import BEDROCK, DATABRICKS, IBM, PROVIDERS, Provider


def build_hosted(name: ModelName, settings: Settings) -> Model:
    """Return the model `name` of a provider other than OpenAI and the local one.

    Raises:
        MissingKeyError: The provider's key is missing.
        UsageError: Its package is not installed, or a variable that it needs is not set.
        ChatcliError: Its client asks the provider when it is made, and that failed.

    """
    provider = PROVIDERS[name.provider]
    _require_package(provider)
    credentials = settings.credentials.access(provider.prefix)
    _require_credentials(name, provider, credentials)
    base_url = custom_url(settings, provider.prefix)
    endpoint = Endpoint(name, base_url or provider.title, credentials.key, base_url)
    try:
        client = _client(name, provider, credentials, settings)
    except ImportError:
        raise _not_installed(provider) from None
    except ValueError as error:
        if provider.prefix == BEDROCK and (missing := missing_login()) is not None:
            raise translate(missing, endpoint) from error
        reason = endpoint.redact(_first_problem(error))
        raise UsageError(f"{name} can't be set up: {reason}", remedy=_needs(provider)) from None
    except Exception as error:
        # IBM's client, for one, logs in when it is made, and may fail as a request does.
        raise translate(error, endpoint) from error
    return Model(
        name,
        client,
        _limits(name, client, settings),
        address=endpoint.address,
        key=endpoint.key,
        custom_server=credentials.base_url is not None,
        base_url=base_url,
    )


def _client(name: ModelName, provider: Provider, credentials: Access, settings: Settings) -> BaseChatModel:
    for variable, value in provider.environment.items():  # before its package is imported
        os.environ.setdefault(variable, value)
    if credentials.base_url is not None and provider.options.get("base_url") == "":
        os.environ[provider.url_variables[0]] = credentials.base_url
    options = _options(provider, credentials, settings)
    if provider.prefix == DATABRICKS:
        from chatcli.models.hosted.databricks import databricks_client

        return databricks_client(name, credentials, options)
    if provider.prefix == IBM:
        from chatcli.models.hosted.watsonx import limit_silence

        limit_silence(settings.timeout or DEFAULT_TIMEOUT)
    from langchain.chat_models import init_chat_model

    client: BaseChatModel = init_chat_model(name.model, model_provider=provider.known_as or provider.prefix, **options)
    refuse_skipping(provider.prefix, client)
    return client


def _first_problem(error: ValueError) -> str:
    """Return what is wrong; all of pydantic's message would repeat what was given, the key among it."""
    if isinstance(error, ValidationError):
        problem = error.errors(include_url=False, include_input=False)[0]["msg"].removeprefix("Value error, ")
        return problem.rpartition("Service error: ")[2]  # AWS's own words, behind a guess of langchain's
    return str(error).partition("\n")[0]


def _require_package(provider: Provider) -> None:
    if not is_installed(provider):
        raise _not_installed(provider)


def _not_installed(provider: Provider) -> UsageError:
    return UsageError(
        f"{provider.title} needs a package that is not installed: {install_command(provider.extra)}",
        remedy="Or choose another model, e.g. chat -m local; `chat models list` has those that can be used.",
    )


def _require_credentials(name: ModelName, provider: Provider, credentials: Access) -> None:
    if credentials.key is None and not provider.keyless and credentials.base_url is None:
        raise MissingKeyError(
            f"{name} needs a key, and {provider.key_variables[0]} is not set",
            remedy=f"Set {provider.key_variables[0]}, or keep the key: chat keys set {provider.prefix}",
            provider=provider.prefix,
        )
    given = provider.url_variables if credentials.base_url is not None else ()
    missing = [variable for variable in provider.needs if variable not in given and not os.environ.get(variable)]
    if missing:
        raise UsageError(f"{name} needs {missing[0]}, which is not set", remedy=_needs(provider))


def _needs(provider: Provider) -> str:
    variables = (*provider.key_variables[:1], *provider.needs)
    return f"{provider.title} needs: {', '.join(variables)}." if variables else "See the README's table of providers."


def _options(provider: Provider, credentials: Access, settings: Settings) -> dict[str, Any]:
    """Return the client's arguments, under the names that it has for them."""
    key = credentials.key
    seconds = settings.timeout or DEFAULT_TIMEOUT
    chosen = {
        "api_key": key.get_secret_value() if key is not None else None,
        # Said again where a variable says it: not every client reads the provider's own.
        "base_url": credentials.base_url or settings.credentials.server_url(provider.prefix),
        "temperature": settings.temperature,
        "max_tokens": settings.max_tokens,
        "timeout": provider.timeout(seconds),
    }
    named = {provider.options.get(option, option): value for option, value in chosen.items() if value is not None}
    named.pop("", None)
    if provider.window_option and (budget := settings.context_tokens):
        named[provider.window_option] = budget + (settings.max_tokens or min(ANSWER_ROOM, budget))
    given = {
        name: os.environ[variable] for name, variable in provider.from_environment.items() if os.environ.get(variable)
    }
    return {**named, **given, **provider.arguments, **provider.no_retries}


def _limits(name: ModelName, client: BaseChatModel, settings: Settings) -> Limits:
    """Take the window from langchain's table of models, else from the price list's; it may not be known at all."""
    window = (client.profile or {}).get("max_input_tokens") or known_window(name.provider, name.model)
    if window is None:
        return Limits()
    return Limits(window=window, answer=settings.max_tokens or min(ANSWER_ROOM, window // 4))
