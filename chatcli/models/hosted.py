"""Clients of hosted providers, made by langchain's `init_chat_model`; and what single ones need beyond their row."""

import functools
import importlib
import os
from collections.abc import AsyncIterator, Callable, Mapping
from operator import attrgetter
from typing import Any

from langchain_core.language_models import BaseChatModel
from pydantic import ValidationError

from chatcli.config.credentials import Access
from chatcli.config.installation import install_command
from chatcli.config.providers import BEDROCK, IBM, OLLAMA, PROVIDERS, Provider
from chatcli.config.settings import ANSWER_SECONDS, Settings
from chatcli.errors import UsageError
from chatcli.models.errors import translate
from chatcli.models.model import ANSWER_ROOM, CAUTIOUS_TOKENIZER, Endpoint, Limits, Model
from chatcli.models.names import ModelName, custom_url
from chatcli.models.own_servers import ollama_key, ollama_url, ollama_window
from chatcli.models.prices import known_window
from chatcli.runtime.http import MODEL_HOOKS, MOST_BODY, MOST_PIECE, bounded, hooks
from chatcli.runtime.parse import read_json

# The packages of providers are imported inside the functions: each is installed only by its provider's extra.


def _find_aws_login_error() -> Exception | None:
    """Return AWS's own error about missing credentials, or None if it finds some."""
    # langchain's client reports a missing login and a missing region in the same words.
    import boto3
    from botocore.exceptions import BotoCoreError, NoCredentialsError, PartialCredentialsError

    if os.environ.get("AWS_BEARER_TOKEN_BEDROCK"):
        return None
    missing: Exception
    try:
        if boto3.Session().get_credentials() is not None:
            return None
        missing = NoCredentialsError()
    except PartialCredentialsError as error:
        missing = error
    except BotoCoreError:  # for example an unknown profile, which the client itself reports
        return None
    return missing


def _limit_ibm(seconds: float) -> None:
    """Give the HTTP clients that IBM's client makes from now on our limits, and `seconds` for a server's next bytes."""
    # Their own default is half an hour. IBM's client logs in when it is made, so its HTTP clients can't be changed
    # later; and to hand it any would mean to repeat how it reads credentials and proxies. So the function that makes
    # them is replaced; `test_ibms_answers_have_limits` fails when it moves.
    from httpx import Timeout

    ibm: Any = importlib.import_module("ibm_watsonx_ai.client")
    make = getattr(ibm.httpx_client_factory, "__wrapped__", ibm.httpx_client_factory)

    @functools.wraps(make)
    def limited(*, is_async: bool, **options: Any) -> Any:
        client = make(is_async=is_async, **{**options, "timeout": Timeout(seconds)})
        client.event_hooks = MODEL_HOOKS if is_async else hooks()
        return client

    ibm.httpx_client_factory = limited


def _limit_bedrock(client: Any) -> None:
    """Limit the bytes of a response to AWS's client, which decompresses none, and follows no redirect."""
    # A handler of its public event `before-send` may send a request itself. `test_the_client_of_bedrock_has_limits`
    # fails when the session that sends has another name.
    session = client.client._endpoint.http_session

    def send(request: Any, **_event: Any) -> Any:
        response = session.send(request)
        is_answer = response.headers.get("content-type") == "application/vnd.amazon.eventstream"
        most = MOST_BODY if is_answer else MOST_PIECE
        read = response.raw.stream
        response.raw.stream = lambda *args, **options: bounded(read(*args, **options), most)
        return response

    client.client.meta.events.register("before-send", send)


# The clients of Cohere and Google skip a streamed event that they can't read, so a part of the answer would be missing
# without notice. The functions below make them raise, as every other client does; `graphs.chat.receive` turns that into
# an unreadable answer. Only Cohere has a public way in (its HTTP client). Of Google's, an attribute is replaced;
# `test_an_unreadable_event_is_reported_and_what_came_before_is_kept` fails when it moves.


def _check_cohere_events(client: Any) -> None:
    import cohere
    import httpx

    async def check(response: httpx.Response) -> None:
        lines = response.aiter_lines
        response.aiter_lines = lambda: _check_lines(lines())  # type: ignore[method-assign]

    key = client.cohere_api_key
    client.async_client = cohere.AsyncClient(
        api_key=key.get_secret_value() if hasattr(key, "get_secret_value") else key,
        client_name=client.user_agent,
        timeout=client.timeout_seconds,
        base_url=client.base_url,
        httpx_client=httpx.AsyncClient(
            timeout=client.timeout_seconds, follow_redirects=True, event_hooks={"response": [check]}
        ),
    )


async def _check_lines(lines: AsyncIterator[str]) -> AsyncIterator[str]:
    """Yield `lines` of Cohere's events. Raises `ValueError` before the end of one whose data is no JSON object."""
    data: list[str] = []
    async for line in lines:
        if line.startswith("data:"):
            data.append(line[5:])
        elif not line and data:
            text = "\n".join(data).strip()
            data.clear()
            if text and text != "[DONE]":
                _require_object(text, "delta", "message")
        yield line


def _check_google_events(client: Any) -> None:
    api = client.client.aio._api_client
    request = api.async_request_streamed

    async def check(responses: AsyncIterator[Any]) -> AsyncIterator[Any]:
        async for response in responses:
            _require_object(response.body or "")
            yield response

    async def checked(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        return check(await request(*args, **kwargs))

    api.async_request_streamed = checked


def _bypass_google_history_conversion(client: Any) -> None:
    """Have Google's SDK convert only the last content of a request: it takes 0.6 ms for each, by pydantic models."""
    # The SDK puts what is in `extra_body` over what it has converted, and does not walk through it.
    # `test_the_requests_are_langchains_own` fails when it no longer does.
    from google.genai.types import Content, GenerateContentConfig, HttpOptions

    models = client.async_client.models
    stream = models.generate_content_stream

    async def sparing(*, model: str, contents: list[Content], config: GenerateContentConfig) -> AsyncIterator[Any]:
        wire_forms = [content.model_dump(mode="json", by_alias=True, exclude_none=True) for content in contents]
        options = config.http_options or HttpOptions()
        body = {**(options.extra_body or {}), "contents": wire_forms}
        whole = config.model_copy(update={"http_options": options.model_copy(update={"extra_body": body})})
        events: AsyncIterator[Any] = await stream(model=model, contents=contents[-1:], config=whole)
        return events

    models.generate_content_stream = sparing


def _adapt_google(client: Any) -> None:
    # Where aiohttp happens to be installed, the SDK takes that, for which there are no limits.
    api = client.client._api_client
    api._http_options.httpx_async_client = api._async_httpx_client
    _check_google_events(client)
    _bypass_google_history_conversion(client)


def _require_object(data: str | bytes, *inside: str) -> None:
    """Raise ValueError unless `data`, an event, is a JSON object, as is each one `inside` the other that is there."""
    value = read_json(data)
    for name in (*inside, ""):
        if not isinstance(value, dict):
            raise ValueError(f"an event has {type(value).__name__} instead of an object")
        if (value := value.get(name)) is None:
            return


PATCH_CLIENT: Mapping[str, Callable[[BaseChatModel], None]] = {
    BEDROCK: _limit_bedrock,
    "cohere": _check_cohere_events,
    "google_genai": _adapt_google,
    "google_vertexai": _adapt_google,
}
"""Called with the new client."""


HTTP_CLIENTS: Mapping[str, str] = {
    "anthropic": "_async_client._client",
    "azure_openai": "async_client._client._client",
    "cohere": "async_client._client_wrapper.httpx_client.httpx_client",
    "google_genai": "client._api_client._async_httpx_client",
    "google_vertexai": "client._api_client._async_httpx_client",
    "mistralai": "async_client",
    OLLAMA: "_async_client._client",
    "perplexity": "async_client._client",
}
"""Where the clients of providers keep that of httpx. AWS's has none, and IBM's is made with limits."""


def _ollama_limits(name: ModelName, client: Any, settings: Settings) -> Limits:
    """Return the limits of a model of Ollama, and have each request ask for the window that they tell of."""
    # Without that, another program that loads the model with another window would change them.
    seconds = settings.timeout or ANSWER_SECONDS
    try:
        found = ollama_window(ollama_url(client.base_url), name.model, ollama_key(), seconds)
    except ValueError:  # the request itself reports the address
        found = None
    wanted: int | None = client.num_ctx  # by --context-tokens
    window = wanted if found is None else found.size(wanted)
    if found is not None and (wanted or found.own):
        client.num_ctx = window
    return Limits.of_window(window, settings.max_tokens)


def build_hosted(name: ModelName, settings: Settings) -> Model:
    """Return the model `name` of a hosted provider."""
    provider = PROVIDERS[name.provider]
    credentials = settings.credentials.access(provider.prefix)
    if not provider.is_installed:
        raise _not_installed(provider)
    base_url = custom_url(settings.credentials, provider.prefix)
    endpoint = Endpoint(name, address=base_url or provider.title, key=credentials.key, base_url=base_url)
    try:
        client = _client(name, provider, credentials, settings)
    except ImportError:
        raise _not_installed(provider) from None
    except ValueError as error:
        if name.provider == BEDROCK and (missing := _find_aws_login_error()) is not None:
            raise translate(missing, endpoint) from error
        reason = str(error).partition("\n")[0]
        if isinstance(error, ValidationError):  # its whole message repeats the input, and so the key
            problem = error.errors(include_url=False, include_input=False)[0]["msg"].removeprefix("Value error, ")
            reason = problem.rpartition("Service error: ")[2]  # AWS's own words follow a guess of langchain
        raise UsageError(f"{name} can't be set up: {endpoint.redact(reason)}", remedy=provider.requirements) from None
    except Exception as error:
        # Some clients (IBM's) log in when they are made, and can fail as a request does.
        raise translate(error, endpoint) from error
    if name.provider == OLLAMA:
        limits = _ollama_limits(name, client, settings)
    else:  # by langchain's table of models, else by the price list; the window may be unknown
        window = (client.profile or {}).get("max_input_tokens") or known_window(name.provider, name.model)
        limits = Limits.of_window(window, settings.max_tokens)
    return Model(
        name,
        client,
        limits,
        address=endpoint.address,
        key=endpoint.key,
        custom_server=credentials.base_url is not None,
        base_url=base_url,
        tokenizer=CAUTIOUS_TOKENIZER if provider.window_option else None,
    )


def _client(name: ModelName, provider: Provider, credentials: Access, settings: Settings) -> BaseChatModel:
    for variable, value in provider.environment.items():  # before its package is imported
        os.environ.setdefault(variable, value)
    if credentials.base_url is not None and provider.options.get("base_url") == "":
        os.environ[provider.url_variables[0]] = credentials.base_url
    options = _options(provider, credentials, settings)
    if provider.prefix == IBM:
        _limit_ibm(settings.timeout or ANSWER_SECONDS)
    from langchain.chat_models import init_chat_model  # installed by every provider's extra, not by the base

    client: BaseChatModel = init_chat_model(name.model, model_provider=provider.known_as or provider.prefix, **options)
    if after := PATCH_CLIENT.get(provider.prefix):
        after(client)
    if path := HTTP_CLIENTS.get(provider.prefix):
        # Few of langchain's clients take an HTTP client, but `event_hooks` of each can be set: to our limits, after the
        # hooks that it has. Some share it. `test_the_client_of_every_provider_has_limits` fails when a path changes.
        http = attrgetter(path)(client)
        http.event_hooks = {
            event: [*(hook for hook in http.event_hooks[event] if hook not in ours), *ours]
            for event, ours in MODEL_HOOKS.items()
        }
    return client


def _not_installed(provider: Provider) -> UsageError:
    return UsageError(
        f"{provider.title} needs a package that is not installed: {install_command(provider.extra)}",
        remedy="Or choose another model, e.g. chat -m local; `chat models list` shows those that can be used.",
    )


def _options(provider: Provider, credentials: Access, settings: Settings) -> dict[str, Any]:
    """Return the client's arguments, under the names that this client uses."""
    key = credentials.key
    seconds = settings.timeout or ANSWER_SECONDS
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
    given = {name: os.environ[source] for name, source in provider.from_environment.items() if os.environ.get(source)}
    return {**named, **given, **provider.arguments, **provider.no_retries}
