"""What went wrong with a model, in chatcli's words: one place for every provider's exceptions.

langchain-core classifies what its own packages raise (`langchain_core.exceptions.ModelError` and its children); the
OpenAI SDK's and httpx2's exceptions come through unclassified where a stream breaks after it began.
"""

import json

import httpx2
import openai
from langchain_core import exceptions as langchain

from chatcli.errors import AuthError, ChatcliError, ContextError, InternalError, NetworkError, RefusedError
from chatcli.models import sdk_errors
from chatcli.models.model import Endpoint
from chatcli.models.wrong_path import path_failure
from chatcli.providers import OPENAI, PROVIDERS
from chatcli.text_lines import one_line

MAX_MESSAGE = 400
"""Characters of an error message, which may repeat a server's own words."""

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
_BROKEN = (httpx2.RemoteProtocolError, httpx2.ReadError)
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
_SDKS = frozenset(
    {"openai", "anthropic", "httpx", "httpx2", "httpcore", "groq", "mistralai", "cohere", "botocore", "ollama"}
    | {"google", "requests", "aiohttp", "together", "fireworks"}
)
"""The packages whose exceptions tell of a model's server; langchain's own are in `langchain_core.exceptions`."""
_KEY_WORDS = (
    "API_KEY_INVALID",
    "API key not valid",
    "invalid api key",
    "API key could not be found",
    "invalid_api_key",  # the next two where a failure has no status of its own
    "authentication_error",
)
_FILTER_WORDS = ("content_filter", "content_policy", "content management policy")


class BrokenAnswerError(Exception):
    """The stream ended without saying that the answer was complete."""


class UnreadableAnswerError(Exception):
    """The server sent what its client can't read; the cause is what the client raised.

    Args:
        begun: Whether a part of the answer had arrived.

    """

    def __init__(self, *, begun: bool) -> None:
        super().__init__("unreadable answer")
        self.begun = begun


_READING = (ValueError, TypeError, LookupError, AttributeError, AssertionError)
"""What a client raises when it reads something of another shape than its protocol has."""


def is_unreadable(error: Exception, *, begun: bool) -> bool:
    """Return whether `error`, which a client raised while it streamed, says only that it can't read what came.

    Not every client has an error of its own for that, and none has the same. So it is whatever tells of no status,
    connection, limit or refusal. Once an answer has `begun`, the request was in order, and words in the error may be
    the answer's own.
    """
    if isinstance(error, ChatcliError | BrokenAnswerError | ImportError | NotImplementedError):
        return False
    if begun and isinstance(error, _READING) and sdk_errors.status(error) is None:
        return True
    return sdk_errors.is_unreadable(error) or isinstance(_classify(error, "", "", ()), InternalError)


def translate(error: Exception, endpoint: Endpoint) -> ChatcliError:
    """Return `error`, met while asking `endpoint`, as the failure that the user is told."""
    if isinstance(error, ChatcliError):
        return error
    variables = PROVIDERS[endpoint.name.provider].key_variables
    # A client may have been pointed elsewhere by a variable that only it knows.
    address = endpoint.address if "://" in endpoint.address else sdk_errors.asked_host(error) or endpoint.address
    failure = path_failure(error, endpoint) or _classify(
        error, f"{endpoint.name} at {address}", str(endpoint.name), variables
    )
    if isinstance(failure, AuthError) and endpoint.name.base_url and endpoint.key is None:
        failure.remedy = "No key of yours was sent there before. To send it, name the server again: --base-url URL"
    # Cut last: of a key that was cut, the rest would not be recognised.
    return type(failure)(shorten(endpoint.redact(failure.message)), remedy=failure.remedy)


def shorten(message: str) -> str:
    """Return `message` on one line, cut to the length of an error message."""
    return one_line(message, MAX_MESSAGE)


def translate_foreign(error: BaseException, whose: str) -> ChatcliError | None:
    """Return what a model that is not ours met, somewhere behind `error`, or None when it comes from no provider.

    `whose` names the models: those of a graph, say. The message is neither redacted nor shortened yet.
    """
    for link in sdk_errors.chain(error):
        if isinstance(link, Exception) and _is_providers(link):
            return _classify(link, f"a model of {whose}", f"a model of {whose}", ())
    return None


def _is_providers(error: Exception) -> bool:
    """Return whether a provider's package raised `error`: a program's own OSError says nothing of models."""
    packages = {kind.__module__.partition(".")[0] for kind in type(error).__mro__}
    return bool(packages & _SDKS) or isinstance(error, langchain.ModelError | ConnectionError | TimeoutError)


def _classify(error: Exception, where: str, name: str, variables: tuple[str, ...]) -> ChatcliError:
    status = sdk_errors.status(error)
    if isinstance(error, UnreadableAnswerError):
        return _unreadable(error, where, name)
    if isinstance(error, langchain.ContextOverflowError) or status == 413 or _says(error, _OVERFLOW_WORDS):
        return _overflow(error, name)
    if isinstance(error, _AUTH) or status in (401, 403) or _says(error, _KEY_WORDS):
        return AuthError(
            f"{where} refused the key: {_reason(error)}",
            remedy=f"Check the key ({variables[0]}) and what it may use." if variables else "",
        )
    if sdk_errors.lacks_credentials(error):
        return AuthError(f"{where} found no credentials: {_reason(error)}", remedy="Log in by the platform's own tool.")
    if isinstance(error, _NOT_FOUND) or status == 404:
        return RefusedError(
            f"{where} is not known there: {_reason(error)}",
            remedy="See `chat models list`, and choose one with -m.",
        )
    if _says(error, _FILTER_WORDS):
        return RefusedError(f"{where} filtered the request: {_reason(error)}", remedy="Put it another way.")
    return _passing_failure(error, where, name, status) or _refusal(error, where, status)


def _passing_failure(error: Exception, where: str, name: str, status: int | None) -> NetworkError | None:
    """Return what may go away by itself."""
    cause = _transport_cause(error)
    if isinstance(error, _TIMEOUT) or isinstance(cause, _TIMEOUT) or status == 408 or sdk_errors.is_timeout(error):
        return NetworkError(f"{where} did not answer in time", remedy="Try again, or allow more with --timeout.")
    if sdk_errors.is_out_of_credit(error):
        return NetworkError(
            f"{where} has no credit left for this key: {_reason(error)}",
            remedy="See to the plan and the billing of its account, or choose another model with -m.",
        )
    if isinstance(error, _RATE_LIMIT) or status == 429:
        return NetworkError(f"{where} limits the rate: {_reason(error)}", remedy="Try again later.")
    if isinstance(error, BrokenAnswerError) or (status is None and sdk_errors.is_break(error)):
        return NetworkError(
            f"{where} broke off in mid-answer", remedy="What had arrived is kept in the thread; ask again."
        )
    if isinstance(error, _CONNECTION) or (status is None and sdk_errors.is_connection(error)):
        return NetworkError(
            f"{where} can't be reached: {one_line(str(cause or error))}",
            remedy="Check the address and the network.",
        )
    if _is_server_fault(error, status):
        return NetworkError(f"{where} failed: {_reason(error)}", remedy="Try again later.")
    if isinstance(error, json.JSONDecodeError | UnicodeDecodeError):
        return _no_answer(where, name, error)
    return None


def _unreadable(error: UnreadableAnswerError, where: str, name: str) -> NetworkError:
    cause = error.__cause__ or error
    if error.begun:
        return NetworkError(
            f"{where} sent a part of its answer that can't be read ({_kind(cause)})",
            remedy="What had arrived is kept in the thread; ask again.",
        )
    return _no_answer(where, name, cause)


def _no_answer(where: str, name: str, error: BaseException) -> NetworkError:
    hint = "Check the base URL; it often ends in /v1." if name.startswith(f"{OPENAI}:") else "Check the base URL."
    return NetworkError(f"{where} sent what can't be read as an answer ({_kind(error)})", remedy=hint)


def _kind(error: BaseException) -> str:
    return f"{type(error).__name__}: {one_line(str(error))}"


def _is_server_fault(error: Exception, status: int | None) -> bool:
    """Tell a fault of the server's from a request that it refuses.

    An error event in mid-stream has no status, only a type.
    """
    if status is not None:
        return status >= 500 or status == 409  # a conflict with another request, which the SDKs repeat too
    if isinstance(error, openai.APIError):
        return "invalid" not in f"{error.type} {error.code}"
    return isinstance(error, langchain.ModelAPIError)


def _refusal(error: Exception, where: str, status: int | None) -> ChatcliError:
    known = isinstance(error, langchain.ModelInvalidRequestError | openai.APIError) or sdk_errors.is_refusal(error)
    if status is not None or known:
        return RefusedError(f"{where} refused the request: {_reason(error)}")
    return InternalError(
        f"{type(error).__name__}: {one_line(str(error))}",
        remedy="Run again with --debug to see where, and report it.",
    )


def _overflow(error: Exception, name: str) -> ContextError:
    body = sdk_errors.body(error)
    sizes = ""
    if "n_prompt_tokens" in body and "n_ctx" in body:  # llama.cpp says both
        sizes = f" ({body['n_prompt_tokens']} tokens, and the limit is {body['n_ctx']})"
    return ContextError(
        f"the request does not fit the context of {name}{sizes or ': ' + _reason(error)}",
        remedy="Send less, lower --context-tokens, or choose a model with a larger context.",
    )


def _says(error: Exception, words: tuple[str, ...]) -> bool:
    text = f"{error} {sdk_errors.body(error)}"
    return any(word in text for word in words)


def _reason(error: Exception) -> str:
    body = sdk_errors.body(error)
    return one_line(str(body.get("message") or getattr(error, "message", "") or error))


def _transport_cause(error: BaseException) -> BaseException | None:
    """Return the deepest cause: what the socket or the resolver said, under the SDK's wrapping."""
    cause = error.__cause__ or error.__context__
    while cause is not None and (deeper := cause.__cause__ or cause.__context__) is not None:
        cause = deeper
    return cause
