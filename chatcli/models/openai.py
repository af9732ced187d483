"""Models of OpenAI and of every server that speaks its chat-completions protocol."""

import ssl
import sys
from dataclasses import replace
from typing import Any

import httpx2
import openai
from langchain_core.messages import BaseMessage
from langchain_core.outputs import ChatGenerationChunk
from langchain_openai.chat_models.base import ChatOpenAI
from pydantic import PrivateAttr, SecretStr

from chatcli.config.providers import LMSTUDIO, OLLAMA, OPENAI, PROVIDERS
from chatcli.config.secrets import Secret, redact
from chatcli.config.settings import ANSWER_SECONDS, Settings
from chatcli.errors import InternalError, MissingKeyError, RefusedError, UsageError
from chatcli.models.early_connection import CONNECT_SECONDS
from chatcli.models.errors import base_url_hint, refuse_other_protocol, translate
from chatcli.models.model import CAUTIOUS_TOKENIZER, Endpoint, Limits, Model
from chatcli.models.names import DEFAULT_OPENAI_MODEL, OFFICIAL_BASE_URL, ModelName, custom_url, openai_base_url
from chatcli.models.openai_stream import STREAM_HOOKS, TEXTS, plain_delta
from chatcli.models.own_servers import LMSTUDIO_URL, lmstudio_window, ollama_key, ollama_url, ollama_window
from chatcli.models.prices import known_window
from chatcli.models.sdk_http import async_client, httpx
from chatcli.runtime.http import request
from chatcli.runtime.parse import read_json
from chatcli.store.usage import MAX_TOKENS

CONNECT_RETRIES = 3
"""How often a connection is tried again when the server is asked for its models."""
NO_KEY = "none"
"""The key for a server without authentication, as the client always sends one."""
REASONING = "reasoning_content"
"""The key of a message's `additional_kwargs` with the reasoning that a server streams besides the answer."""
_TEXT_FIELDS = {*TEXTS, "role", "refusal"}


class WholeChatOpenAI(ChatOpenAI):
    """Keeps what langchain drops from a stream: reasoning, a refusal, and an end without a delta."""

    # It also keeps an answer whose usage langchain can't read.
    _converted: dict[int, tuple[BaseMessage, dict[str, Any]]] = PrivateAttr(default_factory=dict)
    """The messages of the last request and their wire forms, by `id`: the next one sends most of them too."""

    # langchain has no public hook for chunks and requests. These two are the methods that its own clients for xAI and
    # DeepSeek override for the same reason. `test_langchain_still_calls_the_overridden_methods` fails when they change.

    def _convert_chunk_to_generation_chunk(
        self, chunk: dict[str, Any], default_chunk_class: type, base_generation_info: dict[str, Any] | None
    ) -> ChatGenerationChunk | None:
        choice = (chunk.get("choices") or [{}])[0]
        if choice.get("finish_reason") and choice.get("delta") is None:
            choice["delta"] = {}
        # Databricks' server, and others, tell the usage so far with each piece of text; langchain would add these up.
        is_last = not chunk.get("choices") or choice.get("finish_reason")
        chunk["usage"] = _read_usage(chunk.get("usage") if is_last else None)
        converted = super()._convert_chunk_to_generation_chunk(chunk, default_chunk_class, base_generation_info)
        if converted is not None:
            delta = choice.get("delta") or {}
            if refusal := delta.get("refusal"):
                converted.message.additional_kwargs["refusal"] = refusal
            if (reasoning := delta.get("reasoning_content") or delta.get("reasoning")) and isinstance(reasoning, str):
                # Other langchain clients keep it here too. None sends it back: it is not part of the conversation.
                converted.message.additional_kwargs[REASONING] = reasoning
        return converted

    def _get_request_payload(self, input_: Any, **kwargs: Any) -> dict[str, Any]:
        messages = self._convert_input(input_).to_messages()
        known = self._converted  # once: pydantic takes two microseconds for it
        new = [message for message in messages if id(message) not in known]
        payload = super()._get_request_payload(new, **kwargs)
        if "messages" not in payload:  # the Responses API
            return super()._get_request_payload(messages, **kwargs)
        wire_forms = iter(payload["messages"])
        converted = {id(message): known.get(id(message)) or (message, next(wire_forms)) for message in messages}
        self._converted = converted
        payload["messages"] = [converted[id(message)][1] for message in messages]
        # The SDK takes what is in `extra_body` as it is, and walks through everything else: 0.2 ms a message.
        unread = {name: payload[name] for name in ("messages", "tools") if name in payload}
        payload |= {name: [] for name in unread}  # the SDK requires messages; and both keep their positions
        if "response_format" in payload:
            # If the SDK sees one, it parses the answer too, and fails on chunks that differ from OpenAI's.
            unread["response_format"] = payload.pop("response_format")
        return payload | {"extra_body": {**unread, **(payload.get("extra_body") or {})}}


def _read_usage(usage: Any) -> dict[str, Any]:
    """Return the possible counts of a server's `usage` as whole numbers, as langchain and the store need them."""
    if not isinstance(usage, dict):
        return {}
    counts: dict[str, Any] = {}
    for name, value in usage.items():
        if isinstance(value, dict):
            counts[name] = _read_usage(value)
        elif isinstance(value, int | float) and 0 <= value <= MAX_TOKENS:
            counts[name] = round(value)
    return counts


def build_openai(name: ModelName, settings: Settings) -> Model:
    """Return the model `name` of OpenAI, or of the server at `settings.base_url`."""
    base_url = openai_base_url(OPENAI, settings.credentials)
    key = settings.credentials.access(OPENAI).key
    if key is None and base_url == OFFICIAL_BASE_URL:
        raise MissingKeyError(
            f"{name} needs a key, and OPENAI_API_KEY is not set",
            remedy="Set it, or keep it: `chat keys set openai`. The local model needs none: `chat -m local`,"
            " always: `chat config set model local`",
            provider=OPENAI,
        )
    if not name.model:
        public = custom_url(settings.credentials, OPENAI)
        endpoint = Endpoint(name, address=public, key=key, base_url=public)
        timeout = settings.timeout or ANSWER_SECONDS
        name = ModelName(OPENAI, _served_model(endpoint, base_url, timeout) if public else DEFAULT_OPENAI_MODEL)
    model = _model(name, base_url, key, settings, Limits(), custom_server=base_url != OFFICIAL_BASE_URL)
    # By langchain's table of models: a model that is not in it has no known limit.
    window = (model.client.profile or {}).get("max_input_tokens")
    return replace(model, limits=Limits.of_window(window, settings.max_tokens))


def build_hosted_openai(name: ModelName, settings: Settings) -> Model:
    """Return the model `name` of a hosted provider that is asked in OpenAI's protocol."""
    provider = PROVIDERS[name.provider]
    access = settings.credentials.access(provider.prefix)
    limits, own = Limits.of_window(known_window(provider.prefix, name.model), settings.max_tokens), access.base_url
    url = openai_base_url(provider.prefix, settings.credentials)
    model = _model(name, url, access.key, settings, limits, custom_server=own is not None, use_responses_api=False)
    return replace(model, address=model.base_url or provider.title)


def build_lmstudio(name: ModelName, settings: Settings) -> Model:
    """Return the model `name` of LM Studio's server: on this machine, unless the user names another."""
    url = settings.credentials.server_url(LMSTUDIO) or LMSTUDIO_URL
    key = settings.credentials.access(LMSTUDIO).key
    window = lmstudio_window(url, name.model, key, settings.timeout or ANSWER_SECONDS)
    return _model(name, url, key, settings, Limits.of_window(window, settings.max_tokens, most=sys.maxsize))


def build_ollama(name: ModelName, settings: Settings) -> Model:
    """Return the model `name` of Ollama's server without Ollama's own client.

    This protocol can't ask for a window, so the model has the one that its server gives it.
    """
    url = ollama_url(settings.credentials.access(OLLAMA).base_url)
    key = ollama_key()
    found = ollama_window(url, name.model, key, settings.timeout or ANSWER_SECONDS)
    limits = Limits.of_window(None if found is None else found.size(), settings.max_tokens, most=sys.maxsize)
    return replace(_model(name, f"{url}/v1", key, settings, limits), tokenizer=CAUTIOUS_TOKENIZER)


def _model(
    name: ModelName,
    url: str,
    key: Secret | None,
    settings: Settings,
    limits: Limits,
    *,
    custom_server: bool = True,
    **extra: Any,
) -> Model:
    """Return the model `name` of the server at the base URL `url`; `extra` is for langchain's client."""
    http = async_client(url, STREAM_HOOKS)
    return Model(
        name,
        chat_client(name.model, url, key or Secret(NO_KEY), settings, http, **extra),
        limits,
        address=redact(url, []),
        key=key,
        custom_server=custom_server,
        base_url=custom_url(settings.credentials, name.provider),
        close=http.aclose,
    )


def chat_client(
    model: str, base_url: str, key: Secret, settings: Settings, http: httpx.AsyncClient, **extra: Any
) -> ChatOpenAI:
    """Return a client for an OpenAI-compatible server, the embedded one included, that sends its requests by `http`."""
    timeout = settings.timeout or ANSWER_SECONDS
    options: dict[str, Any] = {
        "timeout": httpx.Timeout(timeout, connect=min(timeout, CONNECT_SECONDS)),
        "stream_usage": True,
        "max_retries": 0,  # `graphs.chat.receive` asks again, with a notice
        "http_async_client": http,
        # langchain asks for a client of blocking calls too, and nobody calls it. Its own would read all certificates.
        "http_client": httpx.Client(verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), trust_env=False),
        **extra,
    }
    if "stream_chunk_timeout" in ChatOpenAI.model_fields:  # langchain-openai 1.1 has no such limit
        # The HTTP client has the same limit. langchain's is an asyncio.wait_for for each chunk, which before Python
        # 3.12 loses the cancellation of a turn if a chunk arrives at that moment.
        options["stream_chunk_timeout"] = None
    if settings.temperature is not None:
        options["temperature"] = settings.temperature
    if settings.max_tokens is not None:
        # OpenAI renamed `max_tokens`, most other servers did not.
        limit = settings.max_tokens
        ours = base_url == OFFICIAL_BASE_URL
        options |= {"max_completion_tokens": limit} if ours else {"extra_body": {"max_tokens": limit}}
    client = WholeChatOpenAI(model=model, base_url=base_url, api_key=SecretStr(key.get_secret_value()), **options)
    _pass_text_chunks(client.root_async_client)
    return client


def _pass_text_chunks(sdk: openai.AsyncOpenAI) -> None:
    """Let `sdk` give a chunk of nothing but text as it was read, without a model of it."""
    # Making the model and dumping it again takes more than a third of a chunk's CPU time, and langchain takes what was
    # read too. The SDK has no public hook here. `test_a_chunk_of_text_is_passed_as_it_was_read` fails when it changes.
    make_model = sdk._process_response_data

    def process(*, data: object, cast_to: type[Any], response: httpx.Response) -> Any:
        return data if _is_text(data) else make_model(data=data, cast_to=cast_to, response=response)

    sdk._process_response_data = process  # type: ignore[method-assign]


def _is_text(data: object) -> bool:
    """Return whether `data` is a chunk that holds a piece of text at most, and nothing that has to be completed."""
    delta = plain_delta(data)
    if delta is None:
        return False
    return all(value is None or (name in _TEXT_FIELDS and isinstance(value, str)) for name, value in delta.items())


def _served_model(endpoint: Endpoint, base_url: str, timeout: float) -> str:
    """Return the first model that the server `endpoint` at `base_url` lists; used if the user named none."""
    key = endpoint.key or Secret(NO_KEY)
    headers = {"Authorization": f"Bearer {key.get_secret_value()}"}
    seconds = min(timeout, CONNECT_SECONDS)
    try:
        reply = request("GET", f"{base_url}/models", seconds=seconds, retries=CONNECT_RETRIES, headers=headers)
        reply.raise_for_status()
        served = [str(entry["id"]) for entry in read_json(reply.content)["data"]]
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        refuse_other_protocol(error, endpoint)
        failure = translate(error, endpoint)
        if not isinstance(failure, RefusedError | UsageError | InternalError):
            raise failure from error
        served = []
    except (ValueError, KeyError, TypeError):
        served = []
    if not served:
        raise UsageError(
            f"the server at {endpoint.address} lists no models, and none is named",
            remedy=f"Name one with -m. {base_url_hint(endpoint)}",
        )
    return served[0]
