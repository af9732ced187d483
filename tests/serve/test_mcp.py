"""`chat mcp`: the SDK's own client over pipes and over HTTP, another `chat`, and a kill of either side."""

import asyncio
import json
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from threading import Event
from typing import Any, Literal

import httpx
import httpx2
import psutil
import pytest
from mcp import Client, ClientSession, MCPError, StdioServerParameters, stdio_client, types
from mcp.client.streamable_http import streamable_http_client
from mcp.client.subscriptions import ResourcesListChanged, ResourceUpdated

from tests.conftest import KEY
from tests.e2e.checks import assert_reported
from tests.e2e.program import EXECUTABLE, Chat, Home, has_ended
from tests.fakes.openai_server import FakeOpenAI
from tests.fakes.steps import Answer, Gated, call, unauthorized
from tests.waiting import WAIT_SECONDS, wait_until

GRAPHS = Path(__file__).parent.parent / "sample_graphs"
TOKEN = "a-token-of-this-test-0123456789"
HELLO = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}


def command_of(chat: Chat, *args: str) -> StdioServerParameters:
    """Return what starts `chat mcp ARGS`."""
    assert chat.forks is not None
    [program] = chat.forks.command()
    return StdioServerParameters(command=program, args=["mcp", *args], env=chat.home.env, cwd=chat.home.work)


@asynccontextmanager
async def connected(chat: Chat, *args: str) -> AsyncIterator[ClientSession]:
    """Start `chat mcp ARGS` and give a session with it, of the versions before 2026-07-28."""
    async with stdio_client(command_of(chat, *args)) as streams, ClientSession(*streams) as session:
        await session.initialize()
        yield session


def text_of(result: types.CallToolResult) -> str:
    """Return the text of a result."""
    [content] = result.content
    assert isinstance(content, types.TextContent)
    return content.text


def value_of(result: types.CallToolResult) -> dict[str, Any]:
    """Return the structured result of a call that succeeded."""
    assert not result.is_error, result
    assert isinstance(result.structured_content, dict)
    return result.structured_content


class Raw:
    """`chat mcp ARGS` as an executable, with its pipes."""

    def __init__(self, home: Home, *args: str) -> None:
        self.process = process = subprocess.Popen(
            [EXECUTABLE, "mcp", *args],
            env=home.env,
            cwd=home.work,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        self.stdin, self.stdout, self.stderr = process.stdin, process.stdout, process.stderr

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        for stream in (self.stdin, self.stdout, self.stderr):
            stream.close()

    def send(self, *lines: str | dict[str, Any]) -> None:
        for line in lines:
            text = line if isinstance(line, str) else json.dumps({"jsonrpc": "2.0", **line})
            self.stdin.write(text.encode() + b"\n")
        self.stdin.flush()

    def receive(self) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(self.stdout.readline())
        return message

    def begin(self) -> None:
        self.send({"id": 0, "method": "initialize", "params": HELLO}, {"method": "notifications/initialized"})
        assert self.receive()["id"] == 0


@pytest.fixture
def raw(home: Home) -> Iterator[Callable[..., Raw]]:
    """Give what starts the program with its pipes."""
    with ExitStack() as stack:

        def start(*args: str) -> Raw:
            started = Raw(home, *args)
            stack.callback(started.close)
            return started

        yield start


async def test_a_client_asks_searches_and_reads(chat: Chat, fake: FakeOpenAI) -> None:
    fake.script(Answer("The sky scatters blue light."), Answer("Red light is left."), unauthorized(KEY))
    (chat.home.work / "docs").mkdir()
    (chat.home.work / "docs" / "setup.md").write_text("# Setup\n\nThe frobnicator needs a licence.\n")
    (chat.home.work / "docs" / ".env").write_text("SECRET=frobnicator licence\n")
    pieces: list[tuple[float, str | None]] = []

    async def note(progress: float, total: float | None, message: str | None) -> None:
        pieces.append((progress, message))

    assert chat("docs", "index", "docs").returncode == 0
    async with connected(chat) as session:
        tools = {tool.name: tool for tool in (await session.list_tools()).tools}
        assert set(tools) == {"ask", "list_threads", "search_threads", "read_thread", "search_documents"}
        asked = await session.call_tool("ask", {"question": "why is it blue?", "thread": None}, progress_callback=note)
        first = value_of(asked)
        assert first["content"] == text_of(asked) == "The sky scatters blue light."
        assert first["model"] == "openai:gpt-fake"
        assert "".join(message or "" for _, message in pieces) == first["content"]
        assert [done for done, _ in pieces] == sorted({done for done, _ in pieces})
        thread = first["thread_id"]
        second = value_of(
            await session.call_tool("ask", {"question": "and red?", "thread": thread, "model": "openai:gpt-fake-mini"})
        )
        assert (second["thread_id"], second["model"]) == (thread, "openai:gpt-fake-mini")
        assert [text for _, text in fake.requests[1].messages][-3:] == ["why is it blue?", first["content"], "and red?"]

        listed = value_of(await session.call_tool("list_threads", {}))["threads"]
        assert [(one["thread_id"], one["turns"]) for one in listed] == [(thread, 2)]
        [found] = value_of(await session.call_tool("search_threads", {"text": "scatters"}))["matches"]
        assert (found["thread_id"], found["snippet"]) == (thread, "The sky scatters blue light.")
        read = value_of(await session.call_tool("read_thread", {"thread_id": thread[:8], "limit": 2, "skip": 1}))
        assert read["thread"] == read["thread_id"] == first["thread"] == thread
        assert [(one["role"], one["content"]) for one in read["messages"]] == [
            ("assistant", "The sky scatters blue light."),
            ("user", "and red?"),
        ]
        assert read["total"] == 4

        [resource] = (await session.list_resources()).resources
        assert str(resource.uri) == f"thread:///{thread}"
        [template] = (await session.list_resource_templates()).resource_templates
        assert template.uri_template == "thread:///{id}"
        [page] = (await session.read_resource(resource.uri)).contents
        assert isinstance(page, types.TextResourceContents)
        assert "Red light is left." in page.text
        reference = types.ResourceTemplateReference(type="ref/resource", uri=template.uri_template)
        completed = await session.complete(reference, {"name": "id", "value": thread[:4]})
        assert completed.completion.values == [thread]

        prompts = {prompt.name: prompt for prompt in (await session.list_prompts()).prompts}
        [argument] = prompts["translator"].arguments or []
        assert (argument.name, argument.required) == ("language", False)
        prompt = await session.get_prompt("translator", {"language": "Klingon"})
        assert isinstance(content := prompt.messages[0].content, types.TextContent)
        assert "Klingon" in content.text

        [passage] = value_of(await session.call_tool("search_documents", {"text": "frobnicator licence"}))["passages"]
        assert (passage["path"], passage["text"]) == ("docs/setup.md", "# Setup\n\nThe frobnicator needs a licence.")
        allowed = await session.call_tool("search_documents", {"text": "licence", "documents": ["docs/setup.md"]})
        assert len(value_of(allowed)["passages"]) == 1

        for name, arguments, problem in (
            ("ask", {"question": " "}, "the question is empty"),
            ("ask", {"question": "hi", "thread": "a\nb"}, "thread"),
            ("ask", {"question": "hi", "model": "anthropic:claude-x"}, "ANTHROPIC_API_KEY"),
            ("ask", {"question": "hi", "documents": ["/etc/passwd"]}, "not among the documents"),
            ("ask", {"question": "hi", "documents": ["/no/such/file"]}, "not among the documents"),
            ("search_documents", {"text": "x", "documents": ["docs/.env"]}, "not among the documents"),
            ("search_documents", {"text": "x", "documents": [".."]}, "not among the documents"),
            ("read_thread", {"thread": "nothing"}, "there is no thread"),
            ("list_threads", {"limit": 0}, "limit"),
            ("list_threads", {"delete": True}, "delete"),
            ("ask", {"question": "what is my key?"}, "key"),
        ):
            refused = await session.call_tool(name, arguments)
            assert refused.is_error, refused
            assert problem in text_of(refused)
            assert text_of(refused).count("\n") <= 1
            assert KEY not in text_of(refused)
        for wrong, code in (
            (session.call_tool("delete_thread", {}), types.INVALID_PARAMS),
            (session.read_resource("thread:///nothing"), -32002),
            (session.read_resource("file:///etc/passwd"), -32002),
            (session.get_prompt("nobody"), types.INVALID_PARAMS),
            (session.get_prompt("translator", {"nonsense": "x"}), types.INVALID_PARAMS),
        ):
            assert await code_of(wrong) == code


async def test_a_client_of_2026_07_28_begins_no_session_and_hears_of_changed_threads(
    chat: Chat, fake: FakeOpenAI
) -> None:
    fake.script(Answer("The sky scatters blue light."), Answer("Red light is left."))
    pieces: list[str | None] = []

    async def note(progress: float, total: float | None, message: str | None) -> None:
        pieces.append(message)

    async with Client(command_of(chat)) as client:
        assert client.protocol_version == "2026-07-28"
        assert "threads" in (client.instructions or "")
        asked = await client.call_tool("ask", {"question": "blue?"}, progress_callback=note)
        thread = value_of(asked)["thread_id"]
        assert "".join(map(str, pieces)) == "The sky scatters blue light."
        uri = f"thread:///{thread}"
        async with client.listen(resources_list_changed=True, resource_subscriptions=[uri]) as changes:
            await client.call_tool("ask", {"question": "red?", "thread_id": thread})
            assert [await anext(changes), await anext(changes)] == [ResourcesListChanged(), ResourceUpdated(uri)]
        [page] = (await client.read_resource(uri)).contents
        assert isinstance(page, types.TextResourceContents)
        assert "Red light is left." in page.text
        assert await code_of(client.read_resource("thread:///nothing")) == types.INVALID_PARAMS


async def code_of(request: Coroutine[Any, Any, Any]) -> int:
    """Return the code of the error that `request` gets."""
    with pytest.raises(MCPError) as caught:
        await request
    return caught.value.error.code


async def test_requests_run_side_by_side_and_turns_on_one_thread_in_turn(chat: Chat, fake: FakeOpenAI) -> None:
    gates = [Event(), Event()]
    fake.script(Gated("one", gates[0], "."), Gated("two", gates[1], "."))

    async with connected(chat) as session:
        first = asyncio.create_task(session.call_tool("ask", {"question": "1", "thread": "a"}))
        second = asyncio.create_task(session.call_tool("ask", {"question": "2", "thread": "b"}))
        third = asyncio.create_task(session.call_tool("ask", {"question": "3", "thread": "a"}))
        await asyncio.to_thread(fake.wait_for_requests, 2)
        await session.call_tool("list_threads", {})
        for gate in gates:
            gate.set()
        for asked in (first, second, third):
            value_of(await asked)
        read = value_of(await session.call_tool("read_thread", {"thread": "a"}))
        assert len(read["messages"]) == 4


@pytest.mark.parametrize(
    "words",
    [["--no-save"], ["serve", "--no-save", "--no-memory", "--no-instructions", "--recall"], ["--no-save", "serve"]],
)
async def test_threads_in_memory_last_as_long_as_the_server(chat: Chat, fake: FakeOpenAI, words: list[str]) -> None:
    async with connected(chat, *words) as session:
        await session.call_tool("ask", {"question": "I'm Bob", "thread": "work"})
        [thread] = value_of(await session.call_tool("list_threads", {}))["threads"]
        assert thread["thread_id"] == "work"
        read = value_of(await session.call_tool("read_thread", {"thread": "work"}))
        assert [one["content"] for one in read["messages"]] == ["I'm Bob", "You said: I'm Bob"]
    assert chat("threads", "list", "--json").json() == []


async def test_what_only_the_user_can_answer_is_left_pending(chat: Chat, home: Home) -> None:
    (home.work / "app.py").write_text(
        "import os\n"
        "from langgraph.graph import START, MessagesState, StateGraph\n"
        "from langgraph.types import interrupt\n"
        "def ask(state):\n"
        "    print('noise'); os.system('echo more noise; cat')\n"
        "    return {'messages': [('ai', interrupt({'question': 'Shall I?'}))]}\n"
        "builder = StateGraph(MessagesState)\nbuilder.add_node(ask)\nbuilder.add_edge(START, 'ask')\n"
        "graph = builder.compile()\n"
    )

    async with connected(chat, "--graph", "app.py:graph") as session:
        asked = await session.call_tool("ask", {"question": "go", "thread": "t"})
        value = value_of(asked)
        assert (value["finish_reason"], value["approvals"]) == ("interrupt", [{"question": "Shall I?"}])
        assert "Only the user can answer" in text_of(asked)
        again = await session.call_tool("ask", {"question": "yes"})
        assert value_of(again)["thread_id"] != "t"
        refused = await session.call_tool("ask", {"question": "approve", "thread": "t"})
        assert refused.is_error

    async with connected(chat, "-m", "openai:gpt-fake") as session:
        refused = await session.call_tool("ask", {"question": "go", "thread": "t"})
        assert refused.is_error
        assert "belongs to the graph" in text_of(refused)


async def test_a_tool_that_no_rule_allows_is_refused_and_said(chat: Chat, fake: FakeOpenAI) -> None:
    fake.script(call("run_shell", command="touch here"), Answer("I may not."))

    async with connected(chat, "--tools") as session:
        value = value_of(await session.call_tool("ask", {"question": "touch it"}))
        assert value["content"] == "I may not."
        assert "--allow" in "".join(value["notices"])
    assert "needs the user's approval" in fake.requests[1].results[0]
    assert not (chat.home.work / "here").exists()


@pytest.mark.executable
def test_a_question_that_is_cancelled_keeps_what_has_arrived(
    raw: Callable[..., Raw], fake: FakeOpenAI, chat: Chat
) -> None:
    fake.script(Gated("Half an answer", Event(), ""))
    server = raw()
    server.begin()
    arguments = {"question": "tell me", "thread": "t"}
    asked = {"name": "ask", "arguments": arguments, "_meta": {"progressToken": "p"}}
    server.send({"id": 1, "method": "tools/call", "params": asked})
    assert server.receive()["params"] == {
        "progressToken": "p",
        "progress": len("Half an answer"),
        "message": "Half an answer",
    }
    server.send({"method": "notifications/cancelled", "params": {"requestId": 1}})  # which is not answered
    fake.wait_for_disconnects(1)
    server.stdin.close()
    assert server.process.wait(WAIT_SECONDS) == 0
    assert [(one["content"], one["interrupted"]) for one in chat.messages("t")] == [
        ("tell me", False),
        ("Half an answer", True),
    ]


@pytest.mark.executable
def test_standard_output_carries_the_protocol_alone(raw: Callable[..., Raw]) -> None:
    server = raw()
    server.send({"id": 0, "method": "tools/list"})
    assert "error" in server.receive()  # it comes before the beginning
    server.begin()
    server.send("nonsense", "[1]", {"id": "x", "method": "no/such"}, {"id": 1, "method": "tools/call", "params": {}})
    answers = [server.receive() for _ in range(4)]
    assert [(one["id"], one["error"]["code"]) for one in answers] == [
        (None, types.PARSE_ERROR),
        (None, types.INVALID_REQUEST),
        ("x", types.METHOD_NOT_FOUND),
        (1, types.INVALID_PARAMS),
    ]
    server.process.send_signal(signal.SIGTERM)
    out, error = server.process.communicate(timeout=WAIT_SECONDS)
    assert (server.process.returncode, out, error) == (130, b"", b"")


@pytest.mark.executable
def test_nothing_heavy_is_imported_before_the_beginning(home: Home) -> None:
    request = json.dumps({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": HELLO})
    # It ends with its input, so what it imports is what the answer takes.
    done = subprocess.run(
        [sys.executable, "-X", "importtime", EXECUTABLE, "mcp", "-m", "openai:gpt-fake"],
        input=request.encode() + b"\n",
        env=home.env,
        cwd=home.work,
        capture_output=True,
        check=True,
    )
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.decode().splitlines()}
    assert "mcp" in imported
    # The SDK's server imports starlette and uvicorn itself, whatever the transport.
    assert not imported & {"langgraph", "langchain_core", "langsmith", "openai", "sqlite3"}


def other_chat(home: Home, program: Path) -> tuple[str, ...]:
    """Write down that `program` is the MCP server `inner` of a `chat`, and return that one's options."""
    inner = {"command": str(program), "args": ["mcp", "--store", "sqlite:///inner.db"], "env": home.env}
    (home.work / "servers.json").write_text(json.dumps({"mcpServers": {"inner": inner}}))
    return "--mcp", "servers.json", "--allow", "inner/*", "--no-save"


def test_two_chats_talk(chat: Chat, fake: FakeOpenAI) -> None:
    assert chat.forks is not None
    options = other_chat(chat.home, Path(chat.forks.command()[0]))
    fake.script(call("ask", question="inside?", thread="in"), Answer("from inside"), Answer("it said so"))
    done = chat(*options, "ask the other")
    assert done.stdout == "it said so\n", done
    assert fake.requests[2].results == ["from inside"]


@pytest.mark.executable
@pytest.mark.parametrize("kills_client", [True, False])
def test_of_two_chats_either_may_be_killed(chat: Chat, home: Home, fake: FakeOpenAI, kills_client: bool) -> None:
    fake.script(call("ask", question="inside?", thread="in"), Gated("Half", Event(), ""))
    running = chat.start(*other_chat(home, EXECUTABLE), "ask the other")
    fake.wait_for_requests(2)
    children = psutil.Process(running.process.pid).children(recursive=True)
    [server] = [child for child in children if "mcp" in child.cmdline()]
    if kills_client:
        running.signal(signal.SIGKILL)
    else:
        server.kill()
    fake.wait_for_disconnects(1)
    wait_until(lambda: has_ended(server))
    if not kills_client:
        assert running.finish().returncode == 0
        assert "Connection closed" in fake.requests[-1].results[-1]
    # No lock is left on the thread of the inner one.
    done = Chat(home, chat.reader)("--store", "sqlite:///inner.db", "-t", "in", "go on")
    assert done.stdout.startswith("You said: ")
    assert "another chat is answering" not in done.stderr


@pytest.mark.executable
def test_over_http_clients_need_the_token_and_no_page_can_be_one(
    home: Home, raw: Callable[..., Raw], fake: FakeOpenAI
) -> None:
    home.env["CHATCLI_MCP_TOKEN"] = TOKEN
    server = raw("--http", "0", "-m", "openai:gpt-fake")
    match = re.match(r"MCP server: (http://127\.0\.0\.1:\d+/mcp)\n", server.stderr.readline().decode())
    assert match is not None
    url = match[1]
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    accept = {"Accept": "application/json, text/event-stream"}
    begin = {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": HELLO}

    def status(**headers: str) -> int:
        named = {name.capitalize(): value for name, value in headers.items()}
        return httpx.post(url, json=begin, headers={**accept, **named}).status_code

    assert status() == 401
    assert status(authorization=f"Bearer {TOKEN[:-1]}") == 401
    assert status(**bearer, host="attacker.example") == 421
    assert status(**bearer, origin="http://attacker.example") == 403
    assert httpx.get(url.replace("/mcp", "/other"), headers=bearer).status_code == 404

    async def talk_over_http(question: str, version: Literal["legacy", "2026-07-28"]) -> str:
        pieces: list[str] = []

        async def note(progress: float, total: float | None, message: str | None) -> None:
            pieces.append(message or "")

        async with (
            httpx2.AsyncClient(headers=bearer, timeout=WAIT_SECONDS) as http,
            Client(streamable_http_client(url, http_client=http), mode=version) as client,
        ):
            result = await client.call_tool("ask", {"question": question}, progress_callback=note)
            assert "".join(pieces) == text_of(result)
            return text_of(result)

    async def both() -> list[str]:
        return [*await asyncio.gather(talk_over_http("one", "legacy"), talk_over_http("two", "2026-07-28"))]

    assert asyncio.run(both()) == ["You said: one", "You said: two"]
    server.process.send_signal(signal.SIGTERM)
    out, error = server.process.communicate(timeout=WAIT_SECONDS)
    assert (server.process.returncode, out, error) == (130, b"", b"")


@pytest.mark.executable
def test_without_the_extra_a_line_says_how_to_install_it(chat: Chat, home: Home) -> None:
    hidden = home.root / "hidden"
    hidden.mkdir()
    (hidden / "sitecustomize.py").write_text("import sys\nsys.modules['mcp_types'] = None\n")
    done = chat("mcp", env={"PYTHONPATH": str(hidden)})
    assert_reported(done, 2)
    assert "[mcp]" in done.stderr


@pytest.mark.parametrize(
    ("words", "env"),
    [
        (["-t", "x", "mcp"], {}),
        (["mcp", "--graph", "a.py:g", "-m", "x"], {}),
        (["mcp", "--http", "-1"], {}),
        (["mcp", "--http", "0"], {"CHATCLI_MCP_TOKEN": "short"}),
    ],
)
def test_options_that_make_no_sense_and_a_short_token_are_refused(
    chat: Chat, words: list[str], env: dict[str, str]
) -> None:
    assert_reported(chat(*words, env=env), 2)


async def test_a_graph_that_ends_the_program_fails_its_call_alone(chat: Chat) -> None:
    async with connected(chat, "--graph", f"{GRAPHS / 'exits.py'}:chosen") as session:
        failed = await session.call_tool("ask", {"question": "leave"})
        assert failed.is_error
        assert "ended the program by sys.exit(3)" in text_of(failed)
        assert value_of(await session.call_tool("ask", {"question": "stay"}))["content"] == "still here"


async def test_the_app_on_a_langgraph_server_answers(chat: Chat, langgraph_server: str) -> None:
    async with connected(chat, "--url", langgraph_server, "--assistant", "echo") as session:
        value = value_of(await session.call_tool("ask", {"question": "hello there"}))
        assert value["content"]
        read = value_of(await session.call_tool("read_thread", {"thread": value["thread_id"]}))
        assert [one["content"] for one in read["messages"]] == ["hello there", value["content"]]
        refused = await session.call_tool("ask", {"question": "hi", "model": "openai:gpt-fake"})
        assert refused.is_error


AGENT = """\
import sys, chatcli
def reply(message, history):
    print("noise")
    return f"{message}, after {len(history)} messages"
sys.exit(chatcli.command(reply, name="my-agent")())
"""


async def test_a_builders_program_serves_its_graph_without_our_documents_and_roles(home: Home) -> None:
    server = StdioServerParameters(command=sys.executable, args=["-c", AGENT, "mcp"], env=home.env, cwd=home.work)

    async with stdio_client(server) as streams, ClientSession(*streams) as session:
        begun = await session.initialize()
        assert (begun.server_info.name, begun.capabilities.prompts) == ("my-agent", None)
        tools = {tool.name for tool in (await session.list_tools()).tools}
        assert tools == {"ask", "list_threads", "search_threads", "read_thread"}
        asked = [await session.call_tool("ask", {"question": "hi", "thread": "t"}) for _ in range(2)]
        assert [text_of(one) for one in asked] == ["hi, after 0 messages", "hi, after 2 messages"]
