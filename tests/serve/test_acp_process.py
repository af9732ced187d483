"""The process of `chat acp`: its streams, its start, and its end, however it comes."""

import asyncio
import json
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from acp import RequestError

from tests.e2e.program import Chat
from tests.fakes.openai_server import FakeOpenAI
from tests.fakes.steps import Answer, Stall, call
from tests.serve.editor import Editor, connected, start
from tests.serve.test_acp import ASKING, GRAPHS, MODEL, TOOLS
from tests.waiting import WAIT_SECONDS, wait_until

INITIALIZE = {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {"protocolVersion": 1}}


def lines(*messages: Any) -> str:
    return "".join(f"{message if isinstance(message, str) else json.dumps(message)}\n" for message in messages)


def request(number: int, method: str, **params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": number, "method": method, "params": params}


async def test_stdout_has_the_protocol_alone(chat: Chat) -> None:
    (chat.home.work / "asking.py").write_text(ASKING)

    async with connected(chat, "--graph", "asking.py:graph") as at:
        received: list[Any] = []
        at.agent._conn.add_observer(lambda event: received.append(event.message))
        assert await at.ask(await at.new(), "text") == "end_turn"
        assert received
    log = (chat.home.root / "acp.log").read_text()
    for text in ("printed by a node", "written by a node", "by a child process"):
        assert text in log


def test_files_may_be_its_streams_and_what_is_no_message_is_answered(chat: Chat) -> None:
    given = lines("no json", INITIALIZE, "[1, 2]", "", '{"method": 1}', request(1, "session/nothing"), "{}")
    done = chat("acp", input=given + json.dumps(request(2, "session/list")))
    assert done.returncode == 0, done
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [one["error"]["code"] for one in answers if one["id"] is None] == [-32700, -32600, -32600]
    by_id = {one["id"]: one for one in answers if one["id"] is not None}
    assert by_id[0]["result"]["protocolVersion"] == 1
    assert by_id[1]["error"]["code"] == -32601
    assert by_id[2]["result"] == {"sessions": []}
    assert done.stderr == ""


def test_a_request_before_initialize_is_answered(chat: Chat) -> None:
    done = chat("acp", input=lines(request(5, "session/list")))
    assert json.loads(done.stdout) == {"jsonrpc": "2.0", "id": 5, "result": {"sessions": []}}


@pytest.mark.parametrize("option", [("--thread", "t"), ("--file", "x"), ("-i",)])
def test_options_about_one_question_are_refused(chat: Chat, option: tuple[str, ...]) -> None:
    done = chat("acp", *option)
    assert (done.returncode, done.stdout) == (2, "")
    assert "error: " in done.stderr


def test_a_wrong_option_is_refused_before_anything(chat: Chat) -> None:
    for options in (("--graph", "missing.py:graph"), ("-m", "none:x"), ("--graph", "a.py:b", "--tools")):
        for words in ((*options, "acp"), ("acp", *options)):
            done = chat(*words, input=lines(INITIALIZE))
            assert (done.returncode, done.stdout) == (2, ""), words


@pytest.mark.executable
def test_without_the_extra_one_line_says_how_to_install_it(chat: Chat) -> None:
    hidden = chat.home.root / "hidden"
    hidden.mkdir()
    (hidden / "sitecustomize.py").write_text(
        "from importlib.machinery import PathFinder\n"
        "find = PathFinder.find_spec\n"
        "PathFinder.find_spec = lambda name, *rest: None if name == 'acp' else find(name, *rest)\n"
    )
    done = chat("acp", env={"PYTHONPATH": str(hidden)})
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1
    assert "[acp]" in done.stderr


def test_an_editor_that_is_killed_leaves_no_process_and_no_lock(chat: Chat, fake: FakeOpenAI) -> None:
    server = str(Path(__file__).parents[1] / "fakes" / "mcp_server.py")
    notes = chat.home.root / "notes"
    notes.mkdir()
    fake.script(call("wait", seconds=600))
    env = [{"name": "MCP_NOTES", "value": str(notes)}]
    servers = [{"name": "sums", "command": sys.executable, "args": [server], "env": env}]
    (theirs_in, ours_out), (ours_in, theirs_out) = os.pipe(), os.pipe()
    log = os.open(chat.home.root / "acp.log", os.O_WRONLY | os.O_CREAT)
    process = start(chat, ("acp", *TOOLS, "--yes"), (theirs_in, theirs_out, log))
    for descriptor in (theirs_in, theirs_out, log):
        os.close(descriptor)
    opening = request(1, "session/new", cwd=str(chat.home.work), mcpServers=servers)
    os.write(ours_out, lines(INITIALIZE, opening).encode())
    with os.fdopen(ours_in, "rb") as answers:
        session = next(found["result"]["sessionId"] for line in answers if (found := json.loads(line)).get("id") == 1)
        prompt = [{"type": "text", "text": "go"}]
        os.write(ours_out, lines(request(2, "session/prompt", sessionId=session, prompt=prompt)).encode())
        wait_until((notes / "waiting").exists)
        child = int((notes / "pid").read_text().split()[0])
    os.close(ours_out)  # as when the kernel closes what a killed process had open
    assert process.wait(WAIT_SECONDS) == 0
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)
    assert "Traceback" not in (chat.home.root / "acp.log").read_text()
    fake.default = Answer("here again")
    assert chat("-t", session, "-m", "openai:gpt-fake", "still there?").stdout == "here again\n"


async def test_an_agent_that_is_killed_keeps_what_had_arrived(chat: Chat, fake: FakeOpenAI) -> None:
    fake.script(Stall("The beginning"))

    async with connected(chat, *MODEL) as at:
        session = await at.new()
        asking = asyncio.create_task(at.ask(session, "go"))
        await at.editor.until(lambda: "The beginning" in at.editor.text(session))
        await asyncio.to_thread(wait_until, lambda: _journalled(chat))
        at.process.send_signal(signal.SIGKILL)
        with pytest.raises(ConnectionError):
            await asking

    async with connected(chat, *MODEL) as at:
        await at.load(session)
        assert at.editor.text(session) == "The beginning"
        await at.ask(session, "more")
        assert at.editor.text(session) == "The beginningYou said: more"


def _journalled(chat: Chat) -> bool:
    import sqlite3

    database = Path(chat.home.env["XDG_DATA_HOME"]) / "chatcli" / "threads.db"
    connection = sqlite3.connect(database)
    try:
        return bool(connection.execute("SELECT text FROM journal").fetchall())
    finally:
        connection.close()


async def test_a_graph_that_never_gives_way_does_not_keep_the_process(chat: Chat) -> None:
    (chat.home.work / "deaf.py").write_text(
        "import time\n"
        "from langgraph.graph import START, MessagesState, StateGraph\n"
        "async def sleep(state):\n"
        "    print('asleep', flush=True)\n"
        "    time.sleep(600)\n"
        "graph = StateGraph(MessagesState).add_node(sleep).add_edge(START, 'sleep')\n"
    )
    log = chat.home.root / "acp.log"

    async with connected(chat, "--graph", "deaf.py:graph") as at:
        session = await at.new()
        asking = asyncio.create_task(at.ask(session, "go"))
        await asyncio.to_thread(wait_until, lambda: "asleep" in log.read_text())
        asking.cancel()


async def test_nodes_that_block_their_threads_keep_no_other_session_waiting(chat: Chat) -> None:
    work_folder = chat.home.work
    (work_folder / "blocking.py").write_text(
        "import os, time\n"
        "from langchain_core.messages import AIMessage\n"
        "from langgraph.graph import START, MessagesState, StateGraph\n"
        "def block(state):\n"
        "    name = state['messages'][-1].text\n"
        "    open(f'began-{name}', 'w').close()\n"
        "    while name != 'quick' and not os.path.exists('go'):\n"
        "        time.sleep(0.05)\n"
        "    return {'messages': [AIMessage('done')]}\n"
        "graph = StateGraph(MessagesState).add_node(block).add_edge(START, 'block')\n"
    )

    async with connected(chat, "--graph", "blocking.py:graph") as at:
        sessions = [await at.new() for _ in range(10)]
        asking = [asyncio.create_task(at.ask(session, session)) for session in sessions]
        begun = [work_folder / f"began-{session}" for session in sessions]
        await asyncio.to_thread(wait_until, lambda: all(file.exists() for file in begun))
        await asyncio.gather(*(at.agent.cancel(session_id=session) for session in sessions[:5]))
        assert await asyncio.gather(*asking[:5]) == ["cancelled"] * 5
        assert await at.ask(await at.new(), "quick") == "end_turn"
        (work_folder / "go").touch()
        assert await asyncio.gather(*asking[5:]) == ["end_turn"] * 5


async def test_a_graph_that_ends_the_program_fails_in_its_session_alone(chat: Chat) -> None:
    async with connected(chat, "--graph", f"{GRAPHS / 'exits.py'}:chosen") as at:
        staying, leaving = await at.new(), await at.new()
        with pytest.raises(RequestError) as raised:
            await at.ask(leaving, "leave")
        assert "ended the program by sys.exit(3)" in str(raised.value)
        assert await at.ask(staying, "stay") == await at.ask(leaving, "stay") == "end_turn"
        assert at.editor.text(leaving) == at.editor.text(staying) == "still here"


async def test_a_signal_ends_it_with_what_had_arrived_kept(chat: Chat, fake: FakeOpenAI) -> None:
    fake.script(Stall("The beginning"))

    async with connected(chat, *MODEL) as at:
        session = await at.new()
        asking = asyncio.create_task(at.ask(session, "go"))
        await at.editor.until(lambda: "The beginning" in at.editor.text(session))
        at.process.send_signal(signal.SIGTERM)
        await asyncio.wait([asking])
        assert await asyncio.to_thread(at.process.wait, 20) == 0
    assert "Traceback" not in (chat.home.root / "acp.log").read_text()
    assert [(one["content"], one["interrupted"]) for one in chat.messages(session)] == [
        ("go", False),
        ("The beginning", True),
    ]


async def test_many_sessions_of_a_graph_at_once(chat: Chat) -> None:
    editor = Editor()

    async with connected(chat, "--graph", f"{GRAPHS / 'small.py'}:asking", editor=editor) as at:
        sessions = await asyncio.gather(*(at.new() for _ in range(10)))
        await asyncio.gather(*(at.ask(session, "go") for session in sessions))
        await asyncio.gather(*(at.ask(session, session) for session in sessions))
        for session in sessions:
            assert editor.text(session).endswith(f"You said '{session}'.")


@pytest.mark.executable
def test_nothing_heavy_is_imported_before_the_first_answer(chat: Chat) -> None:
    code = (
        "import sys; from chatcli.runtime.deferred_packages import defer_packages; defer_packages();"
        "import chatcli.cli.subcommands.acp, chatcli.serve.acp.agent; print(*sys.modules)"
    )
    imported = set(chat.shell(f"{sys.executable} -c {shlex.quote(code)}").stdout.split())
    assert "acp.exceptions" in imported
    assert not imported & {"acp.schema", "pydantic", "langchain_core", "langgraph", "openai", "httpx", "rich"}


def test_a_program_of_a_builder_is_an_agent_too(chat: Chat, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "import sys, chatcli\n"
        "def reply(message, history):\n"
        "    print('printed')\n"
        "    return f'{message}, after {len(history)}'\n"
        "sys.exit(chatcli.command(reply, name='my-agent')())\n"
    )
    prompt = [{"type": "text", "text": "hello"}]
    opening = request(1, "session/new", cwd=str(chat.home.work), mcpServers=[])
    with subprocess.Popen(
        [sys.executable, str(program), "acp"],
        env=chat.home.env,
        cwd=chat.home.work,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(lines(INITIALIZE, opening))
        process.stdin.flush()
        received = (json.loads(line) for line in process.stdout)
        session = next(found["result"]["sessionId"] for found in received if found.get("id") == 1)
        process.stdin.write(lines(request(2, "session/prompt", sessionId=session, prompt=prompt)))
        process.stdin.flush()
        said = []
        for found in received:
            if found.get("id") == 2:
                break
            said.append(found["params"]["update"])
        process.stdin.close()
        assert process.wait(WAIT_SECONDS) == 0
    texts = [one["content"]["text"] for one in said if one["sessionUpdate"] == "agent_message_chunk"]
    assert texts == ["hello, after 0"]
