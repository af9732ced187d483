"""The HTTP client of MCP sessions: a request always gets an answer, so that no call waits for ever."""

import json
import re
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import httpx
from mcp.client.auth import OAuthFlowError

from chatcli.errors import ChatcliError
from chatcli.runtime.http import LimitError, async_hooks
from chatcli.runtime.parse import read_json
from chatcli.text import one_line

if TYPE_CHECKING:
    from chatcli.tools.mcp_login import ServerLogin

RequestId = int | str
_TIMEOUT = httpx.Timeout(30, read=300)
"""In seconds, as in the SDK's own client: a server may keep an answer open for a while."""
_EVENTS = "text/event-stream"
_RESUMES = "last-event-id"
_EVENT_ID = re.compile(rb"[\r\n]id:[ ]?[^\r\n ]")
MAX_REASON = 1000
FAILED = -32000
"""JSON-RPC's code for errors of the implementation; here a request that came to nothing."""


class LoginNeededError(httpx.TransportError):
    """The server takes only tokens that the user can get, by `chat mcp login`."""


class AnsweringClient(httpx.AsyncClient):
    """An HTTP client that turns the failure of a request into an answer.

    `login` sends the user's tokens for the server; `remedy` is what the user can do where the server wants others.
    """

    def __init__(self, headers: dict[str, str], login: "ServerLogin | None" = None, remedy: str = "") -> None:
        super().__init__(headers=headers, timeout=_TIMEOUT, event_hooks=async_hooks(), auth=login)
        self._login = login
        self._remedy = remedy

    async def send(self, request: httpx.Request, **options: Any) -> httpx.Response:
        """Return the answer to `request`; if it fails and a result is awaited, the answer is an error."""
        number = _request_id(request)
        try:
            response = await self._send_with_login(request, **options)
        except (httpx.TransportError, LimitError) as error:
            return _instead(request, number, error)
        if response.status_code == httpx.codes.NOT_FOUND or response.has_redirect_location or number is None:
            return response  # the SDK handles these itself
        if response.is_error:
            await response.aclose()
            reason = f"the server answered {response.status_code} {response.reason_phrase}".rstrip()
            if response.status_code == httpx.codes.UNAUTHORIZED:
                reason += self._remedy
            return _events(request, _failure(number, reason))
        kept = {name: value for name, value in response.headers.items() if name.startswith("mcp-")}
        headers = {**kept, "content-type": _EVENTS}
        return httpx.Response(response.status_code, headers=headers, stream=_Answer(response, number), request=request)

    async def _send_with_login(self, request: httpx.Request, **options: Any) -> httpx.Response:
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


class _Answer(httpx.AsyncByteStream):
    """The events of `response`, and after them an error for the request `number`, in case it got no result."""

    def __init__(self, response: httpx.Response, number: RequestId) -> None:
        self._response = response
        self._number = number

    async def __aiter__(self) -> AsyncIterator[bytes]:
        reason, end, resumable = "the server closed the connection during the call", b"\n", False
        try:
            if self._response.headers.get("content-type", "").lower().startswith(_EVENTS):
                async for part in self._response.aiter_bytes():
                    resumable = resumable or _EVENT_ID.search(end + part) is not None
                    end = (end + part)[-8:]
                    yield part
            else:
                yield _event(read_json(await self._response.aread()))
        except (httpx.TransportError, LimitError) as error:
            reason, resumable = _transport_reason(error), resumable and not isinstance(error, LimitError)
        except ValueError:
            reason = "the server's answer is not valid MCP"
        if not resumable:  # else the SDK asks for the rest, by the number of the last event
            yield b"\n\n" + _event(_failure(self._number, reason))

    async def aclose(self) -> None:
        await self._response.aclose()


def _request_id(request: httpx.Request) -> RequestId | None:
    """Return the number of the request that waits for a result; None for anything else, such as a notification.

    A GET for the rest of an answer waits too. The SDK replaces its number, so any number will do.
    """
    if request.method == "GET":
        return -1 if _RESUMES in request.headers else None
    if request.method != "POST":
        return None
    message: dict[str, Any] = json.loads(request.content)
    number: RequestId | None = message.get("id") if "method" in message else None
    return number


def _instead(request: httpx.Request, number: RequestId | None, error: Exception) -> httpx.Response:
    """Return an answer to `request` instead of the one that `error` prevented.

    Raises `TransportError` if the request opens a stream of the server's own messages, which the SDK can do without.
    """
    if number is not None:
        return _events(request, _failure(number, _transport_reason(error)))
    if request.method == "GET":
        raise error
    # A notification, or the end of the session: no result is awaited, and an error would end every other call.
    return httpx.Response(httpx.codes.ACCEPTED if request.method == "POST" else httpx.codes.NO_CONTENT, request=request)


def _transport_reason(error: Exception) -> str:
    if isinstance(error, LoginNeededError):
        return one_line(str(error), MAX_REASON)
    return f"the connection to the server failed: {' '.join(str(error).split()) or type(error).__name__}"


def _failure(number: RequestId, reason: str) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": number, "error": {"code": FAILED, "message": reason}}


def _event(message: object) -> bytes:
    return f"event: message\ndata: {json.dumps(message)}\n\n".encode()


def _events(request: httpx.Request, message: dict[str, Any]) -> httpx.Response:
    return httpx.Response(200, headers={"content-type": _EVENTS}, content=_event(message), request=request)
