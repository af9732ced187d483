"""A LangGraph server: its address, clients for it, and its failures as our errors."""

import re
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from chatcli.config.secrets import Secret, redact
from chatcli.errors import AuthError, ChatcliError, NetworkError, RefusedError, UsageError
from chatcli.text import one_line

if TYPE_CHECKING:
    from langgraph_sdk.client import LangGraphClient, SyncLangGraphClient
    from langgraph_sdk.schema import Assistant, RunCreateMetadata, StreamPart

SERVER = "langgraph"
"""The provider in the name of a server's assistant: `langgraph:NAME`."""
OK = 200
"""The HTTP status of a successful request."""
REACH_TIMEOUT = 3.0
"""Seconds within which a server must respond; the SDK would try for up to a minute."""
REQUEST_TIMEOUT = 60.0
"""Seconds of silence after which a request fails; while an app works, the server sends keep-alive messages."""
MOST_ASSISTANTS = 1000
"""The number of assistants that are read: a server lists at most this many at once."""
MESSAGE_LENGTH = 300
"""Characters of a server's message that are shown."""
_BEFORE_ALL = "0-0"
"""An ID, in the server's form, that is smaller than that of every event."""


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """A LangGraph server, and the name or ID of the `assistant` there, None for the server's first."""

    # `url` has no slash at the end; `key` is sent as `x-api-key`, None if the server needs none. `own_headers` are what
    # the user adds to every request.
    url: str = field(repr=False)
    key: Secret | None = None
    assistant: str | None = None
    own_headers: tuple[tuple[str, Secret], ...] = ()

    @property
    def shown(self) -> str:
        """The URL for messages, without a password or key."""
        return redact(re.sub(r"//[^/@]*@", "//", self.url), [])

    @property
    def headers(self) -> dict[str, str]:
        """The headers of every request."""
        key = () if self.key is None else (("x-api-key", self.key),)
        return {name.lower(): text.get_secret_value() for name, text in (*key, *self.own_headers)}

    def line(self, text: str) -> str:
        """Return `text`, which came from the server, in one line and without the key and the headers."""
        secrets = [text for _, text in self.own_headers] + ([self.key] if self.key is not None else [])
        words = [Secret(word) for one in secrets for word in one.get_secret_value().split()]
        return one_line(redact(text, [*secrets, *words]))[:MESSAGE_LENGTH]


def check_server(server: ServerAddress) -> None:
    """Check that `server` answers, takes the key, and is a LangGraph server."""
    import httpx2

    from chatcli.runtime.http import request

    try:
        response = request("GET", f"{server.url}/ok", seconds=REACH_TIMEOUT, headers=server.headers)
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise unreachable(server, error) from error
    if response.status_code != OK:
        raise _refused(server, response.status_code, _server_message(response))


@dataclass(slots=True)
class StartedRun:
    """A run that a stream has begun: its ID, and its newest events that have arrived."""

    # LangGraph's development server gives the events of one millisecond the same ID. A stream that is joined after that
    # ID would skip the rest of them. So it is joined after the ID before, and what has arrived since is left out.
    id: str = ""
    join_after: str | None = None
    """The newest ID but one; None if no event with an ID has arrived."""
    newest: list["StreamPart"] = field(default_factory=list)
    """The events that have arrived with the newest ID."""

    def __call__(self, created: "RunCreateMetadata") -> None:
        """Take what the server says about the run that it created."""
        self.id = created["run_id"]

    def note(self, part: "StreamPart") -> None:
        """Take a new event."""
        if not part.id:
            return
        if not self.newest or part.id != self.newest[0].id:
            self.join_after = self.newest[0].id if self.newest else _BEFORE_ALL
            self.newest = []
        self.newest.append(part)


def build_client(server: ServerAddress) -> "LangGraphClient":
    """Return a client for `server`, which, unlike LangGraph's own, neither looks for keys nor retries."""
    import httpx
    from langgraph_sdk.client import LangGraphClient, RunsClient

    from chatcli.runtime.http import MOST_BODY, async_hooks

    async def forget_stream(response: httpx.Response) -> None:
        # We join a run again ourselves, for as long as the user allows; the client would do it for 19 s.
        response.headers.pop("location", None)

    class Runs(RunsClient):
        """Notes the newest events of a run where the callback `on_run_created` is a `StartedRun`."""

        def stream(self, *args: Any, on_run_created: Any = None, **options: Any) -> AsyncIterator[Any]:
            parts = super().stream(*args, on_run_created=on_run_created, **options)
            return noted(parts, on_run_created) if isinstance(on_run_created, StartedRun) else parts

    hooks = async_hooks(MOST_BODY)  # a thread's state, in one piece, may hold every attachment
    hooks["response"].append(forget_stream)
    client = LangGraphClient(
        httpx.AsyncClient(
            base_url=server.url,
            headers=server.headers,
            timeout=httpx.Timeout(REQUEST_TIMEOUT, connect=REACH_TIMEOUT),
            event_hooks=hooks,
        )
    )
    client.runs = Runs(client.http)
    return client


async def noted(parts: "AsyncIterator[StreamPart]", run: StartedRun) -> "AsyncIterator[StreamPart]":
    """Yield those of the stream's `parts` of `run` that have not arrived before, and note them there."""
    repeated = [*run.newest]
    async for part in parts:
        if part in repeated:
            repeated.remove(part)
        else:
            run.note(part)
            yield part


def build_sync_client(server: ServerAddress) -> "SyncLangGraphClient":
    """Return a blocking client for `server`; see `build_client`."""
    import httpx
    from langgraph_sdk.client import SyncLangGraphClient

    from chatcli.runtime.http import MOST_BODY, hooks

    timeout = httpx.Timeout(REQUEST_TIMEOUT, connect=REACH_TIMEOUT)
    client = httpx.Client(base_url=server.url, headers=server.headers, timeout=timeout, event_hooks=hooks(MOST_BODY))
    return SyncLangGraphClient(client)


def assistants(server: ServerAddress) -> "list[Assistant]":
    """Return the assistants on `server`, the oldest first."""
    with server_failures(server), build_sync_client(server) as client:
        found = client.assistants.search(sort_by="created_at", sort_order="asc", limit=MOST_ASSISTANTS)
    if not isinstance(found, list):  # the server may be anything
        raise _refused(server, OK, "it lists no assistants")
    return found


def app_schemas(server: ServerAddress, assistant: "Assistant") -> Mapping[str, Any]:
    """Return the schemas of the app of `assistant`."""
    with server_failures(server), build_sync_client(server) as client:
        return client.assistants.get_schemas(assistant["assistant_id"])


@contextmanager
def server_failures(server: ServerAddress) -> Iterator[None]:
    """Turn the exceptions of LangGraph's client into errors for the user; a rejected request is a RefusedError."""
    import json  # late: not before the first prompt

    import httpx

    try:
        yield
    except httpx.HTTPStatusError as error:
        raise _refused(
            server, error.response.status_code, _server_message(error.response, str(getattr(error, "message", "")))
        ) from error
    except httpx.HTTPError as error:
        raise unreachable(server, error) from error
    except json.JSONDecodeError as error:
        raise _refused(server, OK, "it sends no JSON") from error


def unreachable(server: ServerAddress, error: Exception) -> ChatcliError:
    """Return the error for a server that does not answer, or that sends its clients to another one."""
    from chatcli.runtime.http import ElsewhereError

    if isinstance(error, ElsewhereError):
        return _refused(server, OK, str(error))
    reason = server.line(str(error)) or type(error).__name__
    return NetworkError(
        f"the LangGraph server {server.shown} can't be reached: {reason}",
        remedy="Check the address (--url) and that the server runs.",
    )


def _refused(server: ServerAddress, status: int, reason: str) -> ChatcliError:
    where, reason = f"the LangGraph server {server.shown}", server.line(reason)
    match status:
        case 401:
            what = "does not accept the key or the headers" if server.headers else "wants to know who asks"
            remedy = (
                "Set LANGGRAPH_API_KEY (or LANGSMITH_API_KEY) to its key, or send what it wants: --header NAME=VALUE"
            )
            return AuthError(f"{where} {what}: {reason}", remedy=remedy)
        case 403:
            remedy = "Ask who runs it for access, or use another key or --header."
            return AuthError(f"{where} does not allow you this: {reason}", remedy=remedy)
        case 400 | 413 | 422:
            return RefusedError(f"{where} refuses the request: {reason}")
        case 408 | 409 | 425 | 429:  # 409: another run is on the thread
            return NetworkError(f"{where} is busy: {reason}", remedy="Try again later.")
        case _ if status >= 500 and status != 501:  # 501: the server does not know the request
            return NetworkError(f"{where} is failing: {reason}", remedy="Try again later; its log says more.")
        case _:
            return UsageError(
                f"{where} does not answer like a LangGraph server: {reason}", remedy="Check the address: --url."
            )


def _server_message(response: Any, said: str = "") -> str:
    """Return the server's reason for rejecting a request: `said`, from its JSON, or else its status in words."""
    wanted = response.headers.get("www-authenticate", "")
    words = said or f"status {response.status_code} {response.reason_phrase}".rstrip()
    return f"{words} (it takes {wanted})" if wanted else words
