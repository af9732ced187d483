"""Models of every provider that has only a row in the table, made by langchain's `init_chat_model`."""

import os
from typing import Any

from langchain_core.language_models import BaseChatModel
from pydantic import ValidationError

from chatcli.config.credentials import Access
from chatcli.config.installation import install_command
from chatcli.config.settings import DEFAULT_TIMEOUT, Settings
from chatcli.errors import MissingKeyError, UsageError
from chatcli.models.errors import translate
from chatcli.models.hosted.special import AFTER_CLIENT, BEFORE_CLIENT, FIND_LOGIN_ERROR, MAKE_CLIENT
from chatcli.models.model import ANSWER_ROOM, Endpoint, Limits, Model
from chatcli.models.names import ModelName, custom_url
from chatcli.models.prices import known_window
from chatcli.providers import PROVIDERS, Provider


def build_hosted(name: ModelName, settings: Settings) -> Model:
    """Return the model `name` of a hosted provider.

    Raises:
        MissingKeyError: The provider's key is missing.
        UsageError: Its package is not installed, or a variable that it needs is not set.
        ChatcliError: Its client sends a request when it is made, and that failed.

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
        find_login_error = FIND_LOGIN_ERROR.get(provider.prefix)
        if find_login_error is not None and (missing := find_login_error()) is not None:
            raise translate(missing, endpoint) from error
        reason = endpoint.redact(_first_problem(error))
        raise UsageError(f"{name} can't be set up: {reason}", remedy=_requirements(provider)) from None
    except Exception as error:
        # Some clients (IBM's) log in when they are made, and can fail as a request does.
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
    seconds = settings.timeout or DEFAULT_TIMEOUT
    if before := BEFORE_CLIENT.get(provider.prefix):
        before(seconds)
    if make := MAKE_CLIENT.get(provider.prefix):
        return make(name, credentials, options)
    from langchain.chat_models import init_chat_model  # installed by every provider's extra, not by the base

    client: BaseChatModel = init_chat_model(name.model, model_provider=provider.known_as or provider.prefix, **options)
    if after := AFTER_CLIENT.get(provider.prefix):
        after(client)
    return client


def _first_problem(error: ValueError) -> str:
    """Return the reason alone: pydantic's whole message repeats the input, and so the key."""
    if isinstance(error, ValidationError):
        problem = error.errors(include_url=False, include_input=False)[0]["msg"].removeprefix("Value error, ")
        return problem.rpartition("Service error: ")[2]  # AWS's own words follow a guess of langchain
    return str(error).partition("\n")[0]


def _require_package(provider: Provider) -> None:
    if not provider.is_installed:
        raise _not_installed(provider)


def _not_installed(provider: Provider) -> UsageError:
    return UsageError(
        f"{provider.title} needs a package that is not installed: {install_command(provider.extra)}",
        remedy="Or choose another model, e.g. chat -m local; `chat models list` shows those that can be used.",
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
        raise UsageError(f"{name} needs {missing[0]}, which is not set", remedy=_requirements(provider))


def _requirements(provider: Provider) -> str:
    variables = (*provider.key_variables[:1], *provider.needs)
    return f"{provider.title} needs: {', '.join(variables)}." if variables else "See `chat help providers`."


def _options(provider: Provider, credentials: Access, settings: Settings) -> dict[str, Any]:
    """Return the client's arguments, under the names that this client uses."""
    key = credentials.key
    seconds = settings.timeout or DEFAULT_TIMEOUT
    chosen = {
        "api_key": key.get_secret_value() if key is not None else None,
        # Given also if a variable holds it: not every client reads its provider's variable.
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
    """Return the limits by langchain's table of models, else by the price list; the window may be unknown."""
    window = (client.profile or {}).get("max_input_tokens") or known_window(name.provider, name.model)
    if window is None:
        return Limits()
    return Limits(window=window, answer=settings.max_tokens or min(ANSWER_ROOM, window // 4))
