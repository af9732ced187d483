"""The HTTP client of MCP sessions: a request always gets an answer, so that no call waits for ever."""

import json
import re
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import httpx2
from mcp.client.auth import OAuthFlowError

from chatcli.errors import ChatcliError
from chatcli.runtime.http import LimitError, async_hooks
from chatcli.runtime.parse import read_json
from chatcli.text import one_line

if TYPE_CHECKING:
    from chatcli.tools.mcp_login import ServerLogin

RequestId = int | str
_TIMEOUT = httpx2.Timeout(30, read=300)
"""In seconds, as in the SDK's own client: a server may keep an answer open for a while."""
_EVENTS = "text/event-stream"
_RESUMES = "last-event-id"
_SESSION = "mcp-session-id"
_EVENT_ID = re.compile(rb"[\r\n]id:[ ]?[^\r\n ]")
MAX_REASON = 1000
FAILED = -32000
"""JSON-RPC's code for errors of the implementation; here a request that came to nothing."""
FORGOTTEN = -32099
"""The code for a request that the server refused, since it does not know the session any more."""


class LoginNeededError(httpx2.TransportError):
    """The server takes only tokens that the user can get, by `chat mcp login`."""


class AnsweringClient(httpx2.AsyncClient):
    """An HTTP client that turns the failure of a request into an answer.

    `login` sends the user's tokens for the server; `remedy` is what the user can do where the server wants others.
    """

    def __init__(self, headers: dict[str, str], login: "ServerLogin | None" = None, remedy: str = "") -> None:
        super().__init__(headers=headers, timeout=_TIMEOUT, event_hooks=async_hooks(), auth=login)
        self._login = login
        self._remedy = remedy

    async def send(self, request: httpx2.Request, **options: Any) -> httpx2.Response:
        """Return the answer to `request`; if it fails and a result is awaited, the answer is an error."""
        number = _request_id(request)
        try:
            response = await self._send_with_login(request, **options)
            if number is None or response.has_redirect_location:
                return response  # the SDK handles these itself
            headers = {name: value for name, value in response.headers.items() if name.startswith("mcp-")}
            if response.is_success and response.headers.get("content-type", "").lower().startswith(_EVENTS):
                return _events(request, headers, stream=_Answer(response, number))
            return _events(request, headers, content=_event(self._message(response, await response.aread(), number)))
        except (httpx2.TransportError, LimitError) as error:
            return _instead(request, number, error)

    def _message(self, response: httpx2.Response, body: bytes, number: RequestId) -> dict[str, Any]:
        """Return the message in the `body` of `response` to the request `number`; an error where it holds none."""
        reason = f"the server answered {response.status_code} {response.reason_phrase}".rstrip()
        if response.status_code == httpx2.codes.UNAUTHORIZED:
            return _failure(number, reason + self._remedy)
        if response.status_code == httpx2.codes.NOT_FOUND and _SESSION in response.request.headers:
            return _failure(number, reason, FORGOTTEN)
        try:
            message = read_json(body)
        except ValueError:
            message = None
        if isinstance(message, dict) and (response.is_success or isinstance(message.get("error"), dict)):
            return {**message, "id": number}
        return _failure(number, "the server's answer is not valid MCP" if response.is_success else reason)

    async def _send_with_login(self, request: httpx2.Request, **options: Any) -> httpx2.Response:
        """Return the answer to `request`. Raises `LoginNeededError` if only a new login would help."""
        if self._login is None:
            return await super().send(request, **options)
        try:
            try:
                return await super().send(request, **options)
            except LoginNeededError:
                self._login.expire()  # it refused tokens that seemed valid, or another process has newer ones
                return await super().send(request, **options)
        except ValueError:  # its text may hold tokens
            raise LoginNeededError(f"the server's answer is not valid OAuth{self._remedy}") from None
        except (LoginNeededError, OAuthFlowError, ChatcliError) as error:
            raise LoginNeededError(f"{error}{self._remedy}") from None


class _Answer(httpx2.AsyncByteStream):
    """The events of `response`, and an error for the request `number` where they break off."""

    def __init__(self, response: httpx2.Response, number: RequestId) -> None:
        self._response = response
        self._number = number

    async def __aiter__(self) -> AsyncIterator[bytes]:
        end, resumable = b"\n", False
        try:
            async for part in self._response.aiter_bytes():
                resumable = resumable or _EVENT_ID.search(end + part) is not None
                end = (end + part)[-8:]
                yield part
        except (httpx2.TransportError, LimitError) as error:
            if not resumable or isinstance(error, LimitError):  # else the SDK asks for what comes after the last event
                yield b"\n\n" + _event(_failure(self._number, _transport_reason(error)))

    async def aclose(self) -> None:
        await self._response.aclose()


def first_error(error: BaseException) -> BaseException:
    """Return the first error in `error`, if it is a group of them."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _request_id(request: httpx2.Request) -> RequestId | None:
    """Return the number of the request that waits for a result; None for anything else, such as a notification."""
    # A GET for the rest of an answer waits too. The SDK replaces its number, so any number will do.
    if request.method == "GET":
        return -1 if _RESUMES in request.headers else None
    if request.method != "POST":
        return None
    message: dict[str, Any] = json.loads(request.content)
    number: RequestId | None = message.get("id") if "method" in message else None
    return number


def _instead(request: httpx2.Request, number: RequestId | None, error: Exception) -> httpx2.Response:
    """Return an answer to `request` instead of the one that `error` prevented."""
    # Raises `TransportError` if the request opens a stream of the server's own messages, which the SDK can do without.
    if number is not None:
        return _events(request, {}, content=_event(_failure(number, _transport_reason(error))))
    if request.method == "GET":
        raise error
    # A notification, or the end of the session: no result is awaited, and an error would end every other call.
    status = httpx2.codes.ACCEPTED if request.method == "POST" else httpx2.codes.NO_CONTENT
    return httpx2.Response(status, request=request)


def _transport_reason(error: Exception) -> str:
    if isinstance(error, LoginNeededError):
        return one_line(str(error), MAX_REASON)
    return f"the connection to the server failed: {' '.join(str(error).split()) or type(error).__name__}"


def _failure(number: RequestId, reason: str, code: int = FAILED) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": number, "error": {"code": code, "message": reason}}


def _event(message: object) -> bytes:
    return f"event: message\ndata: {json.dumps(message)}\n\n".encode()


def _events(request: httpx2.Request, headers: dict[str, str], **body: Any) -> httpx2.Response:
    return httpx2.Response(200, headers={**headers, "content-type": _EVENTS}, request=request, **body)
