"""The editor as the agent sees it: what it offers, what it is sent, and its files and terminals as tools use them."""

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from acp.exceptions import RequestError

from chatcli.config.providers import PROVIDERS
from chatcli.errors import AuthError, ChatcliError, MissingKeyError
from chatcli.tools.workspace import CALL_ID, KEPT, Finished

if TYPE_CHECKING:
    from acp.connection import Connection

AUTH_REQUIRED, INTERNAL, NOT_FOUND = -32000, -32603, -32002
Fields = dict[str, Any]
FILE_SECONDS = 30.0
"""Time for the editor to read or write a file."""
KILL_SECONDS = 5.0
"""Time for the editor to end a command and to give its output."""
_SIGNALLED = 128
"""The exit code of a command that a signal ended, as shells have it, where its number is not known."""


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


class Files:
    """The editor's files, for `tools.workspace.EditorFiles`. Call the methods outside of the event loop's thread."""

    def __init__(self, client: Client, session_id: str, folder: Path) -> None:
        self._client = client
        self._session_id = session_id
        self._folder = folder
        self._root = folder.resolve()
        self._loop = asyncio.get_running_loop()

    @property
    def can_write(self) -> bool:
        """Whether the editor writes files, too."""
        return self._client.offers("fs", "writeTextFile")

    def read(self, path: Path) -> str | None:
        """Return the text of the file at `path`; None if the editor does not give it."""
        result = self._ask("fs/read_text_file", path=self._name(path))
        content = result.get("content") if isinstance(result, Mapping) else None
        return content if isinstance(content, str) else None

    def write(self, path: Path, text: str) -> bool:
        """Write the file at `path`; return whether the editor did."""
        return self._ask("fs/write_text_file", path=self._name(path), content=text) is not False

    def _name(self, path: Path) -> str:
        """Return `path` as the editor knows it: the session's folder may be reached through a link."""
        return str(self._folder / path.relative_to(self._root) if path.is_relative_to(self._root) else path)

    def _ask(self, method: str, **params: Any) -> Any:
        """Return the editor's result, False where it has none."""
        asking = self._client.request(method, sessionId=self._session_id, **params)
        try:
            return asyncio.run_coroutine_threadsafe(asking, self._loop).result(FILE_SECONDS)
        except (RequestError, ConnectionError, TimeoutError, asyncio.CancelledError):
            return False


class Terminal:
    """The editor's terminals, for `tools.workspace.EditorTerminal`."""

    def __init__(self, client: Client, session_id: str) -> None:
        self._client = client
        self._session_id = session_id
        self.calls: set[str] = set()
        """The tool calls whose output the user sees in a terminal, by the IDs under which they are shown."""
        self.shown: Mapping[str, str] = {}
        """The ID under which a call is shown, by its own; see `Updates.shown`."""

    async def run(
        self, command: Sequence[str], *, cwd: Path, env: Mapping[str, str], seconds: float
    ) -> Finished | None:
        """Run `command` for at most `seconds`, and end it when cancelled; None if the editor opens no terminal."""
        program, *arguments = command
        # A terminal begins with the editor's variables: those that no command gets here are emptied.
        withheld = {name: "" for name in os.environ if name not in env and name.isidentifier()}
        try:
            created = await self._ask(
                "terminal/create",
                command=program,
                args=arguments,
                env=[{"name": name, "value": value} for name, value in withheld.items()],
                cwd=str(cwd),
                outputByteLimit=KEPT,
            )
            terminal = created["terminalId"]
        except (RequestError, LookupError, TypeError):
            return None
        try:
            return await self._watch(terminal, seconds)
        finally:
            await self._end("terminal/release", terminal)

    async def _watch(self, terminal: str, seconds: float) -> Finished:
        if call_id := self.shown.get(CALL_ID.get(), CALL_ID.get()):
            self.calls.add(call_id)
            shown = {"type": "terminal", "terminalId": terminal}
            update: Fields = {"sessionUpdate": "tool_call_update", "toolCallId": call_id, "content": [shown]}
            await self._client.update(self._session_id, update)
        ended = False
        try:
            async with asyncio.timeout(seconds):
                status = await self._ask("terminal/wait_for_exit", terminalId=terminal)
            ended = True
        except TimeoutError:
            status = None
        finally:
            if not ended:
                await self._end("terminal/kill", terminal)
        result = await self._ask("terminal/output", terminalId=terminal)
        output = str(result.get("output", "")) if isinstance(result, Mapping) else ""
        code = status.get("exitCode") if isinstance(status, Mapping) else None
        if ended and not isinstance(code, int):
            code = _SIGNALLED
        note = "[the first part is left out]\n" if isinstance(result, Mapping) and result.get("truncated") else ""
        return Finished(note + output, code if ended else None)

    async def _ask(self, method: str, **params: Any) -> Any:
        return await self._client.request(method, sessionId=self._session_id, **params)

    async def _end(self, method: str, terminal: str) -> None:
        """Ask for the end of `terminal`, also while this task is being cancelled."""
        asking = asyncio.ensure_future(self._ask(method, terminalId=terminal))
        asking.add_done_callback(lambda done: done.cancelled() or done.exception())
        await asyncio.wait([asking], timeout=KILL_SECONDS)
