"""The tools of this process: opened when a turn first needs them, and closed when the process ends."""

import asyncio
import contextvars
import importlib
import json
import re
import secrets
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from functools import partial
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langchain_core.messages import ToolCall
from langchain_core.tools import BaseTool

from chatcli.config.installation import install_command, is_mcp_installed
from chatcli.config.mcp_servers import McpServer
from chatcli.config.settings import TOOL_SECONDS, Settings
from chatcli.errors import UsageError
from chatcli.events import Notice, Progress
from chatcli.store.threads import Threads
from chatcli.tools.memory import remember_tool, thread_tool
from chatcli.tools.questions import ServedCall
from chatcli.tools.tool import RESERVED, Arguments, Rules, Tool, asked_access
from chatcli.tools.workspace import Access, Workspace

if TYPE_CHECKING:
    from chatcli.tools.changes import Change
    from chatcli.tools.mcp_session import McpSession

MAX_STEPS = 25
START_SECONDS = 30.0
"""Time for all servers to list their tools; some download themselves when they are first started."""
_NAME_LENGTH = 64
_NOT_IN_NAMES = re.compile(r"[^a-zA-Z0-9_-]")


@dataclass(eq=False)
class Toolbox:
    """The tools that a model may call, and the decision which calls run."""

    servers: Mapping[str, McpServer] = field(default_factory=dict)
    """The MCP servers, by name; disabled ones are left out."""
    rules: Rules = field(default_factory=Rules)
    """The calls that are allowed beforehand."""
    _: KW_ONLY
    builtin: Sequence[Tool] = ()
    """The built-in tools that are switched on."""
    can_ask: bool = False
    """Whether there is a user to ask; without one, a call that needs approval is refused."""
    seconds: float = TOOL_SECONDS
    """How long a call may take."""
    max_steps: int = MAX_STEPS
    """How often the model may call tools in a turn."""
    announce: Callable[[Progress | Notice], None] = lambda event: None
    """Shows an event to the user, in the running turn or the next one."""
    debug: bool = False
    """Whether the user sees what MCP servers log."""
    workspace: Workspace = field(default_factory=lambda: Workspace(Path.cwd()))
    """Where the built-in tools work."""

    def __post_init__(self) -> None:
        self.tools: dict[str, Tool] = {}
        """The tools by name; empty until they are opened."""
        self.sessions: list[McpSession] = []
        self.servers = {name: server for name, server in self.servers.items() if not server.disabled}
        self._replies: dict[str, list[str]] = {}
        """The calls that each registered reply was given to, by its token."""
        self._approved: dict[str, str | None] = {}
        """The approved calls, each with the digest of the file that it was shown to change."""
        self._outside: set[str] = set()
        """Those of them that run outside of the sandbox."""
        self._plans: dict[str, Change] = {}
        """The changes that the calls of the newest answer stand for, until the user replies."""
        self._calls: dict[str, ServedCall] = {}
        """The calls of servers that run, by their places in the graph."""
        self._opening: asyncio.Task[None] | None = None
        self._reported = False

    async def open(self, report: Callable[[str], None]) -> Mapping[str, Tool]:
        """Return the tools by name; the first call starts the servers, all at once.

        `report` gets a line for each server that fails, once; its tools are left out. Cancelling a call stops no
        server: the next call continues to wait.
        """
        await self._opened()
        if any([await session.refresh() for session in self.sessions]):
            self._name_tools()
        if not self._reported:
            self._reported = True
            for line in self.problems():
                report(line)
        return self.tools

    async def session(self, name: str) -> "McpSession":
        """Return the session with the server `name`, started if necessary. Raises `UsageError` if it can't be used."""
        await self._opened()
        session = next((session for session in self.sessions if session.name == name), None)
        if session is not None and not session.problem:
            return session
        reason = f": {session.problem}" if session is not None else ""
        remedy = "" if is_mcp_installed() else f"MCP servers need the extra mcp: {install_command('mcp')}"
        raise UsageError(f"the MCP server {name} can't be used{reason}", remedy=remedy)

    async def _opened(self) -> None:
        if self._opening is None:
            # In its own context: the servers must not belong to the turn that happens to be the first.
            self._opening = asyncio.create_task(self._open(), context=contextvars.Context())
        await asyncio.shield(self._opening)

    @property
    def empty(self) -> bool:
        """Whether no tool is switched on."""
        return not self.servers and not self.builtin

    @property
    def starting(self) -> list[str]:
        """The servers that are still to be opened."""
        return [] if self._opening is not None and self._opening.done() else list(self.servers)

    def problems(self) -> Iterator[str]:
        """Yield a line for each server that is left out, and for commands that run unasked and not confined."""
        sandboxes = [tool.sandbox for tool in self.builtin if tool.sandbox is not None and tool.sandbox.is_on]
        if sandboxes and self.rules.is_wide() and not sandboxes[0].confines:
            yield "commands run without asking, and nothing confines them here: `chat doctor` says why"
        if self.servers and not is_mcp_installed():
            yield f"MCP servers need the extra mcp: {install_command('mcp')}"
        for session in self.sessions:
            if session.problem:
                yield f"the MCP server {session.name} is left out: {session.problem}"

    def register_reply(self, reply: Any, request: object) -> dict[str, Any]:
        """Return `reply`, which the user gives to `request` as it was shown, in the form that `read` takes."""
        self._plans.clear()  # the files may have changed while the user was thinking
        token = secrets.token_hex(16)
        self._replies[token] = _fingerprints(request)
        return {"reply": reply, "token": token}

    def read(self, registered: Any, request: Mapping[str, Any]) -> Any:
        """Return the user's reply to `request`.

        LangGraph keeps replies in the store, and gives all earlier ones again where a node asks twice. So each counts
        for the calls alone that it was given to, in this process: the store may hold other calls, and other replies.
        Raises `ValueError` if it was not given to exactly this request.
        """
        token = registered.get("token") if isinstance(registered, Mapping) else None
        if not isinstance(token, str) or self._replies.get(token) != _fingerprints(request):
            raise ValueError("what was shown is not what would be done now")
        return registered["reply"]

    def approve(self, call: ToolCall, file_digest: str | None = None, *, outside: bool = False) -> None:
        """Remember that the user approved `call`: as a change of that file, or `outside` of the sandbox."""
        self._approved[_fingerprint(call)] = file_digest
        if outside:
            self._outside.add(_fingerprint(call))

    def begin_answer(self) -> None:
        """Note that the model has answered: its calls are planned with the files as they are now."""
        self._plans.clear()

    def plan(self, tool: Tool, arguments: Arguments) -> "Change":
        """Return the change of a file that a call of `tool` stands for; see `changes.plan`.

        It is the same one until the user replies, so that an editor is not asked for the file again.
        """
        key = _fingerprint({"name": tool.name, "args": arguments})
        if key not in self._plans:
            from chatcli.tools.changes import plan

            self._plans[key] = plan(tool, arguments)
        return self._plans[key]

    def approved_file(self, call: ToolCall) -> str | None:
        """Return the digest of the file that `call` was shown to change; None if it was not shown."""
        return self._approved.get(_fingerprint(call))

    def access(self, tool: Tool, call: ToolCall, more: Iterable[str]) -> Access | None:
        """Return how far `call` of `tool` may reach, by a rule, or as the user approved it here; else None."""
        # The thread alone proves nothing: the store may come from another person.
        if _fingerprint(call) in self._outside:
            return "outside"
        if _fingerprint(call) in self._approved:
            return asked_access(tool, call["args"])
        return self.rules.access(tool, call["args"], more)

    def begin_served(self, task: str, server: str, work: Callable[[], Coroutine[Any, Any, Any]]) -> ServedCall:
        """Return the call that the graph's `task` makes to a tool of `server`: begun now if it does not run yet."""
        if task not in self._calls:
            [session] = [session for session in self.sessions if session.name == server]
            self._calls[task] = session.host.inbox.begin(work())
        return self._calls[task]

    def end_served(self, task: str) -> None:
        """Forget the call of `task`, which has ended."""
        self._calls.pop(task, None)

    async def stop_served(self) -> None:
        """Stop the calls of servers that run."""
        await asyncio.gather(*(call.stop() for call in self._calls.values()))
        self._calls.clear()

    async def close(self) -> None:
        """End every session; servers that were started here end too."""
        await self.stop_served()
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.wait([self._opening])
        await asyncio.gather(*(session.close() for session in self.sessions))

    async def _open(self) -> None:
        if self.servers and is_mcp_installed():
            # In a thread: importing the SDK takes a second.
            await asyncio.to_thread(importlib.import_module, "chatcli.tools.mcp_session")
            from chatcli.tools.mcp_host import Host
            from chatcli.tools.mcp_session import McpSession

            for name, server in self.servers.items():
                host = Host(name, self.announce, debug=self.debug, can_ask=self.can_ask)
                self.sessions.append(McpSession(name, server, host))
            await asyncio.gather(*(session.open(START_SECONDS) for session in self.sessions))
        self._name_tools()

    def _name_tools(self) -> None:
        self.tools = {tool.name: tool for tool in [*self.builtin, *self._served()]}

    def _served(self) -> Iterator[Tool]:
        """Yield the servers' tools; a name that is reserved, or occurs twice, gets the server's name in front."""
        times = Counter(_name(tool.name).casefold() for session in self.sessions for tool in session.tools)
        taken = {*RESERVED, *(tool.name.casefold() for tool in self.builtin)}
        unique = {name for name in times if times[name] == 1} - taken
        taken |= times.keys()
        for session in self.sessions:
            of_server: set[str] = set()
            for tool in session.tools:
                name = _free(tool.name, of_server)
                shown = name if name.casefold() in unique else _free(f"{session.name}_{name}", taken)
                yield Tool(
                    tool.model_copy(update={"name": shown}),
                    asks=partial(_asks, tool),
                    reads_only=(tool.metadata or {}).get("readOnlyHint") is True,
                    server=session.name,
                    served_name=name,
                )


def build_toolbox(
    settings: Settings,
    threads: Threads,
    announce: Callable[[Progress | Notice], None],
    *,
    can_ask: bool,
    workspace: Workspace | None = None,
) -> Toolbox:
    """Return the toolbox for `settings` beside the store's `threads`, whose tools work in `workspace`.

    Nothing is started yet. What happens is shown by `announce`. Raises `UsageError` if the file of MCP servers can't be
    read.
    """
    workspace = workspace or Workspace(Path.cwd())
    seconds = settings.tool_timeout or settings.timeout or TOOL_SECONDS
    builtin = builtin_tools(workspace, seconds, settings) if settings.tools is True else []
    return Toolbox(
        {} if settings.tools is False else settings.servers(),
        Rules(settings.allow, settings.tool_mode),
        builtin=[*builtin, *([thread_tool(threads)] if settings.recall and settings.tools is not False else [])],
        can_ask=can_ask,
        seconds=seconds,
        max_steps=settings.max_steps,
        announce=announce,
        debug=settings.debug,
        workspace=workspace,
    )


def _fingerprints(request: object) -> list[str]:
    """Return the fingerprints of the calls in a request for approval, and that of any other request."""
    actions = request.get("action_requests") if isinstance(request, Mapping) else None
    calls = [each for each in actions if isinstance(each, Mapping)] if isinstance(actions, list) else []
    if calls:
        return [_fingerprint(call) for call in calls]
    shown = {key: value for key, value in request.items() if key != "problem"} if isinstance(request, Mapping) else None
    return [json.dumps(shown, sort_keys=True, default=str)]


def _fingerprint(call: Mapping[str, Any]) -> str:
    """Return a text that is equal for equal calls, and equal changes of the same file."""
    parts = [call.get(key) for key in ("name", "args", "diff", "file_sha256")]
    return json.dumps(parts, sort_keys=True, default=str)


def _asks(tool: BaseTool, arguments: Arguments) -> bool:
    """Return whether calls need approval: all, unless the server declares that they only read its own data."""
    hints: Mapping[str, Any] = tool.metadata or {}
    return not (hints.get("readOnlyHint") is True and hints.get("openWorldHint") is False)


def _name(name: str) -> str:
    """Return `name` in the form that every provider accepts."""
    return _NOT_IN_NAMES.sub("_", name)[:_NAME_LENGTH]


def _free(name: str, taken: set[str]) -> str:
    """Return `name` in that form, with a number if it is among `taken`, which gets it."""
    name, free = _name(name), _name(name)
    for number in count(2):
        if free.casefold() not in taken:
            break
        free = f"{name[: _NAME_LENGTH - len(f'_{number}')]}_{number}"
    taken.add(free.casefold())
    return free


def builtin_tools(workspace: Workspace, seconds: float, settings: Settings) -> list[Tool]:
    """Return the tools that work in `workspace` as the `settings` say; each call takes at most `seconds`."""
    # Late: a conversation without them imports 12 modules less.
    from chatcli.tools.changes import change_tools
    from chatcli.tools.fetch import fetch_tool
    from chatcli.tools.files import file_tools
    from chatcli.tools.sandbox.confinement import Sandbox
    from chatcli.tools.shell import shell_tool

    root, editor, more = workspace.root, workspace.files, workspace.more
    sandbox = Sandbox(root, is_on=settings.sandbox, more=more)
    files = [*file_tools(root, seconds, editor, more), *change_tools(root, editor, more)]
    shell = shell_tool(sandbox, seconds, workspace.terminal)
    for tool in [*files, shell] if more else ():
        named = ", ".join(map(str, more))
        tool.runnable.description += f"\n\nThese folders may be used like the current one, by absolute paths: {named}"
    fetch = fetch_tool(seconds, allow_private=settings.allow_private_urls)
    return [*files, fetch, shell, *([] if settings.no_memory else [remember_tool(root)])]
