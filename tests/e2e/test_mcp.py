"""MCP servers: real ones, over stdio and streamable HTTP, and what becomes of them when chatcli ends."""

import json
import signal
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.conftest import KEY, Served
from tests.e2e.checks import assert_reported, unfenced
from tests.e2e.forkserver import MCP_SERVER
from tests.e2e.program import Chat, Home
from tests.fakes.openai_server import FakeOpenAI
from tests.fakes.steps import Answer, Calls, call
from tests.fakes.web import FakeWeb
from tests.waiting import wait_until


@pytest.fixture
def notes(home: Home) -> Path:
    """Configure the server `fake`, and give the folder where it writes down what happens to it."""
    return configure(home, sys.executable, MCP_SERVER)


@pytest.fixture
def _forked_server(home: Home, mcp_server: dict[str, Any]) -> None:
    """Configure the server `fake`, for a test to which its process does not matter."""
    configure(home, mcp_server["command"], *mcp_server["args"])


def configure(home: Home, command: str, *arguments: str) -> Path:
    """Write the server `fake` into config.toml; return the folder of its notes."""
    folder = home.root / "notes"
    folder.mkdir()
    config = Path(home.env["XDG_CONFIG_HOME"]) / "chatcli" / "config.toml"
    config.parent.mkdir(parents=True)
    config.write_text(
        f"[mcp.fake]\ncommand = {json.dumps(command)}\nargs = {json.dumps(arguments)}\n"
        f'env = {{ MCP_NOTES = "${{NOTES}}", SECRET = "${{SECRET:-none}}" }}\n'
    )
    home.env["NOTES"] = str(folder)
    return folder


def test_servers_from_the_config_are_called_and_end_with_the_program(chat: Chat, fake: FakeOpenAI, notes: Path) -> None:
    fake.script(
        Calls(
            [
                ("add", {"a": 2, "b": 3}),
                ("meet", {}),
                ("meet", {}),
                ("fail", {"reason": "no"}),
            ]
        ),
        call("fake_remember", text="x"),
        call("die"),
        call("add", a=1, b=1),
        call("die"),
        call("die"),
        call("add", a=1, b=1),
        Answer("5"),
    )
    done = chat("how much is 2 + 3?")
    assert done.returncode == 0, done
    assert done.stdout == "5\n"
    assert {"add", "fake_remember", "meet", "fail", "die"} <= set(fake.requests[0].tools)
    added, first, second, failed = fake.requests[1].results
    assert added == "5"
    assert (first, second) == ("met", "met")  # side by side
    assert "no" in failed
    refused, died, again, *_, gone = fake.requests[7].results[4:]
    assert "needs the user's approval" in refused
    assert "Connection closed" in died
    assert again == "2"
    assert "has ended" in gone  # it ended twice, and no call has succeeded in between
    assert done.stderr.count("the MCP server fake had ended and was started again") == 2
    assert len((notes / "pid").read_text().split()) == 3
    assert "--allow fake/remember" in done.stderr
    environment = json.loads((notes / "env").read_text().splitlines()[0])
    assert KEY not in environment.values()
    assert environment["SECRET"] == "none"
    assert not _is_alive(notes)


def test_a_server_over_http_and_one_that_is_broken(chat: Chat, home: Home, fake: FakeOpenAI, url: str) -> None:
    servers = {"web": {"type": "http", "url": url}, "broken": {"command": sys.executable, "args": ["-c", "1/0"]}}
    (home.work / "servers.json").write_text(json.dumps({"mcpServers": servers}))
    fake.script(call("add", a=20, b=22), call("web_remember", text="y"), Answer("42"))
    done = chat("--mcp", "servers.json", "--allow", "web/*", "how much is 20 + 22?")
    assert done.stdout == "42\n", done
    assert "the MCP server broken is left out" in done.stderr
    assert "ZeroDivisionError" in done.stderr
    assert fake.requests[2].results == ["42", "remembered: y"]


@pytest.mark.parametrize("kind", ["", "json", "resumable"])
def test_a_server_over_http_that_is_killed_is_noticed_at_once(
    chat: Chat,
    home: Home,
    fake: FakeOpenAI,
    served: Served,
    kind: str,
) -> None:
    url, process, notes = served(kind)
    (home.work / "servers.json").write_text(json.dumps({"mcpServers": {"web": {"url": url}}}))
    two = Calls([("wait", {"seconds": 600}), ("wait", {"seconds": 600})])
    fake.script(two, call("add", a=1, b=1), Answer("it is gone"))
    # Without the notice, each call would take its whole time.
    running = chat.start("--mcp", "servers.json", "--tool-timeout", "600", "wait")
    wait_until(lambda: (notes / "waiting").exists() and len((notes / "waiting").read_text().splitlines()) == 2)
    process.kill()
    done = running.finish()
    assert done.stdout == "it is gone\n", done
    assert "Traceback" not in done.stderr
    for result in fake.requests[2].results:
        assert "the connection to the server failed" in result


def test_a_server_over_http_that_refuses_is_reported_with_its_reason(chat: Chat, home: Home, fake: FakeOpenAI) -> None:
    with FakeWeb() as web:
        (home.work / "servers.json").write_text(json.dumps({"mcpServers": {"web": {"url": f"{web.url}/none"}}}))
        done = chat("--mcp", "servers.json", "hi")
    assert done.returncode == 0, done
    assert "the MCP server web is left out: " in done.stderr
    (home.work / "servers.json").write_text(json.dumps({"mcpServers": {"web": {"url": "http://127.0.0.1:9/mcp"}}}))
    assert "left out: the connection to the server failed" in chat("--mcp", "servers.json", "hi").stderr


@pytest.mark.parametrize("text", ["{", '{"mcpServers": {"x": {"args": []}}}', "[]"])
def test_a_file_that_names_no_servers_is_refused_before_anything_is_asked(
    chat: Chat, home: Home, fake: FakeOpenAI, text: str
) -> None:
    (home.work / "servers.json").write_text(text)
    assert_reported(chat("--mcp", "servers.json", "hi"), 2)
    assert fake.requests == []


@pytest.mark.executable
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 130), (signal.SIGKILL, -9), (signal.SIGINT, 130)])
def test_no_server_outlives_the_program(
    chat: Chat, fake: FakeOpenAI, notes: Path, number: signal.Signals, code: int
) -> None:
    fake.script(call("wait", seconds=600))
    running = chat.start("wait")
    wait_until(lambda: (notes / "waiting").exists())
    running.signal(number)
    assert running.finish().returncode == code
    wait_until(lambda: not _is_alive(notes))
    assert (notes / "given_up").exists() or number == signal.SIGKILL


def _is_alive(notes: Path) -> bool:
    try:
        server = psutil.Process(int((notes / "pid").read_text().split()[-1]))
        return server.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.usefixtures("_forked_server")
def test_what_a_call_returns_reports_and_asks_for_is_taken_care_of(chat: Chat, home: Home, fake: FakeOpenAI) -> None:
    first = Calls([("picture", {"sound": True}), ("where", {}), ("work", {"steps": 3})])
    fake.script(first, Calls([("register", {}), ("think", {"question": "why?"})]), Answer("done"))
    done = chat("--debug", "go")
    assert done.stdout == "done\n", done
    picture, where, worked, registered, thought = fake.requests[2].results
    assert picture.startswith("[image 1: image/png, 1 x 1 pixels, ")
    assert "[audio/wav: can't be shown to the model]\na pixel" in picture
    assert where == home.work.as_uri()
    assert worked == "worked"
    assert json.loads(registered) == ["decline", None]  # nobody can be asked
    assert "failed: " in thought
    [image] = [part for part in fake.requests[1].body["messages"][-1]["content"] if part["type"] == "image_url"]
    assert image["image_url"]["url"].startswith("data:image/png;base64,iVBOR")
    assert "fake [info]: step 1" in done.stderr
    assert "fake/work..." in done.stderr
    assert "\x1b" not in done.stderr


@pytest.mark.usefixtures("_forked_server")
def test_resources_go_along_with_a_question_and_without_debug_nothing_is_logged(chat: Chat, fake: FakeOpenAI) -> None:
    fake.script(call("work", steps=1), Answer("milk"), Answer("it is small"))
    done = chat("what shall I buy? see @fake:notes://today.")
    assert done.stdout == "milk\n", done
    assert "step 1" not in done.stderr.replace("fake/work", "")
    assert '<file name="fake:notes://today">\nbuy milk\n</file>' in unfenced(fake.requests[0].last)
    assert chat("look at @fake:notes://pixel").stdout == "it is small\n"
    assert [part["type"] for part in fake.requests[-1].body["messages"][-1]["content"]] == ["text", "image_url"]
    for name in ("notes://none", "notes://zip"):
        refused = chat(f"look at @fake:{name}")
        assert refused.returncode != 0
        assert f"fake:{name}" in refused.stderr
        assert "Traceback" not in refused.stderr
    assert len(fake.requests) == 3
