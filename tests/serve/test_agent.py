"""The agent of `chat acp` in this process: what it makes of an editor's requests, and which it refuses."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from acp.exceptions import RequestError

from chatcli.config.mcp_servers import McpServer
from chatcli.config.settings import Settings
from chatcli.conversation.compose import compose
from chatcli.conversation.conversation import Conversation
from chatcli.errors import AuthError, ChatcliError, MissingKeyError, NetworkError, RefusedError
from chatcli.serve.acp import agent as agent_module
from chatcli.serve.acp.agent import Agent
from chatcli.serve.acp.client import as_request_error
from chatcli.serve.acp.pipes import _encoded
from chatcli.tools.workspace import Workspace
from tests.fakes.openai_server import FakeOpenAI
from tests.serve.wire import Wire, client_of

SECRET = "sk-secret-0123456789"


class Opened:
    """An agent, the settings of the sessions that it opened, and the failures that it reported."""

    def __init__(self, model: FakeOpenAI, folder: Path, **settings: Any) -> None:
        self.sessions: dict[str, Settings] = {}
        self.workspaces: list[Workspace] = []
        self.failures: list[ChatcliError] = []
        self.wire = Wire()
        self.folder = folder
        chosen = {"model": "openai:gpt-fake", "base_url": model.base_url, **settings}

        def begin(settings: Settings, thread: str, stored: bool, workspace: Workspace) -> Conversation:
            self.sessions[thread] = settings
            self.workspaces.append(workspace)
            return replace(compose(settings, thread, stored=stored), workspace=workspace, can_ask=True).conversation()

        self.agent = Agent(
            Settings.load(chosen), "openai", lambda folder: Settings.load(chosen), begin, self.failures.append
        )
        self.agent._client.wire = cast("Any", self.wire)

    async def call(self, method: str, **params: Any) -> Any:
        return await asyncio.create_task(self.agent.handle(method, params, is_notification=False))

    async def new(self, **params: Any) -> str:
        return str(
            (await self.call("session/new", **{"cwd": str(self.folder), "mcpServers": [], **params}))["sessionId"]
        )


@asynccontextmanager
async def opened(model: FakeOpenAI, folder: Path, **settings: Any) -> AsyncIterator[Opened]:
    at = Opened(model, folder, **settings)
    try:
        yield at
    finally:
        await at.agent._stop()


async def test_the_servers_of_an_editor_are_taken_literally_and_replace_none_of_the_users(
    model: FakeOpenAI, own_folders: Path
) -> None:
    folder = own_folders / "project"
    folder.mkdir()
    mine = {"docs": {"command": "mine"}, "other": {"command": "other"}}
    async with opened(model, folder, mcp_servers=mine) as at:
        env = [{"name": "KEY", "value": "${HOME}"}]
        session = await at.new(
            mcpServers=[
                {"name": "docs", "command": "serve", "args": ["-x"], "env": env},
                {"name": "web", "type": "http", "url": "https://a/${HOME}", "headers": env},
                {"name": "plain", "type": "stdio", "command": "plain"},
            ]
        )
        servers = at.sessions[session].mcp_servers
    assert list(servers) == ["docs", "other", "docs-editor", "web", "plain"]
    assert servers["docs"].command == "mine"
    assert servers["docs-editor"] == McpServer(
        command="serve", args=("-x",), env={"KEY": "${HOME}"}, cwd=str(folder), literal=True
    )
    assert servers["web"] == McpServer(url="https://a/${HOME}", headers={"KEY": "${HOME}"}, type="http", literal=True)
    assert servers["plain"] == McpServer(command="plain", cwd=str(folder), literal=True)
    assert servers["docs-editor"].filled().env == {"KEY": "${HOME}"}


SERVER = {"name": "a", "command": "b"}


@pytest.mark.parametrize(
    ("method", "params", "problem"),
    [
        ("session/new", {"cwd": 5}, "cwd must be a text"),
        ("session/new", {"cwd": "."}, "absolute path of a folder"),
        ("session/new", {"cwd": "/no/such/folder"}, "absolute path of a folder"),
        ("session/new", {"cwd": __file__}, "absolute path of a folder"),
        ("session/new", {"mcpServers": "a"}, "mcpServers must be a list"),
        ("session/new", {"mcpServers": ["a"]}, "must be an object"),
        ("session/new", {"mcpServers": [{"command": "b"}]}, "name must be a text"),
        ("session/new", {"mcpServers": [{**SERVER, "args": "x"}]}, "args of the MCP server a"),
        ("session/new", {"mcpServers": [{**SERVER, "args": [1]}]}, "args of the MCP server a"),
        ("session/new", {"mcpServers": [{**SERVER, "env": {"A": "b"}}]}, "must be a list of objects"),
        ("session/new", {"mcpServers": [{**SERVER, "env": [{"name": "A"}]}]}, "value must be a text"),
        ("session/new", {"mcpServers": [{**SERVER, "type": "pigeon"}]}, "transport that is not known"),
        ("session/new", {"additionalDirectories": [__file__]}, "absolute paths of folders"),
        ("session/load", {"sessionId": "a\nb"}, "Invalid params"),
        ("session/load", {"sessionId": 5}, "sessionId must be a text"),
        ("session/list", {"cursor": "1" * 16}, "cursor"),
        ("session/list", {"cursor": 1}, "cursor"),
        ("authenticate", {"methodId": "nobody-key"}, "no authentication method"),
        ("authenticate", {"methodId": "openai"}, "no authentication method"),
    ],
)
async def test_a_request_that_can_not_be_used_is_refused_with_its_reason(
    model: FakeOpenAI, own_folders: Path, method: str, params: dict[str, Any], problem: str
) -> None:
    async with opened(model, own_folders) as at:
        with pytest.raises(RequestError, match=problem) as refused:
            await at.call(method, **{"cwd": str(own_folders), "mcpServers": [], **params})
        assert refused.value.code == -32602
        assert not at.sessions
        assert not at.failures


async def test_what_is_not_known_is_an_error_only_where_an_answer_is_awaited(
    model: FakeOpenAI, own_folders: Path
) -> None:
    async with opened(model, own_folders) as at:
        assert await asyncio.create_task(at.agent.handle("$/extension", {}, is_notification=True)) is None
        assert (
            await asyncio.create_task(at.agent.handle("session/cancel", {"sessionId": "none"}, is_notification=True))
            is None
        )
        with pytest.raises(RequestError) as refused:
            await at.call("$/extension")
        assert refused.value.code == -32601


async def test_sessions_are_listed_by_their_folder_however_it_is_named(
    model: FakeOpenAI, own_folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agent_module, "PAGE", 1)
    one, two, three, link = (own_folders / name for name in ("one", "two", "three", "link"))
    for folder in (one, two, three):
        folder.mkdir()
    link.symlink_to(one)
    async with opened(model, own_folders) as at:
        ids = {folder: await at.new(cwd=str(folder)) for folder in (one, two, three)}
        for session in ids.values():
            await at.call("session/prompt", sessionId=session, prompt=[{"type": "text", "text": "hi"}])
        for given, expected in ((one, [ids[one]]), (two, [ids[two]]), (link, [ids[one]]), (own_folders, [])):
            listed = (await at.call("session/list", cwd=str(given)))["sessions"]
            assert [each["sessionId"] for each in listed] == expected
        first = await at.call("session/list")
        second = await at.call("session/list", cursor=first["nextCursor"])
        third = await at.call("session/list", cursor=second["nextCursor"])
        shown = [each["cwd"] for page in (first, second, third) for each in page["sessions"]]
        assert shown == [str(three), str(two), str(one)]
        assert "nextCursor" not in third


async def test_a_thread_that_is_opened_again_is_opened_once_and_needs_no_key_to_be_read(
    model: FakeOpenAI, own_folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(model, own_folders) as at:
        session = await at.new()
        await at.call("session/prompt", sessionId=session, prompt=[{"type": "text", "text": "hi"}])
        before = at.agent._sessions[session].conversation.engine
        opened_before = await before.get()
        closed: list[bool] = []

        async def close() -> None:
            closed.append(True)
            await end()

        end, opened_before.close = opened_before.close, close  # type: ignore[method-assign]  # the real one is called
        at.wire.updates.clear()
        await at.call("session/resume", sessionId=session, cwd=str(own_folders))
        assert "user_message_chunk" not in str(at.wire.updates)
        assert closed == [True]
        await at.call("session/load", sessionId=session, cwd=str(own_folders))
        assert "user_message_chunk" in str(at.wire.updates)
    monkeypatch.delenv("OPENAI_API_KEY")
    async with opened(model, own_folders, base_url=None) as at:
        with pytest.raises(RequestError, match="OPENAI_API_KEY is not set"):
            await at.new()
        await at.call("session/load", sessionId=session, cwd=str(own_folders))
        assert "user_message_chunk" in str(at.wire.updates)


async def test_a_failure_is_reported_and_sent_without_the_key(model: FakeOpenAI, own_folders: Path) -> None:
    async with opened(model, own_folders, openai_api_key=SECRET) as at:

        def fail(folder: Path) -> Settings:
            raise RefusedError(f"the server says: {SECRET} is wrong")

        at.agent._reread = fail
        with pytest.raises(RequestError, match=r"the server says: \*\*\* is wrong") as refused:
            await at.new()
        assert SECRET not in str(refused.value.data)
        [failure] = at.failures
        assert isinstance(failure, RefusedError)


async def test_a_fork_goes_on_with_the_rules_of_its_thread(model: FakeOpenAI, own_folders: Path) -> None:
    async with opened(model, own_folders) as at:
        session = await at.new()
        await at.call("session/prompt", sessionId=session, prompt=[{"type": "text", "text": "hi"}])
        backend = at.agent._sessions[session].conversation.backend
        backend.grants(session).name("documents", ["/a"])
        copy = (await at.call("session/fork", sessionId=session, cwd=str(own_folders), mcpServers=[]))["sessionId"]
        assert backend.grants(copy).documents == ["/a"]
        await at.call("session/delete", sessionId=session)
        assert backend.grants(session).documents is None
        assert backend.grants(copy).documents == ["/a"]


async def test_what_an_editor_is_offered_depends_on_what_answers(model: FakeOpenAI, own_folders: Path) -> None:
    async with opened(model, own_folders) as at:
        able = (await at.call("initialize", clientCapabilities="nonsense"))["agentCapabilities"]
        assert able["mcpCapabilities"]["http"]
        assert "additionalDirectories" in able["sessionCapabilities"]
        at.agent._provider = ""  # as with a graph
        said = await at.call("initialize")
        assert not said["agentCapabilities"]["mcpCapabilities"]["http"]
        assert "additionalDirectories" not in said["agentCapabilities"]["sessionCapabilities"]
        assert said["authMethods"] == []


async def test_a_key_is_asked_for_only_where_one_is_missing(
    model: FakeOpenAI, own_folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(model, own_folders) as at:
        assert (await at.call("initialize"))["authMethods"] == []
    monkeypatch.delenv("OPENAI_API_KEY")
    async with opened(model, own_folders, base_url=None) as at:
        for capabilities, types in (({}, ["env_var"]), ({"_meta": {"terminal-auth": True}}, ["env_var", "terminal"])):
            said = await at.call("initialize", clientCapabilities=capabilities)
            assert [method["type"] for method in said["authMethods"]] == types


def test_a_failure_is_sent_without_keys_and_says_whether_to_try_again() -> None:
    def clean(text: str) -> str:
        return text.replace(SECRET, "***")

    sent = as_request_error(RefusedError(f"no {SECRET}", remedy=f"Use {SECRET}."), clean)
    assert (sent.code, str(sent)) == (-32603, "no ***. Use ***.")
    assert SECRET not in str(sent.data)
    again = as_request_error(NetworkError("no"), clean)
    assert [(error.data or {})["retryable"] for error in (sent, again)] == [False, True]
    for error in (AuthError("a"), MissingKeyError("b", remedy="", provider="openai")):
        assert as_request_error(error, clean).code == -32000
    missing = as_request_error(MissingKeyError("b", remedy="", provider="openai"), clean).data or {}
    assert missing["variable"] == "OPENAI_API_KEY"


def test_a_capability_may_be_an_empty_object_and_false_is_none() -> None:
    client = client_of(Wire(), fs={"readTextFile": True, "writeTextFile": False}, terminal={}, auth=None)
    offered = [("fs",), ("fs", "readTextFile"), ("terminal",)]
    missing = [("fs", "writeTextFile"), ("fs", "other"), ("terminal", "x"), ("auth",), ("auth", "terminal")]
    assert all(client.offers(*names) for names in offered)
    assert not any(client.offers(*names) for names in missing)


async def test_an_update_for_an_editor_that_is_gone_is_dropped() -> None:
    wire = Wire()
    wire.gone = True
    await client_of(wire).update("s", {"sessionUpdate": "plan"})
    assert wire.updates == []


@pytest.mark.parametrize(
    ("message", "line"),
    [
        ({"a": float("nan")}, b'{"a":"NaN"}\n'),
        ({"a": Path("/x")}, b'{"a":"/x"}\n'),
        ({"a": "\u00e9\n"}, b'{"a":"\xc3\xa9\\n"}\n'),
        ({"a": "\ud800"}, b'{"a":"?"}\n'),
    ],
)
def test_whatever_a_message_holds_is_one_line_of_json(message: Any, line: bytes) -> None:
    assert _encoded(message) == line
