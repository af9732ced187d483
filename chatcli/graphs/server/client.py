"""A LangGraph server: where it is, whether it answers, and its failures in our words."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from chatcli.config.secrets import Secret, redact
from chatcli.errors import AuthError, ChatcliError, NetworkError, RefusedError, UsageError
from chatcli.text_lines import one_line

if TYPE_CHECKING:
    import httpx
    from langgraph_sdk.client import LangGraphClient, SyncLangGraphClient
    from langgraph_sdk.schema import Assistant

SERVER = "langgraph"
"""The provider in the name of a server's assistant: `langgraph:NAME`."""
OK = 200
"""HTTP's status of a request that was granted."""
REACH_TIMEOUT = 3.0
"""Seconds for a server to say that it is there; its client by itself would try for up to a minute."""
REQUEST_TIMEOUT = 60.0
"""Seconds of silence after which a request is given up; while an app works, the server sends a sign of life."""
MOST_ASSISTANTS = 1000
"""How many are looked at: as many as a server tells at once."""
MESSAGE_LENGTH = 300
"""Characters of what a server says that are shown."""


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """A LangGraph server, and who is asked there.

    Attributes:
        url: Its address, without a slash at the end.
        key: What its API asks for, sent as `x-api-key`; None where it asks for none.
        assistant: The name or ID of an assistant, None for the server's first.

    """

    url: str = field(repr=False)
    key: Secret | None = None
    assistant: str | None = None

    @property
    def shown(self) -> str:
        """The address as messages name it, without a password or key."""
        return redact(re.sub(r"//[^/@]*@", "//", self.url), [])

    @property
    def headers(self) -> dict[str, str]:
        """What every request carries."""
        return {} if self.key is None else {"x-api-key": self.key.get_secret_value()}


def check_server(server: ServerAddress) -> None:
    """Return when `server` answers.

    Raises:
        NetworkError: It does not, or is failing.
        AuthError: It refuses the key.
        UsageError: What answers is no LangGraph server.

    """
    import httpx2

    try:
        status = httpx2.get(f"{server.url}/ok", headers=server.headers, timeout=REACH_TIMEOUT).status_code
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise unreachable(server, error) from error
    if status != OK:
        raise _refused(server, status, f"status {status}")


def build_client(server: ServerAddress) -> "LangGraphClient":
    """Return a client of `server`; unlike the one that LangGraph would make, it neither looks for keys nor retries."""
    import httpx
    from langgraph_sdk.client import LangGraphClient

    async def forget_stream(response: httpx.Response) -> None:
        # A run ends with its connection: to look for it there for 19 s, as the client would, is to wait for nothing.
        response.headers.pop("location", None)

    return LangGraphClient(
        httpx.AsyncClient(
            base_url=server.url,
            headers=server.headers,
            timeout=httpx.Timeout(REQUEST_TIMEOUT, connect=REACH_TIMEOUT),
            event_hooks={"response": [forget_stream]},
        )
    )


def build_sync_client(server: ServerAddress) -> "SyncLangGraphClient":
    """Return a client of `server` that blocks; see `build_client`."""
    import httpx
    from langgraph_sdk.client import SyncLangGraphClient

    timeout = httpx.Timeout(REQUEST_TIMEOUT, connect=REACH_TIMEOUT)
    return SyncLangGraphClient(httpx.Client(base_url=server.url, headers=server.headers, timeout=timeout))


def assistants(server: ServerAddress) -> "list[Assistant]":
    """Return who can be asked on `server`, the one made first before the others.

    Raises:
        ChatcliError: See `server_failures`.

    """
    with server_failures(server), build_sync_client(server) as client:
        found = client.assistants.search(sort_by="created_at", sort_order="asc", limit=MOST_ASSISTANTS)
    if not isinstance(found, list):  # what answers may be anything
        raise _refused(server, OK, "it lists no assistants")
    return found


def refuse_without_messages(server: ServerAddress, assistant: "Assistant") -> None:
    """Return when the app of `assistant` takes messages, or the server does not tell what it takes.

    Raises:
        UsageError: It takes other things alone.
        ChatcliError: See `server_failures`.

    """
    with server_failures(server), build_sync_client(server) as client:
        schemas = client.assistants.get_schemas(assistant["assistant_id"])
    # The server can't tell every input; what the state holds says nearly the same.
    taken = [
        (schema or {}).get("properties") or {} for schema in (schemas.get("input_schema"), schemas.get("state_schema"))
    ]
    names = taken[0] or taken[1]
    if names and "messages" not in names:
        raise UsageError(
            f"the input of the app {assistant['name']} holds no `messages`; it holds: {', '.join(sorted(names))}",
            remedy="Choose another assistant: --assistant NAME.",
        )


@contextmanager
def server_failures(server: ServerAddress) -> Iterator[None]:
    """Turn what LangGraph's client raises into failures that the user is told about.

    Raises:
        ChatcliError: See `check_server`; a request that the server can't take is a RefusedError.

    """
    import json  # late: not before the first prompt

    import httpx

    try:
        yield
    except httpx.HTTPStatusError as error:
        raise _refused(server, error.response.status_code, _said(error)) from error
    except httpx.HTTPError as error:
        raise unreachable(server, error) from error
    except json.JSONDecodeError as error:
        raise _refused(server, OK, "it sends no JSON") from error


def unreachable(server: ServerAddress, error: Exception) -> NetworkError:
    """Return the failure of a server that does not answer."""
    reason = one_line(str(error))[:MESSAGE_LENGTH] or type(error).__name__
    return NetworkError(
        f"the LangGraph server {server.shown} can't be reached: {reason}",
        remedy="Check the address (--url) and that the server runs.",
    )


def _refused(server: ServerAddress, status: int, said: str) -> ChatcliError:
    where = f"the LangGraph server {server.shown}"
    match status:
        case 401 | 403:
            remedy = "Set LANGGRAPH_API_KEY (or LANGSMITH_API_KEY) to its key."
            what = "refuses the key" if server.key is not None else "asks for a key"
            return AuthError(f"{where} {what}: {said}", remedy=remedy)
        case 400 | 413 | 422:
            return RefusedError(f"{where} refuses the request: {said}")
        case 408 | 409 | 425 | 429:  # 409: another run is on the thread
            return NetworkError(f"{where} is busy: {said}", remedy="Try again later.")
        case _ if status >= 500 and status != 501:  # 501: it does not know the request at all
            return NetworkError(f"{where} is failing: {said}", remedy="Try again later; its log says more.")
        case _:
            return UsageError(f"{where} does not answer like one: {said}", remedy="Check the address: --url.")


def _said(error: "httpx.HTTPStatusError") -> str:
    """Return the server's own words, in one line."""
    text = one_line(str(getattr(error, "message", "")))
    return text[:MESSAGE_LENGTH] or f"status {error.response.status_code}"
