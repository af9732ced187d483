"""The editor as the agent sees it: what it offers, and the requests and notifications that it gets."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from acp.exceptions import RequestError

from chatcli.config.providers import PROVIDERS
from chatcli.errors import AuthError, ChatcliError, MissingKeyError

if TYPE_CHECKING:
    from acp.connection import Connection

AUTH_REQUIRED, INTERNAL, NOT_FOUND = -32000, -32603, -32002
Fields = dict[str, Any]


class StoppedError(Exception):
    """The user stopped the turn."""


class DismissedError(StoppedError):
    """The user dismissed a question, or the turn: to a question about calls, that is a no."""


class Client:
    """An editor with its `capabilities`, as it named them at `initialize`."""

    def __init__(self) -> None:
        self.capabilities: Mapping[str, Any] = {}
        self.wire: Connection | None = None

    def offers(self, *names: str) -> bool:
        """Return whether the editor has a capability: `offers("fs", "readTextFile")`."""
        found: Any = self.capabilities
        for name in names:
            found = found.get(name) if isinstance(found, Mapping) else None
        return found is not None and found is not False

    async def request(self, method: str, **params: Any) -> Any:
        """Return the editor's result; raise RequestError if it refused, ConnectionError if it is gone."""
        assert self.wire is not None
        return await self.wire.send_request(method, params)

    async def update(self, session_id: str, update: Fields) -> None:
        """Send an update of a session; an editor that is gone gets none."""
        assert self.wire is not None
        with suppress(ConnectionError):
            await self.wire.send_notification("session/update", {"sessionId": session_id, "update": update})


def as_request_error(error: ChatcliError, redact: Callable[[str], str]) -> RequestError:
    """Return `error` in the protocol's form, without what `redact` removes; a bad key asks the user to authenticate."""
    message, remedy = redact(error.message), redact(error.remedy)
    data: Fields = {"code": error.code, "message": message, "retryable": error.retryable}
    if remedy:
        data["remedy"], message = remedy, f"{message}. {remedy}"
    if isinstance(error, MissingKeyError) and error.provider in PROVIDERS:
        data["variable"] = PROVIDERS[error.provider].key_variables[0]
    return RequestError(AUTH_REQUIRED if isinstance(error, AuthError) else INTERNAL, message, data)


def invalid(message: str) -> RequestError:
    """Return the error for a request whose parameters can't be used."""
    return RequestError(-32602, f"Invalid params: {message}", {"message": message})


def text_of(fields: Mapping[str, Any], key: str, whose: str = "") -> str:
    """Return the text `key` of `fields`, or raise the error for a request that lacks it."""
    value = fields.get(key)
    if not isinstance(value, str):
        raise invalid(f"{key}{whose} must be a text")
    return value


def unknown_session(session_id: str) -> RequestError:
    """Return the error for a session that there is not."""
    return RequestError(NOT_FOUND, f"there is no session {session_id!r}", {"sessionId": session_id})
