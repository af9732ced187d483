"""An editor for tests: the SDK's own client, on pipes to the program."""

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from acp import Client, RequestError, connect_to_agent, text_block

from tests.e2e.forkserver import Process
from tests.e2e.program import EXECUTABLE, Chat
from tests.waiting import WAIT_SECONDS

LIMIT = 50 * 1024 * 1024
FORMS: Mapping[str, Any] = {"elicitation": {"form": {}}}
FILES: Mapping[str, Any] = {"fs": {"readTextFile": True, "writeTextFile": True}}


@dataclass
class Editor:
    """What a user sees and does in an editor.

    Attributes:
        choose: Returns the ID of the option that the user chooses, None to cancel.
        fill: Returns what the user fills into a form, None to decline.
        buffers: The texts of open files, which are not saved.
        missing: The text that it gives for a file that does not exist; None for an error.
        reads: The files that were read, in order.

    """

    capabilities: Mapping[str, Any] = field(default_factory=dict)
    choose: Callable[[Mapping[str, Any], list[dict[str, Any]]], str | None] = lambda call, options: None
    fill: Callable[[str, Mapping[str, Any]], Mapping[str, Any] | None] = lambda message, schema: None
    buffers: dict[str, str] = field(default_factory=dict)
    missing: str | None = None
    reads: list[str] = field(default_factory=list)
    updates: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    asked: list[tuple[dict[str, Any], list[dict[str, Any]]]] = field(default_factory=list)
    forms: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    terminals: list[dict[str, Any]] = field(default_factory=list)
    ended: list[tuple[str, str]] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def session_update(self, session_id: str, update: Any, **_: Any) -> None:
        self.updates.setdefault(session_id, []).append(plain(update))
        self.changed.set()

    async def request_permission(self, session_id: str, tool_call: Any, options: Any, **_: Any) -> Any:
        self.asked.append((plain(tool_call), [plain(option) for option in options]))
        self.changed.set()
        chosen = self.choose(*self.asked[-1])
        if chosen == "never":
            await asyncio.Event().wait()
        if chosen is None:
            return {"outcome": {"outcome": "cancelled"}}
        return {"outcome": {"outcome": "selected", "optionId": chosen}}

    async def create_elicitation(self, message: str, mode: Any, **_: Any) -> Any:
        schema = plain(mode.requested_schema)
        self.forms.append((message, schema))
        content = self.fill(message, schema)
        return {"action": "decline"} if content is None else {"action": "accept", "content": content}

    async def read_text_file(self, session_id: str, path: str, **_: Any) -> Any:
        self.reads.append(path)
        if path in self.buffers:
            return {"content": self.buffers[path]}
        if self.missing is not None:
            return {"content": self.missing}
        if not await asyncio.to_thread(Path(path).exists):
            raise RequestError.resource_not_found(path)
        return {"content": await asyncio.to_thread(Path(path).read_text)}

    async def write_text_file(self, session_id: str, path: str, content: str, **_: Any) -> Any:
        self.buffers[path] = content
        return {}

    async def create_terminal(self, session_id: str, command: str, **given: Any) -> Any:
        self.terminals.append({"command": command, **given})
        return {"terminalId": f"terminal-{len(self.terminals)}"}

    async def wait_for_terminal_exit(self, session_id: str, terminal_id: str, **_: Any) -> Any:
        if "forever" in " ".join(self.terminals[-1]["args"]):
            self.changed.set()
            await asyncio.Event().wait()
        return {"exitCode": 0}

    async def terminal_output(self, session_id: str, terminal_id: str, **_: Any) -> Any:
        return {"output": "shown in the editor\n", "truncated": False}

    async def kill_terminal(self, session_id: str, terminal_id: str, **_: Any) -> Any:
        self.ended.append(("kill", terminal_id))
        return {}

    async def release_terminal(self, session_id: str, terminal_id: str, **_: Any) -> Any:
        self.ended.append(("release", terminal_id))
        return {}

    def on_connect(self, conn: Any) -> None:
        pass

    def kinds(self, session_id: str) -> list[str]:
        """The kinds of the updates of a session."""
        return [update["sessionUpdate"] for update in self.updates.get(session_id, [])]

    def text(self, session_id: str, kind: str = "agent_message_chunk") -> str:
        """What the agent said in a session."""
        chunks = self.of(session_id, kind)
        return "".join(chunk["content"].get("text", "") for chunk in chunks)

    def of(self, session_id: str, kind: str) -> list[dict[str, Any]]:
        """The updates of one kind."""
        return [update for update in self.updates.get(session_id, []) if update["sessionUpdate"] == kind]

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until `condition` holds after an update or a request."""
        async with asyncio.timeout(WAIT_SECONDS):
            while not condition():
                self.changed.clear()
                await self.changed.wait()


def plain(model: Any) -> dict[str, Any]:
    """Return a message as it was sent."""
    found: dict[str, Any] = model.model_dump(mode="json", by_alias=True, exclude_none=True)
    return found


@dataclass
class Connected:
    """A connection to a running agent."""

    editor: Editor
    agent: Any
    process: Process
    cwd: str

    async def new(self, **given: Any) -> str:
        """Open a new session."""
        opened = await self.agent.new_session(**{"cwd": self.cwd, "mcp_servers": [], **given})
        found: str = opened.session_id
        return found

    async def load(self, session_id: str) -> None:
        """Open a session that there is, with all that was said in it."""
        await self.agent.load_session(cwd=self.cwd, session_id=session_id, mcp_servers=[])

    async def ask(self, session_id: str, text: str) -> str:
        """Send a prompt, and return why it ended."""
        done = await self.agent.prompt(session_id=session_id, prompt=[text_block(text)])
        reason: str = done.stop_reason
        return reason

    async def call(self, method: str, **params: Any) -> Any:
        """Send a request that the SDK's client has no method for."""
        return await self.agent._conn.send_request(method, params)


@asynccontextmanager
async def connected(chat: Chat, *args: str, editor: Editor | None = None) -> AsyncIterator[Connected]:
    """Start `chat acp ARGS` with an editor at its pipes; at the end, it has to end by itself."""
    editor = editor or Editor()
    (theirs_in, ours_out), (ours_in, theirs_out) = os.pipe(), os.pipe()
    log = os.open(chat.home.root / "acp.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    streams = (theirs_in, theirs_out, log)
    process = start(chat, ("acp", *args), streams)
    for descriptor in streams:
        os.close(descriptor)
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=LIMIT)
    reading, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(ours_in, "rb"))
    writing, protocol = await loop.connect_write_pipe(asyncio.streams.FlowControlMixin, os.fdopen(ours_out, "wb"))
    writer = asyncio.StreamWriter(writing, protocol, None, loop)
    agent: Any = connect_to_agent(cast("Client", editor), writer, reader, use_unstable_protocol=True)
    try:
        async with asyncio.timeout(WAIT_SECONDS):
            await agent.initialize(protocol_version=1, client_capabilities=editor.capabilities)
            yield Connected(editor, agent, process, str(chat.home.work))
    finally:
        await agent.close()
        writing.close()
        reading.close()
        try:
            await asyncio.to_thread(process.wait, WAIT_SECONDS)
        finally:
            process.kill()


def start(chat: Chat, args: tuple[str, ...], streams: tuple[int, int, int]) -> Process:
    """Start the program on `streams`."""
    forked = chat.forks.start(args, chat.home.env, chat.home.work, streams) if chat.forks is not None else None
    if forked is not None:
        return forked
    stdin, stdout, stderr = streams
    command = [str(EXECUTABLE), *args]
    return subprocess.Popen(command, env=chat.home.env, cwd=chat.home.work, stdin=stdin, stdout=stdout, stderr=stderr)
