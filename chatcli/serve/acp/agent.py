"""The agent: answers an editor's requests, and holds its sessions, each of which is a thread."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from acp.exceptions import RequestError

from chatcli import __version__
from chatcli.config.installation import is_mcp_installed
from chatcli.config.mcp_servers import McpServer
from chatcli.config.providers import PROVIDERS
from chatcli.config.settings import Settings
from chatcli.config.thread_ids import check_thread_id, new_thread_id
from chatcli.conversation.backend import Backend, choose_backend, delete_threads
from chatcli.errors import ChatcliError, MissingKeyError
from chatcli.runtime.exits import exits_contained
from chatcli.serve.acp.client import (
    Client,
    Fields,
    Files,
    Terminal,
    as_request_error,
    invalid,
    text_of,
    unknown_session,
)
from chatcli.serve.acp.pipes import Pipes
from chatcli.serve.standard_streams import take_streams
from chatcli.store.errors import as_failure
from chatcli.tools.workspace import Workspace

if TYPE_CHECKING:
    from chatcli.conversation.conversation import Conversation
    from chatcli.serve.acp.session import EditorSession

PROTOCOL_VERSION = 1
PAGE = 50
"""Sessions in one answer to `session/list`."""
MAX_CURSOR = 15
"""Digits of a cursor: SQLite's numbers have no more than 18."""
STOP_SECONDS = 4.0
"""Time for all sessions to stop at the end."""

THREADS = 100
"""The most threads for what blocks: files, stores, and nodes of graphs, each of which keeps one."""

Handler = Callable[[Mapping[str, Any]], Awaitable[Any]]
Begin = Callable[[Settings, str, bool, Workspace], "Conversation"]
"""Returns the conversation on a thread, which is stored or not, with the settings in its folder."""
Reread = Callable[[Path], Settings]
"""Returns the settings in a folder."""


@dataclass(eq=False)
class Agent:
    """The agent that an editor talks to.

    It reads the settings in the folder of a session by `reread`, opens its conversation by `begin`, and gives each
    failure to `report`, for the log. The `provider` of the model that answers first is empty for a graph or a server.
    """

    _settings: Settings
    _provider: str
    _reread: Reread
    _begin: Begin
    _report: Callable[[ChatcliError], None]
    _client: Client = field(default_factory=Client)
    _sessions: "dict[str, EditorSession]" = field(default_factory=dict)
    _running: set[asyncio.Task[Any]] = field(default_factory=set)
    """The requests that are not answered yet."""
    _later: set[asyncio.Task[None]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._handlers: dict[str, Handler] = {
            "initialize": self._initialize,
            "authenticate": self._authenticate,
            "session/new": self._new,
            "session/load": self._load,
            "session/resume": lambda params: self._load(params, replays=False),
            "session/list": self._list,
            "session/fork": self._fork,
            "session/delete": self._delete,
            "session/close": self._close,
            "session/set_mode": lambda params: self._session(params).use_mode(text_of(params, "modeId")),
            "session/set_config_option": lambda params: self._session(params).use_option(
                text_of(params, "configId"), params.get("value")
            ),
            "session/prompt": lambda params: self._session(params).prompt(params.get("prompt")),
            "session/cancel": self._cancel,
        }

    async def run(self, pipes: Pipes) -> None:
        """Answer until the editor is gone; then stop what runs."""
        await self._answer_first(pipes)
        # Late: pydantic, which the connection needs, would double the time to the first answer.
        from acp.connection import Connection

        connection = Connection(self.handle, pipes, listening=False)
        self._client.wire = connection
        importing = asyncio.create_task(asyncio.to_thread(_import_all))  # a session is opened soon
        try:
            await connection.main_loop()
        finally:
            await self._stop()
            await connection.close()
            await asyncio.wait([importing])

    async def _answer_first(self, pipes: Pipes) -> None:
        """Answer `initialize` at once, if it is the first request."""
        first = await pipes.receive()
        if first is None or first.get("method") != "initialize" or "id" not in first:
            pipes.put_back(first)
            return
        params = first.get("params")
        result = await self._initialize(params if isinstance(params, Mapping) else {})
        await pipes.send({"jsonrpc": "2.0", "id": first["id"], "result": result})

    async def handle(self, method: str, params: Any, is_notification: bool) -> Any:
        """Return the result of a request."""
        handler = self._handlers.get(method)
        if handler is None:
            if is_notification:
                return None  # an extension that is not known here
            raise RequestError.method_not_found(method)
        task = asyncio.current_task()
        assert task is not None
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        try:
            with exits_contained():
                return await handler(params if isinstance(params, Mapping) else {})
        except RequestError:
            raise
        except Exception as error:
            credentials = self._settings.credentials
            failure = credentials.explain(as_failure(error))
            self._report(failure)
            raise as_request_error(failure, credentials.redact) from error

    async def _initialize(self, params: Mapping[str, Any]) -> Fields:
        capabilities = params.get("clientCapabilities")
        self._client.capabilities = capabilities if isinstance(capabilities, Mapping) else {}
        backend = choose_backend(self._settings)
        kept: Fields = {name: {} for name in ("list", "resume", "fork", "delete")} if backend.keeps_threads else {}
        own: Fields = {"additionalDirectories": {}} if self._provider else {}
        takes_servers = bool(self._provider) and is_mcp_installed()
        return {
            "protocolVersion": PROTOCOL_VERSION,
            "agentInfo": {"name": "chatcli", "title": "chat", "version": __version__},
            "agentCapabilities": {
                "loadSession": bool(kept),
                "promptCapabilities": {"image": True, "audio": False, "embeddedContext": True},
                "mcpCapabilities": {"http": takes_servers, "sse": False},
                "sessionCapabilities": {**kept, **own, "close": {}},
            },
            "authMethods": self._auth_methods(),
        }

    def _auth_methods(self) -> list[Fields]:
        """Return how the key that is missing is given; nothing where none is."""
        if not self._lacks_key(self._settings, self._provider):
            return []
        provider = PROVIDERS[self._provider]
        variable = provider.key_variables[0]
        typing = f"chat keys set {provider.prefix}"
        methods: list[Fields] = [
            {
                "id": f"{provider.prefix}-key",
                "name": f"Key for {provider.title}: {variable}",
                "description": f"Set {variable} in the environment of the agent, or run: {typing}",
                "type": "env_var",
                "vars": [{"name": variable}],
            }
        ]
        if self._client.offers("auth", "terminal") or self._client.offers("_meta", "terminal-auth"):
            methods.append(
                {
                    "id": f"{provider.prefix}-terminal",
                    "name": f"Type the key for {provider.title} in a terminal",
                    "description": f"Runs: {typing}",
                    "type": "terminal",
                    "args": typing.split()[1:],  # in place of the agent's own, as the registry of agents has it
                }
            )
        return methods

    async def _authenticate(self, params: Mapping[str, Any]) -> Fields:
        method = text_of(params, "methodId")
        if method not in [f"{prefix}-key" for prefix in PROVIDERS]:
            raise invalid(f"there is no authentication method {method!r}")
        self._settings = await asyncio.to_thread(self._reread, Path.cwd())
        self._require_key(self._settings, method.removesuffix("-key"))
        return {}

    async def _new(self, params: Mapping[str, Any]) -> Fields:
        session = await self._open(new_thread_id(), params, stored=False)
        self._run_after_response(session.announce())
        return {"sessionId": session.id, **session.state()}

    async def _load(self, params: Mapping[str, Any], *, replays: bool = True) -> Fields:
        session = await self._open(text_of(params, "sessionId"), params, stored=True)
        if replays:
            await session.replay()
        self._run_after_response(session.announce(), session.show_state())
        return session.state()

    async def _fork(self, params: Mapping[str, Any]) -> Fields:
        origin, new = text_of(params, "sessionId"), new_thread_id()
        settings = await self._settings_in(params)
        backend = self._backend_of(origin, settings)
        stored = await _exists(backend, origin)
        if stored:

            def copy() -> None:
                backend.threads().fork(origin, new)
                backend.grants(origin).copy_to(new)

            await asyncio.to_thread(copy)
        elif origin not in self._sessions:  # in an open session, nothing was asked yet
            raise unknown_session(origin)
        session = await self._open(new, params, stored=stored)
        self._run_after_response(session.announce(), session.show_state())
        return {"sessionId": new, **session.state()}

    async def _list(self, params: Mapping[str, Any]) -> Fields:
        folder = params.get("cwd")
        settings = await self._settings_in(params) if isinstance(folder, str) else self._settings
        backend = choose_backend(settings)
        begin = _cursor(params.get("cursor"))

        def read() -> Fields:
            found: list[Fields] = []
            threads = backend.threads().recent(None if isinstance(folder, str) else begin + PAGE + 1)
            for number, thread in enumerate(threads[begin:], begin):
                if len(found) == PAGE:
                    return {"sessions": found, "nextCursor": str(number)}
                known = backend.grants(thread.thread_id).folder
                if not isinstance(folder, str) or known in ("", str(Path(folder).resolve()), folder):
                    cwd = known or (folder if isinstance(folder, str) else str(Path.cwd()))
                    shown = {"sessionId": thread.thread_id, "cwd": cwd, "title": thread.title}
                    found.append({**shown, "updatedAt": thread.updated_at})
            return {"sessions": found}

        return await asyncio.to_thread(read) if backend.keeps_threads else {"sessions": []}

    async def _delete(self, params: Mapping[str, Any]) -> Fields:
        session_id = text_of(params, "sessionId")
        backend = self._backend_of(session_id, self._settings)
        await self._drop(session_id)
        if await _exists(backend, session_id):
            await asyncio.to_thread(lambda: delete_threads(backend, backend.threads(), [session_id]))
        return {}

    async def _close(self, params: Mapping[str, Any]) -> Fields:
        await self._drop(self._session(params).id)
        return {}

    async def _cancel(self, params: Mapping[str, Any]) -> None:
        if (session := self._sessions.get(str(params.get("sessionId")))) is not None:
            session.cancel()

    def _session(self, params: Mapping[str, Any]) -> "EditorSession":
        session_id = text_of(params, "sessionId")
        if (session := self._sessions.get(session_id)) is None:
            raise unknown_session(session_id)
        return session

    async def _open(self, session_id: str, params: Mapping[str, Any], *, stored: bool) -> "EditorSession":
        """Open the session on a thread, in place of one that is open on it."""
        try:
            check_thread_id(session_id)
        except ValueError as error:
            raise invalid(str(error)) from None
        settings = await self._settings_in(params)
        backend = choose_backend(settings)
        if stored and not await _exists(backend, session_id):
            raise unknown_session(session_id)
        await self._drop(session_id)
        await asyncio.to_thread(import_module, f"{__package__}.session")  # late: it comes behind `initialize`
        from chatcli.serve.acp.session import EditorSession

        folder = Path(text_of(params, "cwd"))
        workspace = self._workspace(session_id, folder, await asyncio.to_thread(_more_folders, params))
        conversation = await asyncio.to_thread(self._begin, settings, session_id, stored, workspace)
        if not stored:
            self._require_key(settings, conversation.model_name.provider)
        session = EditorSession(self._client, conversation, settings, workspace, folder)
        self._sessions[session_id] = session
        conversation.warm_up(lambda: None)
        return session

    def _workspace(self, session_id: str, folder: Path, more: tuple[Path, ...]) -> Workspace:
        files = Files(self._client, session_id, folder) if self._client.offers("fs", "readTextFile") else None
        terminal = Terminal(self._client, session_id) if self._client.offers("terminal") else None
        return Workspace(folder.resolve(), files, terminal, more)

    async def _settings_in(self, params: Mapping[str, Any]) -> Settings:
        """Return the settings in the folder of a session, with the MCP servers of the editor."""
        folder = Path(text_of(params, "cwd"))
        if not folder.is_absolute() or not await asyncio.to_thread(folder.is_dir):
            raise invalid(f"cwd must be the absolute path of a folder, not {str(folder)!r}")
        settings = await asyncio.to_thread(self._reread, folder)
        servers = _servers(params.get("mcpServers") or (), folder)
        taken = {f"{name}-editor" if name in settings.servers() else name: server for name, server in servers.items()}
        return replace(settings, mcp_servers={**settings.mcp_servers, **taken}) if taken else settings

    def _backend_of(self, session_id: str, settings: Settings) -> Backend:
        session = self._sessions.get(session_id)
        return session.conversation.backend if session is not None else choose_backend(settings)

    def _lacks_key(self, settings: Settings, provider: str) -> bool:
        return provider in PROVIDERS and settings.credentials.lacks_key(provider)

    def _require_key(self, settings: Settings, provider: str) -> None:
        if self._lacks_key(settings, provider):
            row = PROVIDERS[provider]
            variable = row.key_variables[0]
            missing = MissingKeyError(
                f"{row.title} needs a key, and {variable} is not set",
                remedy=f"Set {variable} in the agent's environment, or run: chat keys set {provider}",
                provider=provider,
            )
            raise settings.credentials.explain(missing, provider)

    def _run_after_response(self, *actions: Awaitable[None]) -> None:
        """Run `actions` one after the other, once the request that runs is answered."""

        async def act() -> None:
            await asyncio.sleep(0)
            for action in actions:
                with suppress(ChatcliError):  # the next prompt reports it
                    await action

        task = asyncio.create_task(act())
        self._later.add(task)
        task.add_done_callback(self._later.discard)

    async def _drop(self, session_id: str) -> None:
        if (session := self._sessions.pop(session_id, None)) is not None:
            await session.close()

    async def _stop(self) -> None:
        await asyncio.sleep(0)  # so that those which came last begin
        await self._drop_all()
        if self._running:
            await asyncio.wait(self._running, timeout=STOP_SECONDS)
        for task in self._later:
            task.cancel()
        await self._drop_all()  # one of them may have opened another

    async def _drop_all(self) -> None:
        closing = [asyncio.create_task(self._drop(session_id)) for session_id in [*self._sessions]]
        if closing:
            await asyncio.wait(closing, timeout=STOP_SECONDS)


def _import_all() -> None:
    """Import what a session needs, and then what its prompts do."""
    import_module(f"{__package__}.session")
    import_module(f"{__package__}.turns")


def _more_folders(params: Mapping[str, Any]) -> tuple[Path, ...]:
    """Return the folders that a session may use beside its own."""
    given = params.get("additionalDirectories") or []
    if not isinstance(given, list) or not all(isinstance(each, str) for each in given):
        raise invalid("additionalDirectories must be a list of texts")
    for each in given:
        if not Path(each).is_absolute() or not Path(each).is_dir():
            raise invalid(f"additionalDirectories must be absolute paths of folders, not {each!r}")
    return tuple(Path(each).resolve() for each in given)


def _cursor(value: Any) -> int:
    if value is None:
        return 0
    if not isinstance(value, str) or not value.isascii() or not value.isdecimal() or len(value) > MAX_CURSOR:
        raise invalid("the cursor is none of session/list")
    return int(value)


async def _exists(backend: Backend, session_id: str) -> bool:
    return backend.keeps_threads and await asyncio.to_thread(lambda: backend.threads().find(session_id)) is not None


def _servers(given: Any, folder: Path) -> dict[str, McpServer]:
    """Return the editor's MCP servers, by name; its values are literal."""
    if not isinstance(given, Sequence) or isinstance(given, str):
        raise invalid("mcpServers must be a list")
    return dict(_server(each, folder) for each in given)


def _server(given: Any, folder: Path) -> tuple[str, McpServer]:
    if not isinstance(given, Mapping):
        raise invalid("an MCP server must be an object")
    name = text_of(given, "name")
    if given.get("type") in ("http", "sse"):
        headers = _pairs(given.get("headers"))
        return name, McpServer(url=text_of(given, "url"), headers=headers, type=given["type"], literal=True)
    if given.get("type") not in (None, "stdio"):
        raise invalid(f"the MCP server {name} has a transport that is not known here: {given['type']!r}")
    arguments = given.get("args") or []
    if not isinstance(arguments, list) or not all(isinstance(each, str) for each in arguments):
        raise invalid(f"args of the MCP server {name} must be a list of texts")
    command, env = text_of(given, "command"), _pairs(given.get("env"))
    return name, McpServer(command=command, args=tuple(arguments), env=env, cwd=str(folder), literal=True)


def _pairs(given: Any) -> dict[str, str]:
    pairs = given or []
    if not isinstance(pairs, list) or not all(isinstance(each, Mapping) for each in pairs):
        raise invalid("the variables and headers of an MCP server must be a list of objects")
    return {text_of(each, "name"): text_of(each, "value") for each in pairs}


def serve(agent: Agent, stop: Callable[[Callable[[], None]], None]) -> None:
    """Let `agent` answer on stdin and stdout until the editor is gone.

    `stop` gets the function that ends it, to be called in the event loop when a signal asks for that.
    """
    reading, writing = take_streams()

    async def run() -> None:
        # Python's own number is for one conversation: a node of a graph may keep its thread for long.
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(THREADS))
        pipes = Pipes(reading, writing)
        stop(pipes.end)
        with exits_contained():
            await agent.run(pipes)

    asyncio.run(run())
