"""Turns every provider's exceptions into errors for the user."""

import json
import re
from urllib.parse import urlsplit

import httpx2
import openai
from langchain_core import exceptions as langchain

from chatcli.config.providers import BEDROCK, OPENAI, PROVIDERS
from chatcli.errors import (
    AuthError,
    ChatcliError,
    ContextError,
    InternalError,
    NetworkError,
    RefusedError,
    UsageError,
    unexpected,
)
from chatcli.models import sdk_errors
from chatcli.models.model import Endpoint
from chatcli.runtime.http import ElsewhereError, greeting
from chatcli.text import one_line

MAX_MESSAGE = 400
"""The longest error message in characters; it may repeat a server's own words."""

# langchain's packages raise children of `langchain_core.exceptions.ModelError`. The OpenAI SDK's and httpx2's own
# exceptions arrive when a stream breaks after it began.
_AUTH = (
    langchain.ModelAuthenticationError,
    langchain.ModelPermissionDeniedError,
    openai.AuthenticationError,
    openai.PermissionDeniedError,
)
_NOT_FOUND = (langchain.ModelNotFoundError, openai.NotFoundError)
_TIMEOUT = (langchain.ModelTimeoutError, openai.APITimeoutError, httpx2.TimeoutException, TimeoutError)
_RATE_LIMIT = (langchain.ModelRateLimitError, openai.RateLimitError)
_CONNECTION = (langchain.ModelConnectionError, openai.APIConnectionError, httpx2.TransportError, OSError)
_OVERFLOW_WORDS = (
    "context_length_exceeded",
    "exceed_context_size",
    "exceeds the available context size",
    "Context size has been exceeded",  # llama.cpp in mid-answer
    "larger context length",  # LM Studio
    "context window",
    "maximum context length",
    "maximum prompt length",  # xAI
    "prompt is too long",
    "Input is too long",  # Bedrock
    "string_above_max_length",
    "`max_new_tokens` must be <=",  # Text Generation Inference, Together
    "exceeds the maximum number of tokens",
    "too many tokens",
    "reduce the length of the messages",
)
_KEY_WORDS = (
    "API_KEY_INVALID",
    "API key not valid",
    "invalid api key",
    "API key could not be found",
    "invalid_api_key",  # this one and the next come in failures without a status
    "authentication_error",
)
_FILTER_WORDS = ("content_filter", "content_policy", "content management policy")
_KEPT_REMEDY = "What has arrived of it is kept in the thread; ask again."

COMPLETIONS = "/chat/completions"
"""What OpenAI's client adds to the base URL."""
_VERSION = re.compile(r"/v\d")
_MODEL_WORDS = ("model", "deployment")
_UNKNOWN_PATH_WORDS = ("Unexpected endpoint",)
"""In errors of servers that send no status for an unknown path: LM Studio."""
_PATH = re.compile(r"(?<!\w)(?:https?:)?/[^\s\"'<>()]+")
_PAGE = re.compile(r"<(?:!doctype|html)\b", re.IGNORECASE)
"""What a web page has, which may contain any words."""


class BrokenAnswerError(Exception):
    """The stream ended before the answer was marked as complete."""


class UnreadableAnswerError(Exception):
    """The server sent something that its client can't read; the cause is the client's exception."""

    # `begun` says whether a part of the answer had arrived.
    def __init__(self, *, begun: bool) -> None:
        super().__init__("unreadable answer")
        self.begun = begun


_READING = (ValueError, TypeError, LookupError, AttributeError, AssertionError)
"""What clients raise when something has another shape than their protocol."""


def is_unreadable(error: Exception, *, begun: bool) -> bool:
    """Return whether `error`, raised by a client while it streamed, only means that it can't read what arrived.

    Clients have no common error for that, and some have none at all. So every error counts that has no status and
    names no connection, limit or refusal. Once an answer has `begun`, the request was valid, and words in the error
    may come from the answer.
    """
    if isinstance(error, ChatcliError | BrokenAnswerError | ImportError | NotImplementedError):
        return False
    if begun and isinstance(error, _READING) and sdk_errors.status(error) is None:
        return True
    return sdk_errors.is_any(error, sdk_errors.UNREADABLE) or isinstance(_classify(error, "", "", ()), InternalError)


def translate(error: Exception, endpoint: Endpoint) -> ChatcliError:
    """Return `error`, raised by a request to `endpoint`, as an error for the user."""
    if isinstance(error, ChatcliError):
        return error
    variables = PROVIDERS[endpoint.name.provider].key_variables
    # A variable that only the client knows may point it at another server.
    address = endpoint.address if "://" in endpoint.address else sdk_errors.asked_host(error) or endpoint.address
    where = f"{endpoint.name} at {address}"
    failure = (
        _path_failure(error, endpoint)
        or _final_failure(error, endpoint, where)
        or _classify(error, where, str(endpoint.name), variables)
    )
    if isinstance(failure, AuthError) and endpoint.name.base_url and endpoint.key is None:
        failure.remedy = "No key was sent, as none was sent there before. To send it, name the server: --base-url URL"
    # Cut last: a part of a key would not be recognised.
    return type(failure)(one_line(endpoint.redact(failure.message), MAX_MESSAGE), remedy=failure.remedy)


def translate_foreign(error: BaseException, owner: str) -> ChatcliError | None:
    """Return the error of a user graph's model; None if no client of a model raised `error` itself.

    `owner` names the graph. The message is neither redacted nor shortened yet.
    """
    if not (isinstance(error, langchain.ModelError) or sdk_errors.is_of_model_client(error)):
        return None
    assert isinstance(error, Exception)
    failure = _classify(error, f"a model of {owner}", f"a model of {owner}", ())
    return None if isinstance(failure, InternalError) else failure


def _classify(error: Exception, where: str, name: str, variables: tuple[str, ...]) -> ChatcliError:
    status = sdk_errors.status(error)
    if isinstance(error, UnreadableAnswerError):
        cause = error.__cause__ or error
        if not error.begun:
            return _not_an_answer(where, name, cause)
        return NetworkError(
            f"{where} sent a part of its answer that can't be read ({_kind(cause)})", remedy=_KEPT_REMEDY
        )
    if sdk_errors.is_out_of_credit(error):
        return NetworkError(
            f"{where} has no credit left for this key: {_reason(error)}",
            remedy="Check the plan and the billing of the account, or choose another model with -m.",
        )
    if isinstance(error, langchain.ContextOverflowError) or status == 413 or _contains(error, _OVERFLOW_WORDS):
        return _overflow(error, name)
    if isinstance(error, _AUTH) or status in (401, 403) or _contains(error, _KEY_WORDS):
        return AuthError(
            f"{where} refused the key: {_reason(error)}",
            remedy=f"Check the key ({variables[0]}) and its permissions." if variables else "",
        )
    if sdk_errors.is_any(error, sdk_errors.NO_CREDENTIALS):
        return AuthError(f"{where} found no credentials: {_reason(error)}", remedy="Log in with the platform's tool.")
    if isinstance(error, _NOT_FOUND) or status == 404:
        return RefusedError(
            f"{where} is not known there: {_reason(error)}",
            remedy="Choose another one with -m; `chat models list` shows those that can be used.",
        )
    if _contains(error, _FILTER_WORDS):
        return RefusedError(f"{where} filtered the request: {_reason(error)}", remedy="Ask in other words.")
    return _temporary_failure(error, where, name, status) or _refusal(error, where, status)


def _temporary_failure(error: Exception, where: str, name: str, status: int | None) -> NetworkError | None:
    """Return the failure if the same request may succeed later, else None."""
    causes = [*sdk_errors.chain(error)][1:]
    cause = causes[-1] if causes else None  # the error of the socket or the resolver, which the SDK wraps
    timed_out = isinstance(error, _TIMEOUT) or isinstance(cause, _TIMEOUT)
    if timed_out or status == 408 or sdk_errors.is_any(error, sdk_errors.TIMEOUTS):
        return NetworkError(f"{where} did not answer in time", remedy="Try again, or allow more time with --timeout.")
    if isinstance(error, _RATE_LIMIT) or status == 429:
        return NetworkError(f"{where} limits the rate: {_reason(error)}", remedy="Try again later.")
    if isinstance(error, BrokenAnswerError) or (status is None and sdk_errors.is_any(error, sdk_errors.BREAKS)):
        return NetworkError(f"{where} broke off before the end of its answer", remedy=_KEPT_REMEDY)
    if isinstance(error, _CONNECTION) or (status is None and sdk_errors.is_any(error, sdk_errors.CONNECTIONS)):
        reason = one_line(str(cause or error))
        return NetworkError(f"{where} can't be reached: {reason}", remedy="Check the address and the network.")
    if _is_server_fault(error, status):
        return NetworkError(f"{where} failed: {_reason(error)}", remedy="Try again later.")
    if isinstance(error, json.JSONDecodeError | UnicodeDecodeError):
        return _not_an_answer(where, name, error)
    return None


def _not_an_answer(where: str, name: str, error: BaseException) -> NetworkError:
    hint = "Check the base URL; it often ends in /v1." if name.startswith(f"{OPENAI}:") else "Check the base URL."
    return NetworkError(f"{where} sent something that can't be read as an answer ({_kind(error)})", remedy=hint)


def _kind(error: BaseException) -> str:
    return f"{type(error).__name__}: {one_line(str(error))}"


def _path_failure(error: BaseException, endpoint: Endpoint) -> UsageError | None:
    """Return the failure of a base URL with a wrong path, or None if `error` has another reason."""
    # A server that does not know the path names no model, except in paths that it repeats. The address that a
    # provider's client has by default is never wrong.
    status = sdk_errors.status(error)
    text = f"{error} {sdk_errors.body(error)}"
    if not endpoint.base_url or endpoint.name.provider == BEDROCK:  # AWS's client may drop the server's message
        return None
    if not (status in (404, 405) or any(words in text for words in _UNKNOWN_PATH_WORDS)):
        return None
    if not _PAGE.search(text) and _names_model(_PATH.sub("", text), endpoint.name.model):
        return None
    path = sdk_errors.asked_path(error) or COMPLETIONS
    shown = f" (HTTP {status})" if status is not None else ""
    problem = f"the server at {endpoint.address} has nothing under {path}{shown}"
    return UsageError(problem, remedy=base_url_hint(endpoint))


def _final_failure(error: BaseException, endpoint: Endpoint, where: str) -> ChatcliError | None:
    """Return the failure of a server that is none of a model, or that sends too much; None for another `error`."""
    # The user can correct an address. What stands between chat and a provider's own server may go away.
    limit = sdk_errors.limit(error)
    if isinstance(limit, ElsewhereError):
        return UsageError(
            f"{where} can't be used: {limit}. That address gets neither the question nor the key",
            remedy="If you trust it, name it: --base-url URL",
        )
    if sdk_errors.is_page(error):
        reason = "it answers with a web page"
    elif limit is not None:
        return RefusedError(f"{where} can't be read: {limit}", remedy="Ask for less, or choose another server.")
    elif sdk_errors.is_not_http(error):
        reason = "that is not an HTTP server"
    else:
        return None
    if endpoint.base_url:
        return UsageError(f"{where} can't be used: {reason}", remedy=base_url_hint(endpoint))
    return NetworkError(f"{where} can't be used: {reason}", remedy="Check the network: does it ask for a login?")


def refuse_other_protocol(error: BaseException, endpoint: Endpoint) -> None:
    """Raise an error if the server that the user named, and that gave no answer, does not speak HTTP.

    A client says only that there was no answer, so this listens to the server again, for a second at most. Raises
    `UsageError` if it speaks another protocol, in which the server speaks first.
    """
    no_answer = sdk_errors.is_any(error, sdk_errors.BREAKS | sdk_errors.TIMEOUTS) or isinstance(error, TimeoutError)
    if endpoint.base_url and no_answer and (said := greeting(endpoint.base_url)):
        raise UsageError(
            f"{endpoint.name} at {endpoint.address} can't be used: that is not an HTTP server; it says: {said}",
            remedy=base_url_hint(endpoint),
        ) from error


def base_url_hint(endpoint: Endpoint) -> str:
    """Return a remedy for what may be wrong with the base URL of `endpoint`."""
    url = endpoint.base_url
    if url.endswith(COMPLETIONS):
        return f"Leave {COMPLETIONS} out of the base URL: --base-url {url.removesuffix(COMPLETIONS)}"
    if endpoint.name.provider == OPENAI and not _VERSION.search(urlsplit(url).path):
        return f"Check the base URL; it often ends in /v1: --base-url {url}/v1"
    return "Check the base URL."


def _names_model(text: str, model: str) -> bool:
    lower = text.lower()
    return any(word in lower for word in _MODEL_WORDS) or (len(model) > 1 and model.lower() in lower)


def _is_server_fault(error: Exception, status: int | None) -> bool:
    """Return whether the server failed, rather than refused the request."""
    # An error event in a stream has no status, only a type.
    if status is not None:
        return status >= 500 or status == 409  # a conflict with another request, which the SDKs repeat too
    if isinstance(error, openai.APIError):
        return "invalid" not in f"{error.type} {error.code}"
    return isinstance(error, langchain.ModelAPIError)


def _refusal(error: Exception, where: str, status: int | None) -> ChatcliError:
    known = isinstance(error, langchain.ModelInvalidRequestError | openai.APIError)
    if status is not None or known or sdk_errors.is_any(error, sdk_errors.REFUSALS):
        return RefusedError(f"{where} refused the request: {_reason(error)}")
    return unexpected(error)


def _overflow(error: Exception, name: str) -> ContextError:
    body = sdk_errors.body(error)
    sizes = ""
    if "n_prompt_tokens" in body and "n_ctx" in body:  # llama.cpp sends both
        sizes = f" ({body['n_prompt_tokens']} tokens, and the limit is {body['n_ctx']})"
    return ContextError(
        f"the request does not fit the context of {name}{sizes or ': ' + _reason(error)}",
        remedy="Send less, lower --context-tokens, or choose a model with a larger context.",
    )


def _contains(error: Exception, words: tuple[str, ...]) -> bool:
    text = f"{error} {sdk_errors.body(error)}"
    return any(word in text for word in words)


def _reason(error: Exception) -> str:
    body = sdk_errors.body(error)
    return one_line(str(body.get("message") or getattr(error, "message", "") or error))
