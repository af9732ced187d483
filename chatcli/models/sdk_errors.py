"""Reads the exceptions of the providers' SDKs without importing any of them."""

import os
import re
import traceback
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from chatcli.config.providers import PROVIDERS
from chatcli.runtime.http import LimitError, PageError

TIMEOUTS = frozenset({"TimeoutException", "Timeout", "ReadTimeoutError", "ConnectTimeoutError", "ServerTimeoutError"})
"""What HTTP libraries raise when they stop waiting for an answer; all these are names of classes."""
BREAKS = frozenset({"RemoteProtocolError", "ReadError", "IncompleteRead", "ChunkedEncodingError", "ClientPayloadError"})
"""What they raise when the connection ends before the answer does."""
CONNECTIONS = frozenset({"TransportError", "ConnectError", "ConnectionError", "EndpointConnectionError", "ClientError"})
"""What they raise when the server can't be reached."""
NO_CREDENTIALS = frozenset({"NoCredentialsError", "PartialCredentialsError", "DefaultCredentialsError"})
"""What the SDKs of platforms (AWS, Google Cloud) raise without a login."""
UNREADABLE = frozenset({"SSEError"})
"""What clients raise for an answer in another form: of httpx-sse and Cohere, for another content type."""
REFUSALS = frozenset({"WMLClientError"})
"""What SDKs raise for a refusal without a status: of IBM, for example for an unknown model."""
_STATUS_IN_TEXT = {
    "Exception": re.compile(r"\[([45]\d\d)\]"),
    "WMLClientError": re.compile(r"Request failed with: .*[ (]([45]\d\d)\)", re.DOTALL),
}
"""The exceptions that have the status only in their text: of NVIDIA's client, and of IBM's."""

_KEY_VARIABLE = re.compile(r"\b[A-Z][A-Z0-9_]*_(?:KEY|TOKEN|SECRET|CREDENTIALS)\b")
_LACK_WORDS = (
    *("missing", "not set", "must be set", "set the", "setting the", "or set", "not found", "did not find"),
    *("not provided", "is required", "please provide", "please add", "environment variable"),
)
_EMPTY_KEY = ("Illegal header value b'Bearer '", "Illegal header value b''", "Could not resolve authentication method")

_CREDIT_CODES = frozenset({"insufficient_quota", "insufficient_balance", "billing_error", "billing_not_active"})
_CREDIT_WORDS = (
    "credit balance is too low",  # Anthropic
    "insufficient balance",  # DeepSeek
    "insufficient credits",  # OpenRouter
    "used all available credits",  # xAI
)

_NO_STATUS = "illegal status line"
"""The words of h11, which reads HTTP for both libraries."""

_MODEL_CLIENTS = (
    *("langchain_core.language_models", "langchain_core.embeddings", "openai", "anthropic", "groq", "mistralai"),
    *("cohere", "ollama", "together", "fireworks", "google.genai", "google.generativeai", "google.ai"),
)
"""The packages that only ask models. Every chat model of langchain is called by the first one."""

_PARSER_ERROR = "HttpProcessingError"
"""aiohttp's error for an answer that it can't read, with a status that no server sent."""


def chain(error: BaseException) -> Iterator[BaseException]:
    """Yield `error` and its causes, the outermost first."""
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        current = current.__cause__ or current.__context__


def is_of_model_client(error: BaseException) -> bool:
    """Return whether a client of a model raised `error`: one of its classes, or any from within a call of the client.

    An error of an HTTP library, or of Python, may as well come from a graph's own code.
    """
    classes = [kind.__module__ for kind in type(error).__mro__]
    callers = [str(frame.f_globals.get("__name__")) for frame, _ in traceback.walk_tb(error.__traceback__)]
    return any(f"{module}.".startswith(f"{client}.") for client in _MODEL_CLIENTS for module in (*classes, *callers))


def status(error: BaseException) -> int | None:
    """Return the HTTP status in `error`, wherever its SDK keeps it; None if there is none."""
    for link in chain(error):
        if any(kind.__name__ == _PARSER_ERROR for kind in type(link).__mro__):
            continue
        response = getattr(link, "response", None)
        for holder in (link, response):
            for name in ("status_code", "code", "status"):
                value = getattr(holder, name, None)
                # OpenAI's client keeps the code of an error event in a stream as text.
                number = int(value) if isinstance(value, int) or (isinstance(value, str) and value.isdecimal()) else 0
                if 400 <= number <= 599:
                    return number
        if isinstance(response, Mapping):  # botocore
            value = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
            if isinstance(value, int):
                return value
        pattern = _STATUS_IN_TEXT.get(type(link).__name__)
        if pattern is not None and (match := pattern.match(str(link))):
            return int(match.group(1))
    return None


def asked_host(error: BaseException) -> str:
    """Return the server that the request of `error` went to; empty if its SDK does not keep it."""
    for url in _asked_urls(error):
        parts = urlsplit(url)
        if parts.scheme in ("http", "https") and parts.hostname:
            return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
    return ""


def asked_path(error: BaseException) -> str:
    """Return the path that the request of `error` went to; empty if its SDK does not keep it."""
    return next((path for url in _asked_urls(error) if (path := urlsplit(url).path)), "")


def _asked_urls(error: BaseException) -> Iterator[str]:
    for link in chain(error):
        for holder in (link, getattr(link, "response", None)):
            if (url := getattr(_request_of(holder), "url", None)) is not None:
                yield str(url)
        if isinstance(kwargs := getattr(link, "kwargs", None), dict) and "endpoint_url" in kwargs:  # botocore
            yield str(kwargs["endpoint_url"])


def _request_of(holder: object) -> Any:
    try:
        return getattr(holder, "request", None)
    except RuntimeError:  # httpx raises it if there is none
        return None


def header(error: BaseException, name: str) -> str | None:
    """Return the header `name` (in lower case) of the response in `error`."""
    for link in chain(error):
        response = getattr(link, "response", None)
        for holder in (response, link):
            # botocore's response is a dict, with the headers deep inside.
            inside = response.get("ResponseMetadata", {}).get("HTTPHeaders") if isinstance(response, dict) else None
            headers = inside or getattr(holder, "headers", None)
            if isinstance(headers, Mapping):
                found = {str(key).lower(): value for key, value in headers.items()}.get(name)
                if isinstance(found, str):
                    return found
    return None


def body(error: BaseException) -> dict[str, Any]:
    """Return the error object that a server sent, or an empty one.

    If a server sends a text instead (LM Studio), or uses another name (FastAPI), that becomes its `message`.
    """
    for link in chain(error):
        for name in ("body", "details"):
            found = getattr(link, name, None)
            inner = found.get("error", found) if isinstance(found, dict) else found
            if isinstance(inner, dict):
                return {"message": inner["detail"], **inner} if "detail" in inner else inner
            if isinstance(inner, str) and inner.strip()[:1] not in ("", "<"):  # not the page of a proxy
                return {"message": inner}
    return {}


def missing_key(error: BaseException) -> str:
    """Return the variable of the key whose lack `error` reports; empty if it reports something else.

    SDKs name the variable in their message. One that sends an empty key is known by its package.
    """
    for link in chain(error):
        text = str(link)
        unset = [name for name in _KEY_VARIABLE.findall(text) if not os.environ.get(name)]
        modules = [frame.f_globals.get("__name__") for frame, _ in traceback.walk_tb(link.__traceback__)]
        of_environ = isinstance(link, KeyError) and modules[-1:] == ["os"]
        if unset and (of_environ or any(words in text.lower() for words in _LACK_WORDS)):
            return str(unset[0])
        if any(words in text for words in _EMPTY_KEY) or _sent_empty_key(link):
            return next((name for name in _variables_of(error) if not os.environ.get(name)), "")
    return ""


def _sent_empty_key(error: BaseException) -> bool:
    """Return whether the request of `error` had a header for a key, with no key in it."""
    headers = getattr(_request_of(error), "headers", None)
    found = {str(name).lower(): str(value) for name, value in headers.items()} if isinstance(headers, Mapping) else {}
    return any(found.get(name, "-").strip() in ("", "Bearer") for name in ("authorization", "x-api-key"))


def _variables_of(error: BaseException) -> Iterator[str]:
    """Yield the key variables of the providers whose packages raised `error` or led to it."""
    for link in chain(error):
        frames = [frame.f_globals.get("__name__", "") for frame, _ in traceback.walk_tb(link.__traceback__)]
        for module in [*(kind.__module__ for kind in type(link).__mro__), *reversed(frames)]:
            package = str(module).partition(".")[0].removeprefix("langchain_")
            if package in PROVIDERS:
                yield from PROVIDERS[package].key_variables


def limit(error: BaseException) -> LimitError | None:
    """Return the limit of our HTTP client that a response went over, if that is what `error` comes from."""
    return next((link for link in chain(error) if isinstance(link, LimitError)), None)


def is_not_http(error: BaseException) -> bool:
    """Return whether the server speaks another protocol, such as SSH, whose greeting came instead of a status."""
    return any(_NO_STATUS in str(link) for link in chain(error))


def is_page(error: BaseException) -> bool:
    """Return whether the server answered with a web page."""
    return isinstance(limit(error), PageError) or any(
        type(link).__name__ in UNREADABLE and "text/html" in str(link) for link in chain(error)
    )


def is_out_of_credit(error: BaseException) -> bool:
    """Return whether the account has no credit: status 402, or words instead of it.

    OpenAI sends the status of a rate limit for it, Anthropic that of a bad request, xAI and Perplexity that of a
    refused key.
    """
    if status(error) == 402:
        return True
    found = body(error)
    text = f"{error} {found.get('message')}".lower()
    return not _CREDIT_CODES.isdisjoint(map(str, (found.get("code"), found.get("type")))) or any(
        words in text for words in _CREDIT_WORDS
    )


def is_any(error: BaseException, names: frozenset[str]) -> bool:
    """Return whether `error` or one of its causes is of a class in `names`."""
    return any(kind.__name__ in names for link in chain(error) for kind in type(link).__mro__)
